// The admin API over the composed rooms: load, trace, inspect, doctor, shutdown. Wires, decides little.
import { type AdminService, adminService } from '../admin/border.ts';
import type { AdminVerbs, Finding } from '../admin/verbs.ts';
import type { Config } from '../config/schema.ts';
import { version } from '../config/version.ts';
import type { Container } from '../container/container.ts';
import { chainsOf, containerState } from '../container/container.ts';
import { grpcCodes, statusOf } from '../cri/status-codes.ts';
import { failureChain, notFound } from '../lib/failure.ts';
import type { Step } from '../lib/steps.ts';
import type { Log } from '../log.ts';
import type { Network } from '../network/network.ts';
import type { OwedReport } from '../recovery/owed.ts';
import type { SelinuxStatus } from '../selinux/selinux.ts';
import type { Trace } from '../trace/trace.ts';
import type { Images } from './images.ts';
import type { Pods } from './live.ts';
import type { MetricListeners } from './metric-listeners.ts';
import type { OwedLoop } from './owed.ts';
import type { OwnProcesses } from './own-processes.ts';
import type { Recovery } from './recovery.ts';
import { steppedAdmin } from './steps.ts';
import { shutdownBounds, shutdownNode } from './shutdown.ts';

export interface AdminParts {
  readonly config: Config;
  readonly pods: Pods;
  readonly images: Images;
  readonly network: Network;
  readonly own: Pick<OwnProcesses, 'report'>;
  /** What writes records. */
  readonly writer: { readonly owed: number };
  readonly metricListeners: Pick<MetricListeners, 'troubles'>;
  readonly trace: Trace;
  readonly recovery: Recovery;
  readonly owed: Pick<OwedLoop, 'report' | 'stop' | 'settled'>;
  readonly log: Log;
  readonly step: Step;
  /** Ends the plugins that the daemon has started. */
  readonly endPlugins: () => Promise<void>;
  /** All that was ours on this node is gone: the daemon ends for good. */
  readonly leave: () => void;
  /** Ends the daemon. */
  readonly end: () => void;
}

/** An environment's names without its values: an inspection is what people paste into issues. */
const withoutValues = ({ identity, status }: Container): object => {
  const env = identity.config.env.map(({ key }) => key);
  return {
    identity: { ...identity, config: { ...identity.config, env } },
    status,
    state: containerState({ identity, status }),
  };
};

async function inspect({ pods, images, config, recovery }: AdminParts, id: string): ReturnType<AdminVerbs['inspect']> {
  if (id === '') {
    const counts = { sandboxes: pods.sandboxes.size, containers: pods.containers.size, images: images.count() };
    const memory = process.memoryUsage();
    const value = {
      version,
      pid: process.pid,
      uptimeSeconds: process.uptime(),
      bootId: pods.bootId,
      counts,
      memory,
      pulls: images.progress(),
      setAside: [...recovery.setAside, ...images.setAside],
      config,
    };
    return { kind: 'daemon', value };
  }
  const sandbox = pods.sandboxes.find(id);
  if (sandbox) {
    const monitor = {
      alive: pods.monitors.isAlive(sandbox.identity.id),
      reachable: pods.monitors.isReachable(sandbox.identity.id),
    };
    return { kind: 'sandbox', value: { ...sandbox, monitor, containers: pods.containersOf(sandbox.identity.id) } };
  }
  const container = pods.containers.find(id);
  if (container) return { kind: 'container', value: withoutValues(container) };
  const image = images.find(id);
  if (image) return { kind: 'image', value: image };
  throw notFound(`no sandbox, container or image is called ${id}`);
}

/** Of what was set aside or swept, so many are listed. */
const mostQuarantined = 100;
type Warn = (subject: string, problem: string, advice: string) => void;

function warnOfSelinux({ setting, mode, trouble, defaultsFile, defaults }: SelinuxStatus, warn: Warn): void {
  if (setting === 'off') return;
  if (mode === 'no-policy')
    warn('SELinux', 'the kernel has it, and no policy is loaded', 'load one, or boot with selinux=0');
  if (trouble !== null)
    warn(
      'SELinux',
      trouble,
      'install a policy with container types (container-selinux), or set container.selinux = "off"',
    );
  else if ((mode === 'enforcing' || mode === 'permissive') && defaultsFile === '')
    warn('SELinux', `the policy names no contexts for containers (lxc_contexts): they get ${defaults.process}`, '');
}

function warnOfOwed(owed: readonly OwedReport[], warn: Warn): void {
  for (const { subject, problem, tries, error } of owed) {
    const tried = error === '' ? '' : `; tried again ${tries} times: ${error}`;
    warn(subject, `${problem}${tried}`, 'it is tried again in the background; the error says what is in the way');
  }
}

async function doctor(
  { pods, images, network, recovery, own, writer, metricListeners, owed }: AdminParts,
  collect: boolean,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const warn = (subject: string, problem: string, advice: string): void =>
    void findings.push({ severity: 'warning', subject, problem, advice });
  const wrong = (subject: string, problem: string, advice: string): void =>
    void findings.push({ severity: 'error', subject, problem, advice });
  const why = recovery.notReady();
  if (why) wrong('podwrightd', `${why.reason}: ${why.message}`, '');
  if (collect) {
    await recovery.done;
    const failed = await network.collect(() => new Set(pods.sandboxes.ids())).then(() => '', failureChain);
    if (failed !== '') wrong('network', failed, 'what a plugin refuses to release is tried again in the background');
  }
  const net = await network.status();
  if (!net.ready)
    wrong('network', net.message, 'put a CNI configuration into network.conf_dir, or set network.default = "bridge"');
  const { trouble } = pods.apparmor.status();
  if (trouble !== null)
    warn('AppArmor', trouble, 'install apparmor_parser: containers run without the default profile');
  warnOfSelinux(pods.selinux.status(), warn);
  for (const { path, why: reason } of (await pods.hooks.look()).broken)
    wrong(`hook ${path}`, reason, 'mend it, or take it away: it is not run; the next container has what is there then');
  const { trouble: limits } = own.report();
  if (limits !== null) warn('limits', limits, '');
  for (const problem of metricListeners.troubles())
    warn(
      'metrics',
      problem,
      'end who has the address, or change metrics.address and restart podwrightd; it is tried again',
    );
  if (writer.owed > 0)
    wrong(
      'records',
      `${writer.owed} are not on the disk yet`,
      'see what the kernel says of the disk, and how full it is; they are tried again',
    );
  if (network.owedReleases() > 0) warn('network', `${network.owedReleases()} releases are owed`, '');
  warnOfOwed(owed.report(), warn);
  for (const each of recovery.swept().slice(0, mostQuarantined))
    warn(each, 'nobody had it any more: it was ended, and taken away', '');
  for (const { noun, id, why: reason } of [...recovery.setAside, ...images.setAside])
    wrong(`${noun} ${id}`, reason, 'look at it in the quarantine directory; remove it there when it is not needed');
  for (const each of (await images.quarantined()).slice(0, mostQuarantined))
    warn(`quarantine ${each}`, 'it was damaged and has been set aside', 'look at it; remove it when it is not needed');
  for (const { identity, status } of pods.sandboxes.list()) {
    const subject = `sandbox ${identity.id.slice(0, 13)}`;
    if (status.phase !== 'ready') continue;
    if (!pods.monitors.isAlive(identity.id))
      wrong(subject, 'its monitor is dead', 'the kubelet stops and removes it; by hand: crictl rmp -f');
    else if (!pods.monitors.isReachable(identity.id)) wrong(subject, 'its monitor is alive and does not answer', '');
    if (status.monitor && status.monitor.version !== version)
      warn(subject, `its monitor is of release ${status.monitor.version}`, '');
  }
  return [...findings, ...(await damagedNetworks(network))];
}

/** Plugins are programs: so many pods are checked at once. */
const checksAtOnce = 4;

/** What is wrong with the networks of pods (CNI CHECK). A pod that goes meanwhile is not a finding. */
async function damagedNetworks(network: Network): Promise<Finding[]> {
  const waiting = [...network.attachments()];
  const findings: Finding[] = [];
  const worker = async (): Promise<void> => {
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const { sandboxId } = next;
      const problem = await network.check(sandboxId).then(() => '', failureChain);
      const there = network.attachments().some((each) => each.sandboxId === sandboxId);
      if (problem === '' || !there) continue;
      const subject = `sandbox ${sandboxId.slice(0, 13)}`;
      findings.push({ severity: 'error', subject, problem, advice: 'the pod may be unreachable: delete it' });
    }
  };
  await Promise.all(Array.from({ length: checksAtOnce }, worker));
  return findings;
}

/** The containers that stand on a layer. */
const containersOn = ({ containers }: Pods, chainId: string): string[] =>
  containers
    .list()
    .filter(({ identity }) => chainsOf(identity).includes(chainId))
    .map(({ identity }) => identity.id);

/** The admin service, ready for the socket. */
export function composeAdmin(parts: AdminParts): AdminService {
  const { images, trace, recovery, log, end } = parts;
  const verbs: AdminVerbs = {
    load: (input, onStep, signal) => images.load(input, onStep, signal),
    ...images.registry,
    pulls: async () => images.progress(),
    ...images.admin((chainId) => containersOn(parts.pods, chainId)),
    async trace(sandboxId) {
      const subject = sandboxId === '' ? trace.lastPod() : sandboxId;
      const calls = subject === null ? [] : trace.of(subject);
      if (calls.length === 0)
        throw notFound(sandboxId === '' ? 'no pod was started yet' : `no calls are kept of sandbox ${sandboxId}`);
      return calls;
    },
    inspect: (id) => inspect(parts, id),
    doctor: ({ collect }) => doctor(parts, collect),
    shutdown: async (onStep) => {
      await recovery.done;
      await shutdownNode(parts, shutdownBounds, onStep);
      parts.leave();
    },
  };
  return adminService(steppedAdmin(verbs, parts.step), {
    log,
    statusOf: (error) => {
      const { code, message } = statusOf(error);
      return { code, number: grpcCodes[code], message: message === '' ? failureChain(error) : message };
    },
    observe: (method, code, seconds) => recovery.rpcPorts.observe(`Admin/${method}`, code as 'OK', seconds),
    elapsedMs: () => performance.now(),
    onShutdown: end,
  });
}
