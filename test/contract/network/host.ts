// A host for network tests: a network namespace that lives and dies with its processes, the network room
// working in it, pods that are sleeping processes in namespaces of their own, and an outside world behind a
// wire. The machine itself is not touched.
import { execFile, execFileSync, spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { AttachRequest, Attachment, Network, NetworkOptions } from '../../../src/network/network.ts';
import type { Answer, RoomOptions } from './room-process.ts';

// a tool of our build is called nft, and stands in front
process.env['PATH'] = (process.env['PATH'] ?? '')
  .split(':')
  .filter((dir) => !dir.includes('node_modules'))
  .join(':');

const addon = process.env['PODWRIGHT_ADDON'] ?? resolve('dist/addon.node');

/** Why these tests cannot run here; null when they can. */
export const cannotRun = ((): string | null => {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync(addon)) return `no addon at ${addon}: run hack/build.sh`;
  try {
    for (const program of ['unshare', 'nsenter', 'setpriv', 'ip', 'iptables-restore', 'bash'])
      execFileSync('which', [program]);
  } catch {
    return 'needs util-linux, iproute2, iptables and bash';
  }
  return null;
})();

/** A process that holds a network namespace. */
export interface Namespace {
  readonly netns: string;
  /** Runs a shell command inside and returns what it prints; its failure is thrown. */
  readonly sh: (command: string) => string;
  readonly end: () => void;
}

/** Processes by the namespace they work in: a namespace ends with all of them. */
const children = new Map<ChildProcess, string>();

function track(child: ChildProcess, netns: string): ChildProcess {
  children.set(child, netns);
  child.on('exit', () => children.delete(child));
  return child;
}

/** Starts a program that dies with this process, however that ends. */
const start = (args: readonly string[], options: SpawnOptions = {}): ChildProcess =>
  spawn('setpriv', ['--pdeathsig', 'KILL', ...args], options);

const sleeper = (): ChildProcess => start(['unshare', '--net', 'sleep', 'infinity'], { stdio: 'ignore' });

function endAll(netns: string | null): void {
  for (const [child, where] of children) if (netns === null || where === netns) child.kill('SIGKILL');
}
process.on('exit', () => endAll(null));

/** Looks again and again, for 20 seconds at least. */
export async function until<T>(what: string, look: () => T | null | false | undefined): Promise<T> {
  for (let tries = 0; tries < 2000; tries += 1) {
    const found = look();
    if (found) return found;
    await new Promise((done) => setTimeout(done, 10));
  }
  throw new Error(`waited in vain for ${what}`);
}

const inode = (pid: number | string): string | null => {
  try {
    return execFileSync('readlink', [`/proc/${pid}/ns/net`], { encoding: 'utf8' });
  } catch {
    return null;
  }
};

async function holder(child: ChildProcess): Promise<Namespace> {
  const pid = child.pid;
  if (pid === undefined) throw new Error('no process');
  track(child, `/proc/${pid}/ns/net`);
  const own = inode('self');
  await until('a network namespace', () => inode(pid) !== own && inode(pid) !== null);
  const netns = `/proc/${pid}/ns/net`;
  return {
    netns,
    sh: (command) =>
      execFileSync('nsenter', [`--net=${netns}`, 'bash', '-c', command], { encoding: 'utf8', timeout: 20_000 }),
    end: () => endAll(netns),
  };
}

/** A pod: its namespace and its id. */
export interface Pod extends Namespace {
  readonly id: string;
  readonly request: AttachRequest;
}

const serverProgram = `
const net = require('node:net'), dgram = require('node:dgram');
const [kind, host, port] = process.argv.slice(1);
const told = (socket) => 'hello ' + socket.remoteAddress + '\\n';
if (kind === 'tcp') net.createServer((s) => { s.on('error', () => {}); s.end(told(s)); }).listen(+port, host, () => console.log('up'));
else { const s = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4'); s.on('message', (m, from) => s.send('hello ' + from.address + '\\n', from.port, from.address)); s.bind(+port, host, () => console.log('up')); }
`;

/** A TCP server that answers "hello <the client's address>". */
export const serve = (at: Namespace, address: string, port: number): Promise<void> =>
  listen(at, ['tcp', address, port]);

/** The same by UDP. */
export const serveUdp = (at: Namespace, address: string, port: number): Promise<void> =>
  listen(at, ['udp', address, port]);

async function listen(at: Namespace, where: readonly (string | number)[]): Promise<void> {
  const args = ['nsenter', `--net=${at.netns}`, process.execPath, '-e', serverProgram, ...where.map(String)];
  const child = track(start(args, { stdio: ['ignore', 'pipe', 'inherit'] }), at.netns);
  await new Promise((done) => child.stdout?.once('data', done));
}

/** How long an answer that is expected is waited for. */
const patientMs = 30_000;

/** What a server says to a client in a namespace: asked again while there is no answer; "" when there never is one. */
export async function ask(from: Namespace, address: string, port: number): Promise<string> {
  const until = performance.now() + patientMs;
  for (;;) {
    const answer = await askOnce(from, address, port);
    if (answer !== '' || performance.now() > until) return answer;
    await new Promise((done) => setTimeout(done, 200));
  }
}

/** The same, asked once: for what shall have no answer, or need not; "" when there is none within five seconds. */
export function askOnce(from: Namespace, address: string, port: number): Promise<string> {
  const script = `exec 3<>/dev/tcp/${address}/${port} && { read -t 5 line <&3; echo "$line"; }`;
  const command = ['timeout', '5', 'bash', '-c', script];
  return new Promise((done) => {
    execFile('nsenter', [`--net=${from.netns}`, ...command], (_error, stdout) => done(stdout.trim()));
  });
}

const udpClient = `
const [host, port, ms] = process.argv.slice(1);
const s = require('node:dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4');
const end = (text) => { console.log(text); process.exit(); };
const send = () => s.send('hi', +port, host);
s.on('message', (m) => end(String(m).trim())); s.on('error', () => {});
setTimeout(() => end(''), +ms); setInterval(send, 1000); send();
`;

/** The same by UDP, sent again every second: a datagram may be lost. */
export const askUdp = (from: Namespace, address: string, port: number): Promise<string> =>
  askByUdp(from, [address, port, patientMs]);

/** The same for five seconds: for what shall have no answer, or need not. */
export const askUdpOnce = (from: Namespace, address: string, port: number): Promise<string> =>
  askByUdp(from, [address, port, 5_000]);

function askByUdp(from: Namespace, what: readonly (string | number)[]): Promise<string> {
  const args = [`--net=${from.netns}`, process.execPath, '-e', udpClient, ...what.map(String)];
  return new Promise((done) => {
    execFile('nsenter', args, (_error, stdout) => done(stdout.trim()));
  });
}

/** A host with its network room. */
export interface Host extends Namespace {
  readonly root: string;
  readonly bridge: string;
  readonly dirs: { readonly conf: string; readonly bin: string; readonly allocations: string };
  /** Calls the room; `ms` of the last call is kept. */
  readonly call: <K extends keyof Network>(method: K, ...args: unknown[]) => Promise<Awaited<ReturnType<Network[K]>>>;
  readonly lastMs: () => number;
  readonly attach: (pod: Pod, more?: Partial<AttachRequest>) => Promise<Attachment>;
  readonly newPod: () => Promise<Pod>;
  /** Kills the room and starts another on the same directories. */
  readonly restart: () => Promise<void>;
  /** Every link, rule, chain and allocation of ours that is still there. */
  readonly residue: () => string[];
}

/** A namespace joined to the host by a wire: 203.0.113.2, the host is 203.0.113.1 there. */
export async function outside(host: Host): Promise<Namespace> {
  const world = await holder(sleeper());
  const pid = world.netns.split('/')[2];
  host.sh(`ip link add wire type veth peer name wire netns ${pid}`);
  host.sh('ip addr add 203.0.113.1/24 dev wire; ip link set wire up; ip route add default via 203.0.113.2');
  world.sh('ip link set lo up; ip addr add 203.0.113.2/24 dev wire; ip link set wire up');
  return world;
}

class RoomProcess {
  readonly child: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #serial = 0;
  lastMs = 0;

  constructor(options: RoomOptions, netns: string) {
    const script = join(import.meta.dirname, 'room-process.ts');
    const args = ['nsenter', `--net=${netns}`, process.execPath, script, JSON.stringify(options)];
    this.child = track(start(args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }), netns);
    this.child.on('message', (answer: Answer) => this.#waiting.get(answer.id)?.(answer));
  }

  async call(method: keyof Network, args: readonly unknown[]): Promise<unknown> {
    const id = (this.#serial += 1);
    const { promise, resolve: settle } = Promise.withResolvers<Answer>();
    this.#waiting.set(id, settle);
    this.child.send({ id, method, args });
    const answer = await promise;
    this.#waiting.delete(id);
    if ('failure' in answer) throw new Error(`${answer.failure.kind}: ${answer.failure.message}`);
    this.lastMs = answer.ms;
    return answer.value;
  }
}

function residueOf(host: Namespace, allocations: string): string[] {
  const links = host.sh('ip -o link').split('\n');
  const rules = (host.sh('iptables-save') + host.sh('ip6tables-save')).split('\n');
  const files = existsSync(allocations) ? readdirSync(allocations, { recursive: true, encoding: 'utf8' }) : [];
  return [
    ...links.filter((line) => /^\d+: (pw|cni)/.test(line)),
    ...rules.filter((line) => /PW-|PODWRIGHT|podwright/.test(line)),
    ...files.filter((name) => /[:.]/.test(name) && !name.includes('last_reserved')),
  ];
}

/** Starts a host. `t.teardown(host.end)` ends everything in it. */
export async function startHost(config: Partial<NetworkOptions['config']> = {}): Promise<Host> {
  const root = mkdtempSync(join(tmpdir(), 'pw-network-'));
  const dirs = { conf: join(root, 'net.d'), bin: join(root, 'bin'), allocations: join(root, 'networks') };
  for (const dir of [dirs.conf, dirs.bin, join(root, 'sandboxes')]) mkdirSync(dir, { recursive: true });
  const space = await holder(sleeper());
  space.sh('ip link set lo up');
  const bridge = `pwt${randomBytes(3).toString('hex')}`;
  const options: RoomOptions = {
    addon,
    sandboxes: join(root, 'sandboxes'),
    config: {
      default: 'bridge',
      rules: 'auto',
      bridge,
      subnet: '10.213.7.0/24',
      confDir: dirs.conf,
      binDirs: [dirs.bin],
      hostLocalDir: dirs.allocations,
      pluginTimeoutMs: 10_000,
      cacheDir: join(root, 'cache'),
      ...config,
    },
  };
  let room = new RoomProcess(options, space.netns);
  const pods: Pod[] = [];
  const host: Host = {
    ...space,
    root,
    bridge,
    dirs,
    call: ((method: keyof Network, ...args: unknown[]) => room.call(method, args)) as Host['call'],
    lastMs: () => room.lastMs,
    attach: (pod, more = {}) => host.call('attach', { ...pod.request, ...more }),
    newPod: async () => {
      const id = randomBytes(32).toString('hex');
      mkdirSync(join(root, 'sandboxes', id));
      const inner = await holder(sleeper());
      const request: AttachRequest = {
        sandboxId: id,
        netns: inner.netns,
        podName: `pod-${pods.length}`,
        podNamespace: 'default',
        podUid: `uid-${pods.length}`,
        portMappings: [],
        dns: { servers: [], searches: [], options: [] },
        annotations: {},
        cgroupParent: '',
      };
      const pod = { ...inner, id, request };
      pods.push(pod);
      return pod;
    },
    restart: async () => {
      const gone = new Promise((done) => room.child.once('exit', done));
      room.child.kill('SIGKILL');
      await gone;
      room = new RoomProcess(options, space.netns);
      await host.call('start');
    },
    residue: () => residueOf(space, dirs.allocations),
    end: () => {
      room.child.kill('SIGKILL');
      for (const pod of pods) pod.end();
      space.end();
      rmSync(root, { recursive: true, force: true });
    },
  };
  return host;
}

/** The text of a file below a host's root. */
export const textOf = (host: Host, ...path: string[]): string => readFileSync(join(host.root, ...path), 'utf8');
