// A real podwrightd on directories, a bridge, a subnet and ports of its own, for tests on the real kernel.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import {
  closeSync,
  existsSync,
  type FSWatcher,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  watch,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TestFn } from 'ava';
import { cgroupDriver } from './cgroups.ts';
import { criClient, type CriClient } from './cri-client.ts';
import { type Belongings, networkResidue, podResidue } from './residue.ts';
import { serveImages } from './registry.ts';
import { sweep } from './sweep.ts';
import { patienceMs, until } from './until.ts';

const run = promisify(execFile);
/** Directory of the build under test. */
export const dist = process.env['PODWRIGHT_DIST'] ?? join(import.meta.dirname, '../../dist');

/** How a test's daemon differs from the usual one. */
export interface DaemonOptions {
  /** `network.default`; "bridge" unless given. */
  readonly network?: 'bridge' | 'none';
  /** More flags. */
  readonly flags?: readonly string[];
  /** Where root, state and all else go; a new directory of /tmp unless given. */
  readonly dir?: string;
  /** More environment variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** Directory of another build than the one under test. */
  readonly dist?: string;
  /** Where its log goes; beside `dir`, which may be full, unless given. */
  readonly logFile?: string;
  /** A daemon that ran before on the same directories: its bridge and subnet are this one's. */
  readonly after?: Pick<TestDaemon, 'bridge' | 'subnet'>;
}

/**
 * A free port of loopback that stays so until it is used, and while what uses it is restarted: of those that the kernel
 * gives to nobody by itself (ip_local_port_range of ip(7)).
 */
export async function freePort(): Promise<number> {
  const [first = '32768'] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s/);
  const end = Math.max(20_000, Math.min(Number(first), 32_768));
  return until('a port is free', async () => {
    const port = randomInt(10_000, end);
    if (given.has(port)) return null;
    const server = createServer();
    const { promise, resolve } = Promise.withResolvers<number | null>();
    server.on('error', () => resolve(null)).listen(port, '127.0.0.1', () => server.close(() => resolve(port)));
    const found = await promise;
    if (found !== null) given.add(found);
    return found;
  });
}

/** Ports that this process has given away: they are free as long as nobody listens. */
const given = new Set<number>();

/** Subnets that this process has given away: a bridge with its route may be there as long as its test. */
const subnets = new Set<string>();

/** One that no other daemon of this process has. */
function freshSubnet(): string {
  for (;;) {
    // none of 10.224.0.0/16, which is podwright's own unless set: a daemon may serve on this machine
    const subnet = `10.${randomInt(200, 220)}.${randomInt(256)}.0/24`;
    if (!subnets.has(subnet)) {
      subnets.add(subnet);
      return subnet;
    }
  }
}

function removeIfEmpty(dir: string): void {
  try {
    rmdirSync(dir);
  } catch {
    // it is not empty, or gone
  }
}

/** One daemon; it can be started, killed and started again on the same directories. */
export class TestDaemon implements Belongings {
  readonly dir: string;
  readonly root: string;
  readonly state: string;
  readonly socket: string;
  readonly logFile: string;
  readonly confDir: string;
  readonly certsDir: string;
  readonly registriesConf: string;
  readonly bridge: string;
  readonly subnet: string;
  /** Ids of every sandbox and container that it ever had, reported or not. */
  readonly ids = new Set<string>();
  readonly #options: DaemonOptions;
  #metricsPort = 0;
  #process: ChildProcess | null = null;
  #client: CriClient | null = null;
  #watchers: FSWatcher[] = [];

  constructor(options: DaemonOptions = {}) {
    this.#options = options;
    this.dir = options.dir ?? mkdtempSync('/tmp/pwt-');
    // where all tests of a file are skipped no hook is run: the directory is empty then
    if (options.dir === undefined) process.once('exit', () => removeIfEmpty(this.dir));
    this.logFile = options.logFile ?? `${this.dir}.log`;
    this.root = join(this.dir, 'root');
    this.state = join(this.dir, 'state');
    this.socket = join(this.state, 'podwright.sock');
    this.confDir = join(this.dir, 'net.d');
    this.certsDir = join(this.dir, 'certs.d');
    this.registriesConf = join(this.dir, 'registries.conf');
    this.bridge = options.after?.bridge ?? `pw-t${randomBytes(4).toString('hex')}`;
    this.subnet = options.after?.subnet ?? freshSubnet();
  }

  get #live(): CriClient {
    if (this.#client === null) throw new Error('the daemon of this test was not started');
    return this.#client;
  }

  get runtime(): CriClient['runtime'] {
    return this.#live.runtime;
  }

  get image(): CriClient['image'] {
    return this.#live.image;
  }

  get pid(): number {
    if (this.#process?.pid === undefined) throw new Error('the daemon of this test does not run');
    return this.#process.pid;
  }

  get running(): boolean {
    return this.#process !== null;
  }

  /** The first address of the subnet: the bridge's own. */
  get gateway(): string {
    return this.subnet.replace('.0/24', '.1');
  }

  get metricsUrl(): string {
    return `http://127.0.0.1:${this.#metricsPort}/metrics`;
  }

  /** The command line after the program's name. */
  get flags(): string[] {
    const { network = 'bridge', flags = [] } = this.#options;
    const own = [`--root=${this.root}`, `--state=${this.state}`, `--network-default=${network}`];
    own.push(`--network-bridge=${this.bridge}`, `--network-subnet=${this.subnet}`, `--cni-conf-dir=${this.confDir}`);
    own.push(`--set=registry.registries_conf=${this.registriesConf}`);
    own.push(`--registry-config-path=${this.certsDir}`, `--metrics-address=127.0.0.1:${this.#metricsPort}`);
    if (cgroupDriver !== null) own.push(`--set=cgroup.driver=${cgroupDriver}`);
    return [...own, '--log-level=debug', '--log-format=json', ...flags];
  }

  /** Starts the process without waiting for anything but its existence. */
  spawn(): void {
    if (this.#process !== null) throw new Error('the daemon of this test runs already');
    const log = openSync(this.logFile, 'a');
    const { dist: build = dist, env = {} } = this.#options;
    const child = spawn(join(build, 'podwrightd'), this.flags, {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...env },
    });
    closeSync(log);
    this.#process = child;
    child.on('exit', () => {
      if (this.#process === child) this.#process = null;
    });
    this.#client?.close();
    this.#client = criClient(this.socket);
  }

  /** Starts it and waits until recovery is over and every call is served. */
  async start(): Promise<void> {
    await serveImages();
    if (this.#metricsPort === 0) this.#metricsPort = await freePort();
    this.#watch();
    this.spawn();
    await this.ready();
  }

  /** Waits until Status says RuntimeReady. */
  async ready(): Promise<void> {
    const settled = until('the daemon is ready', async () => {
      if (this.#process === null) throw new Error('podwrightd ended while starting');
      const status = await this.runtime.Status({}, { deadlineMs: 5000 }).catch(() => null);
      return status?.status?.conditions.some(({ type, status: holds }) => type === 'RuntimeReady' && holds);
    });
    await settled.catch((error: Error) => {
      throw new Error(`${error.message}\n${this.lastWords()}`, { cause: error });
    });
  }

  /** kill -9; resolves when the process is gone. */
  async kill9(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** SIGTERM; resolves when the process is gone. Pods live on. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** SIGTERM and a new start. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** kill -9 and a new start. */
  async crash(): Promise<void> {
    await this.kill9();
    await this.start();
  }

  /** `podwright shutdown`: pods, network and daemon end; throws what the command says when it fails. */
  async shutdown(): Promise<void> {
    await this.podwright('shutdown');
    await until('the daemon ends after shutdown', () => this.#process === null);
  }

  /** Runs the podwright command against this daemon and answers its output. */
  async podwright(...args: string[]): Promise<string> {
    const { stdout } = await run(join(dist, 'podwright'), ['--socket', this.socket, ...args]);
    return stdout;
  }

  /** Stops and removes every sandbox, containers included. */
  async removeAllPods(): Promise<void> {
    const { items } = await this.runtime.ListPodSandbox({});
    await Promise.all(items.map(({ id }) => this.removePod(id)));
  }

  async removePod(id: string): Promise<void> {
    await this.runtime.StopPodSandbox({ pod_sandbox_id: id });
    await this.runtime.RemovePodSandbox({ pod_sandbox_id: id });
  }

  /** The end of its log. */
  log(bytes = 20_000): string {
    return statSync(this.logFile, { throwIfNoEntry: false })?.isFile() === true
      ? readFileSync(this.logFile, 'utf8').slice(-bytes)
      : '';
  }

  /** What a failed test shows of the log: warnings and errors, and the last lines of all. */
  lastWords(): string {
    const lines = this.log(30_000).split('\n');
    const loud = lines.filter((line) => !/"level":"(debug|info)"/.test(line)).slice(-6);
    return [...loud, '...', ...lines.slice(-8)].map((line) => line.slice(0, 600)).join('\n');
  }

  /** Waits until nothing of any pod is left on the host and answers what still is at the deadline. */
  async leftOfPods(): Promise<string[]> {
    return settle(() => podResidue(this));
  }

  /** As leftOfPods, of what the daemon keeps between pods. */
  async leftOfNetwork(): Promise<string[]> {
    return settle(() => networkResidue(this));
  }

  /** Lets go of its directories: connections and watches of this test's process. */
  release(): void {
    this.#client?.close();
    for (const watcher of this.#watchers.splice(0)) watcher.close();
  }

  /** Ends everything by force and removes every file: for after a test that may have failed. */
  async destroy(): Promise<void> {
    if (this.#process !== null) await this.kill9();
    this.release();
    await sweep(this);
    if (this.#options.logFile === undefined) rmSync(this.logFile, { force: true });
    // who was killed may have been writing until just now
    if (this.#options.dir === undefined)
      rmSync(this.dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child === null) return;
    child.kill(signal);
    await until(`the daemon ends by ${signal}`, () => this.#process === null);
  }

  /** Learns ids from the record directories, so that what an interrupted call leaves can be told as ours. */
  #watch(): void {
    if (this.#watchers.length > 0) return;
    for (const dir of [this.confDir, this.certsDir]) mkdirSync(dir, { recursive: true });
    for (const noun of ['sandboxes', 'containers']) {
      const dir = join(this.root, noun);
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      const watcher = watch(dir, (_, name) => {
        const id = /[0-9a-f]{64}/.exec(name ?? '')?.[0];
        if (id !== undefined) this.ids.add(id);
      });
      watcher.unref();
      this.#watchers.push(watcher);
    }
  }
}

/**
 * Probes until the list is empty or the time is over; answers the last list. What is in the trash is deleted when the
 * disk and the processors have nothing else to do: on a busy machine that takes its time.
 */
export async function settle(probe: () => Promise<string[]>): Promise<string[]> {
  const begun = Date.now();
  for (;;) {
    const found = await probe();
    const limit = found.every((what) => what.startsWith('trash ')) ? 6 * patienceMs : patienceMs;
    if (found.length === 0 || Date.now() - begun > limit) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A daemon for all tests of a file: started before them, its log shown when one fails, swept away at the end. */
export function useDaemon(test: TestFn, options: DaemonOptions = {}): TestDaemon {
  const daemon = new TestDaemon(options);
  test.before('the daemon starts', () => daemon.start());
  test.beforeEach('a daemon that a failed test left dead starts again', () =>
    daemon.running ? undefined : daemon.start(),
  );
  test.afterEach.always('the log of a failed test', (t) => {
    if (!t.passed) t.log(daemon.lastWords());
  });
  test.after.always('everything is swept away', () => daemon.destroy());
  return daemon;
}

/** The last test of a file: pods are removed and leave nothing, then `podwright shutdown` leaves no network either. */
export function endsWithoutResidue(test: TestFn, daemon: TestDaemon): void {
  test.serial('nothing is left on the host', async (t) => {
    await daemon.removeAllPods();
    t.deepEqual(await daemon.leftOfPods(), []);
    await daemon.shutdown();
    t.deepEqual(await daemon.leftOfNetwork(), []);
    t.false(existsSync(daemon.socket));
  });
}
