// What is done while a talk is recorded: everything that a daemon asks of monitors, once at least.
import { mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { version } from '../../src/config/version.ts';
import { noCarrier } from '../../src/monitor/carrier.ts';
import { type MonitorCall, MonitorConnection } from '../../src/monitor/client.ts';
import { protocolVersion } from '../../src/monitor/monitors.ts';
import { openPort } from '../../src/monitor/streams.ts';
import type { TestDaemon } from '../helpers/daemon.ts';
import { ChannelClient } from '../helpers/channel-client.ts';
import {
  containerConfig,
  create,
  exec,
  exited,
  type Pod,
  podConfig,
  pull,
  runPod,
  scripted,
  sh,
  start,
  statusOf,
} from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const v5 = 'v5.channel.k8s.io';
const mebibyte = 1024 * 1024;

/** Fails unless the call does. */
async function refused(call: Promise<unknown>): Promise<void> {
  const done = await call.then(
    () => true,
    () => false,
  );
  if (done) throw new Error('a call that must be refused was not');
}

/** Commands: collected, one that cannot be run, one too slow, with streams, at a terminal; an attachment. */
async function commands(daemon: TestDaemon, id: string, shell: string): Promise<void> {
  const { runtime } = daemon;
  await exec(daemon, id, ...sh('echo out; echo err >&2; exit 3'));
  await refused(runtime.ExecSync({ container_id: id, cmd: ['/no/such'] }));
  await refused(runtime.ExecSync({ container_id: id, cmd: ['sleep', '77'], timeout: '1' }));
  const streams = { stdin: true, stdout: true, stderr: true };
  const piped = await runtime.Exec({ container_id: id, cmd: sh('echo up; sleep 1'), ...streams });
  await (await ChannelClient.connect(piped.url, v5)).closed();
  const tty = await runtime.Exec({ container_id: id, cmd: sh('read line'), ...streams, stderr: false, tty: true });
  const terminal = await ChannelClient.connect(tty.url, v5);
  terminal.send(4, '{"Width":120,"Height":40}');
  await new Promise((resolve) => setTimeout(resolve, 1000)); // else the command may end before its size is set
  terminal.send(0, '\n');
  await terminal.closed();
  const attached = await ChannelClient.connect((await runtime.Attach({ container_id: shell, ...streams })).url, v5);
  attached.send(0, 'hello\n');
  await until('the answer', () => attached.text(1).includes('got hello'));
  attached.ws.terminate();
}

/** What daemons ask seldom or not yet, over a connection of this process. */
async function direct(daemon: TestDaemon, pod: Pod, containerId: string): Promise<void> {
  const socket = join(daemon.state, 'sockets', pod.id);
  const greeting = { version: protocolVersion, daemonVersion: version };
  const connection = await MonitorConnection.open(socket, 2000, {
    onEvent: () => undefined,
    onClose: () => undefined,
  });
  const call = (what: MonitorCall) => connection.call(what, AbortSignal.timeout(20_000));
  await call({ hello: greeting });
  await call({ getState: {} });
  await call({ signalContainer: { containerId, signal: 18, all: true } });
  await call({ cancelExec: { execId: 'none' } });
  await call({ cancelCheckpoint: {} });
  await refused(call({ startContainer: { containerId: 'none' } }));
  await refused(call({ startContainer: { containerId } }));
  connection.close();
  const place = { socket, greeting, carrier: noCarrier };
  const never = new AbortController().signal;
  await refused(openPort(place, 9, never));
  (await openPort(place, 8080, never)).release();
}

/** Checkpoints of a container and of a pod, one that is given up, and a pod that is made from one. */
async function checkpoints(daemon: TestDaemon, pod: Pod, id: string): Promise<void> {
  const { runtime } = daemon;
  const name = (await statusOf(daemon, id)).metadata?.name ?? '';
  const place = mkdtempSync(join(daemon.dir, 'checkpoint-'));
  await runtime.CheckpointContainer({ container_id: id, location: join(place, 'one.tar') });
  const output_path = join(place, 'pod');
  mkdirSync(output_path);
  await runtime.CheckpointPod({ pod_sandbox_id: pod.id, output_path, container_ids: [id] });
  const again = podConfig(daemon, { hostname: pod.config.hostname ?? '' });
  const restored = await runtime.RestorePod({
    checkpoint_path: output_path,
    config: again,
    container_configs: [containerConfig({ metadata: { name, attempt: 0 } })],
  });
  await runtime.StartContainer({ container_id: restored.restored_containers[0]?.container_id ?? '' });
  await daemon.removePod(restored.pod_sandbox_id);
}

/** Containers of every end, and the daemon that dies between. */
async function lives(daemon: TestDaemon, pod: Pod): Promise<void> {
  const { runtime } = daemon;
  const id = await start(daemon, pod, containerConfig());
  const shell = await start(
    daemon,
    pod,
    scripted('while read line; do echo "got $line"; done; sleep 3600', { stdin: true }),
  );
  await commands(daemon, id, shell);
  await runtime.ReopenContainerLog({ container_id: id });
  await exited(daemon, await start(daemon, pod, scripted('echo over; exit 7')));
  const profile = { seccomp: { profile_type: 'RuntimeDefault' } } as const;
  const terminal = containerConfig({ tty: true, stdin: true, linux: { security_context: profile } });
  const filtered = await start(daemon, pod, { ...terminal, command: sh('read line; exit 0') });
  await exec(daemon, filtered, 'true');
  const typist = await ChannelClient.connect(
    (await runtime.Attach({ container_id: filtered, stdin: true, stdout: true, tty: true })).url,
    v5,
  );
  typist.send(4, '{"Width":90,"Height":30}');
  await new Promise((resolve) => setTimeout(resolve, 1000));
  typist.send(0, '\n');
  await exited(daemon, filtered);
  const never = await create(daemon, pod, containerConfig({ command: ['/no/such'] }));
  await refused(runtime.StartContainer({ container_id: never }));
  const memory = { memory_limit_in_bytes: String(16 * mebibyte), memory_swap_limit_in_bytes: String(16 * mebibyte) };
  await exited(
    daemon,
    await start(daemon, pod, scripted('head -c 64m /dev/zero | tail', { linux: { resources: memory } })),
  );
  const server = await start(daemon, pod, scripted('exec busybox tcpsvd -E 0.0.0.0 8080 cat'));
  await exec(daemon, server, ...sh('until nc -z 127.0.0.1 8080; do sleep 0.1; done'));
  await checkpoints(daemon, pod, id);
  await create(daemon, pod, containerConfig());
  await daemon.crash();
  await daemon.runtime.StopContainer({ container_id: shell, timeout: '1' });
  await daemon.runtime.RemoveContainer({ container_id: shell });
  await direct(daemon, pod, server);
}

/** Does all of it; the daemon's talk goes to a file, as does that of this process. */
export async function story(daemon: TestDaemon): Promise<void> {
  await pull(daemon);
  const plain = await runPod(daemon, { hostname: 'recorded' });
  await lives(daemon, plain);
  const shared = await runPod(daemon, { linux: { security_context: { namespace_options: { pid: 'POD' } } } });
  const first = await start(daemon, shared, containerConfig());
  const target = { namespace_options: { network: 'POD', pid: 'TARGET', ipc: 'POD', target_id: first } } as const;
  const second = await start(daemon, shared, containerConfig({ linux: { security_context: target } }));
  // before the one whose namespace it is in ends, and it with that
  await daemon.runtime.StopContainer({ container_id: second, timeout: '0' });
  await daemon.removeAllPods();
  if (readdirSync(join(daemon.root, 'sandboxes')).length > 0) throw new Error('sandboxes are left');
}
