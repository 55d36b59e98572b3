// A whole fuzz of one daemon: random requests, almost-requests, nonsense on its socket and on a monitor's; then
// everything goes away and what is left is counted.
import { join } from 'node:path';
import { containerConfig, exec, runPod, start } from '../helpers/pods.ts';
import { monitorRssBytes } from './watch.ts';
import type { TestDaemon } from '../helpers/daemon.ts';
import { until } from '../helpers/until.ts';
import { clearCgroups, layGround } from './ground.ts';
import type { Ground } from './place.ts';
import { runFuzz, type RunResult } from './run.ts';
import { holdConnections, pesterDaemon, pesterMonitor } from './sockets.ts';
import { descriptorsOf, type Holdings, holdingsOf, type Pulse, startHeart } from './watch.ts';
import { runWireFuzz } from './wire.ts';

/** How much of each. */
export interface SessionOptions {
  readonly count: number;
  readonly wireCount: number;
  readonly socketCount: number;
  readonly monitorCount: number;
  readonly seed: number;
  readonly callers: number;
  readonly limitMs: number;
}

/** What came of it. */
export interface SessionResult {
  readonly options: SessionOptions;
  readonly requests: RunResult;
  readonly wire: RunResult;
  readonly connections: number;
  readonly monitorFrames: number;
  readonly pulse: Pulse;
  readonly before: Holdings;
  readonly after: Holdings;
  readonly seconds: number;
  /** Everything that must not be, in words. Empty: all is well. */
  readonly complaints: readonly string[];
}

/** Descriptors that a daemon may hold more than before: connections that close a little later. */
const spareFds = 12;
/** Memory that it may have more of: caches that fill once, and what the collector has not looked at yet. */
const spareBytes = 96 * 1024 * 1024;

/** What it holds once closed connections are gone and memory is given back, or at the deadline. */
async function settled(pid: number, most: Holdings): Promise<Holdings> {
  const isWell = ({ fds, rssBytes }: Holdings): boolean => fds <= most.fds && rssBytes <= most.rssBytes;
  await until('connections are closed', () => isWell(holdingsOf(pid))).catch(() => undefined);
  return holdingsOf(pid);
}

const heartDeadlineMs = 30_000;

/** The containers of a pod whose monitor is pestered must not notice. */
async function pesterOneMonitor(
  daemon: TestDaemon,
  { monitorCount, seed }: SessionOptions,
): Promise<{ frames: number; complaints: string[] }> {
  const pod = await runPod(daemon);
  const id = await start(daemon, pod, containerConfig());
  const frames = await pesterMonitor(join(daemon.state, 'sockets', pod.id), { count: monitorCount, seed });
  const complaints: string[] = [];
  const said = await exec(daemon, id, 'echo', 'here').then(
    ({ stdout }) => stdout,
    (error: Error) => error.message,
  );
  if (said !== 'here\n') complaints.push(`a pestered monitor's container says ${JSON.stringify(said)}`);
  const rss = monitorRssBytes(daemon.state, pod.id);
  if (rss > 8 * 1024 * 1024) complaints.push(`a pestered monitor has ${rss} bytes of memory`);
  await daemon.removePod(pod.id);
  return { frames, complaints };
}

async function clearAway(daemon: TestDaemon, ground: Ground): Promise<string[]> {
  const complaints: string[] = [];
  await daemon.removeAllPods().catch((error: Error) => complaints.push(`removing what is left: ${error.message}`));
  for (const left of await daemon.leftOfPods()) complaints.push(`left on the host: ${left}`);
  // who was in them may not be reaped yet
  await until('the cgroups go', () => clearCgroups(ground).length === 0).catch(() => undefined);
  for (const left of clearCgroups(ground)) complaints.push(`a cgroup cannot go: ${left}`);
  return complaints;
}

const tell = (what: string, { violations }: RunResult): string[] =>
  violations.map(
    ({ nth, method, code, details, request }) =>
      `${what} ${nth} ${method}: ${code}: ${details.slice(0, 500)}\n    ${request}`,
  );

/** Runs everything against a daemon that serves. */
export async function fuzzDaemon(daemon: TestDaemon, options: SessionOptions): Promise<SessionResult> {
  const started = performance.now();
  const ground = await layGround(daemon);
  const { socket, pid } = daemon;
  const common = { socket, ground, callers: options.callers, mostPods: 5, mostContainers: 12 };
  // caches fill, code is compiled: what is held after that is what it holds
  await runFuzz({ ...common, seed: options.seed + 1, count: Math.min(300, options.count), limitMs: options.limitMs });
  const complaints = await clearAway(daemon, ground);
  const before = holdingsOf(pid);
  const heart = startHeart(daemon, heartDeadlineMs);
  const requests = await runFuzz({ ...common, seed: options.seed, count: options.count, limitMs: options.limitMs });
  const onSandbox = (id: string): Promise<void> => daemon.removePod(id);
  const wire = await runWireFuzz({ socket, ground, count: options.wireCount, seed: options.seed, onSandbox });
  const letGo = await holdConnections(socket, 200);
  const connections = 200 + (await pesterDaemon(socket, { count: options.socketCount, seed: options.seed }));
  letGo();
  const monitor = await pesterOneMonitor(daemon, options);
  const pulse = await heart.stop();
  complaints.push(...tell('request', requests), ...tell('bytes', wire), ...monitor.complaints);
  complaints.push(...pulse.missed.map((why) => `a heartbeat was missed: ${why}`));
  if (!daemon.running || daemon.pid !== pid) complaints.push('the daemon has ended');
  complaints.push(...(await clearAway(daemon, ground)));
  const after = await settled(pid, { fds: before.fds + spareFds, rssBytes: before.rssBytes + spareBytes });
  if (after.fds > before.fds + spareFds)
    complaints.push(`${after.fds} descriptors after ${before.fds}: ${descriptorsOf(pid)}`);
  if (after.rssBytes > before.rssBytes + spareBytes)
    complaints.push(`${after.rssBytes} bytes of memory after ${before.rssBytes}`);
  const bugs = daemon
    .log(8_000_000)
    .split('\n')
    .filter((line) => /"msg":"(call hit a bug|a bug)/.test(line));
  complaints.push(...bugs.slice(0, 20).map((line) => `the log tells of a bug: ${line.slice(0, 1500)}`));
  const seconds = Math.round((performance.now() - started) / 1000);
  return {
    options,
    requests,
    wire,
    connections,
    monitorFrames: monitor.frames,
    pulse,
    before,
    after,
    seconds,
    complaints,
  };
}
