// A pod that is there all through a soak, as most are on a node: its monitor serves commands, streams and containers
// without end, and the daemon is asked and scraped as a kubelet, a Prometheus and an operator's tools do.
import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ChannelClient } from '../helpers/channel-client.ts';
import { criStream } from '../helpers/cri-client.ts';
import type { TestDaemon } from '../helpers/daemon.ts';
import { containerConfig, exec, output, type Pod, runPod, scripted, sh, start, statusOf } from '../helpers/pods.ts';
import { processesOf } from '../helpers/residue.ts';
import { soon } from '../helpers/until.ts';
import { pause } from './pause.ts';

/** Writes a log, answers at a port, and answers its input. */
const script = [
  'busybox tcpsvd -E 0.0.0.0 8080 cat &',
  '{ i=0; while true; do i=$((i+1)); echo "line $i"; sleep 0.05; done; } &',
  'while read -r line; do echo "heard $line"; done; wait',
].join(' ');

/** SIGHUP after so many rounds. */
const reloadEvery = 20;
/** Between one round and the next: a round is a few dozen calls, and the other clients want the machine too. */
const restMs = 200;

interface Named {
  readonly metadata: { readonly name: string; readonly attempt: number };
  readonly log_path: string;
}

/** That pod. */
export class Resident {
  readonly #daemon: TestDaemon;
  readonly #pod: Pod;
  readonly #container: string;
  /** Process id of its monitor. */
  readonly monitor: number;
  #rounds = 0;

  private constructor(daemon: TestDaemon, made: { pod: Pod; container: string; monitor: number }) {
    this.#daemon = daemon;
    this.#pod = made.pod;
    this.#container = made.container;
    this.monitor = made.monitor;
  }

  /** Begins on a daemon that has no other pod. */
  static async begin(daemon: TestDaemon): Promise<Resident> {
    const pod = await runPod(daemon);
    const container = await start(daemon, pod, { ...scripted(script), stdin: true });
    const monitors = processesOf(daemon).filter(({ kind }) => kind === 'monitor');
    const [monitor] = monitors;
    if (monitor === undefined || monitors.length > 1) throw new Error(`${monitors.length} monitors of one pod`);
    return new Resident(daemon, { pod, container, monitor: monitor.pid });
  }

  /** Rounds until the signal fires; answers how many. A failure is complained of, and the next round begun. */
  async run(signal: AbortSignal, complain: (text: string) => void): Promise<number> {
    while (!signal.aborted) {
      for (const [what, does] of this.#verbs()) {
        await soon(does(), what).catch((error: Error) => complain(`the resident pod: ${what}: ${error.message}`));
        if (signal.aborted) break;
      }
      this.#rounds += 1;
      await pause(restMs, signal);
    }
    return this.#rounds;
  }

  async end(): Promise<void> {
    await this.#daemon.removePod(this.#pod.id);
  }

  #verbs(): [string, () => Promise<unknown>][] {
    const { runtime, image } = this.#daemon;
    const container_id = this.#container;
    const reloads = this.#rounds % reloadEvery === reloadEvery - 1;
    return [
      ['a command', () => this.#command()],
      ['a stream of a command', () => this.#exec()],
      ['an attached stream', () => this.#attach()],
      ['a forwarded port', () => this.#forward()],
      ['a container that ends', () => this.#shortLived()],
      ['a container that is killed', () => this.#killed()],
      ['a log that is rotated', () => this.#rotate()],
      ['an update', () => runtime.UpdateContainerResources({ container_id, linux: { cpu_shares: this.#shares } })],
      ['events', () => this.#events()],
      ['stats of pods', () => runtime.ListPodSandboxStats({})],
      ['stats of containers', () => runtime.ListContainerStats({})],
      ['metrics of pods', () => runtime.ListPodSandboxMetrics({})],
      ['pods', () => runtime.ListPodSandbox({})],
      ['containers', () => runtime.ListContainers({})],
      ['images', () => image.ListImages({})],
      ['the images’ disk', () => image.ImageFsInfo({})],
      ['its own status', () => runtime.Status({ verbose: true })],
      ['a status', () => runtime.ContainerStatus({ container_id, verbose: true })],
      ['a scrape', () => this.#scrape()],
      ['a reload', async () => reloads && process.kill(this.#daemon.pid, 'SIGHUP')],
    ];
  }

  get #shares(): string {
    return String(1024 + (this.#rounds % 2));
  }

  async #command(): Promise<void> {
    const word = `round ${this.#rounds}`;
    expectText(await exec(this.#daemon, this.#container, 'echo', word), `${word}\n`);
  }

  async #exec(): Promise<void> {
    const wanted = { container_id: this.#container, cmd: sh('read -r a; echo "got $a"'), stdin: true, stdout: true };
    await talk(await this.#daemon.runtime.Exec(wanted), { says: 'you\n', hears: 'got you' });
  }

  async #attach(): Promise<void> {
    const wanted = { container_id: this.#container, stdin: true, stdout: true };
    await talk(await this.#daemon.runtime.Attach(wanted), { says: 'me\n', hears: 'heard me' });
  }

  async #forward(): Promise<void> {
    const { url } = await this.#daemon.runtime.PortForward({ pod_sandbox_id: this.#pod.id });
    const client = await ChannelClient.connect(`${url}?port=8080`, 'v4.channel.k8s.io');
    client.send(0, 'there and back');
    await client.hear(0, 'there and back');
  }

  async #shortLived(): Promise<void> {
    const named = this.#named('short');
    const { stdout } = await output(this.#daemon, this.#pod, scripted(`echo round ${this.#rounds}`, named));
    this.#removeLog(named);
    expectText({ stdout }, `round ${this.#rounds}\n`);
  }

  async #killed(): Promise<void> {
    const named = this.#named('killed');
    const id = await start(this.#daemon, this.#pod, containerConfig(named));
    await this.#daemon.runtime.StopContainer({ container_id: id, timeout: '0' });
    const { exit_code } = await statusOf(this.#daemon, id);
    await this.#daemon.runtime.RemoveContainer({ container_id: id });
    this.#removeLog(named);
    if (exit_code !== 137) throw new Error(`ended with ${exit_code}`);
  }

  #named(name: string): Named {
    return { metadata: { name, attempt: this.#rounds }, log_path: `${name}-${this.#rounds}.log` };
  }

  /** As the kubelet does when a container is gone. */
  #removeLog({ log_path }: Named): void {
    rmSync(join(this.#pod.config.log_directory ?? '', log_path));
  }

  async #rotate(): Promise<void> {
    const { log_path } = await statusOf(this.#daemon, this.#container);
    renameSync(log_path, `${log_path}.1`);
    await this.#daemon.runtime.ReopenContainerLog({ container_id: this.#container });
    rmSync(`${log_path}.1`);
  }

  async #events(): Promise<void> {
    const stream = criStream(this.#daemon.socket, 'GetContainerEvents');
    try {
      const [coming] = await Promise.all([stream.take(1), this.#shortLived()]);
      if (coming.length === 0) throw new Error('the stream ended');
    } finally {
      stream.close();
    }
  }

  async #scrape(): Promise<void> {
    const answer = await fetch(this.#daemon.metricsUrl);
    const text = await answer.text();
    if (!answer.ok || !text.includes('podwright_')) throw new Error(`${answer.status}: ${text.slice(0, 200)}`);
  }
}

function expectText({ stdout }: { readonly stdout: string }, expected: string): void {
  if (stdout !== expected) throw new Error(`said ${JSON.stringify(stdout)}, not ${JSON.stringify(expected)}`);
}

/** Says something on a stream and goes when the answer has come. */
async function talk({ url }: { readonly url: string }, words: { says: string; hears: string }): Promise<void> {
  const client = await ChannelClient.connect(url, 'v5.channel.k8s.io');
  client.send(0, words.says);
  await client.hear(1, words.hears);
}
