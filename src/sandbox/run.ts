// RunPodSandbox: one pod sandbox from nothing to READY, or nothing left of it.
import { buildOrClearAway, type Caller } from '../lib/creation.ts';
import { alreadyExists, failedPrecondition, invalidArgument } from '../lib/failure.ts';
import type { SandboxId } from '../lib/id.ts';
import type { KeyedLock } from '../lib/keyed-lock.ts';
import { allEnded } from '../lib/result-list.ts';
import { firstDifference } from '../lib/same-value.ts';
import { podFiles } from './files.ts';
import { planSandbox, type SandboxPlan } from './plan.ts';
import type {
  IdRange,
  SandboxCgroups,
  SandboxFiles,
  SandboxMonitors,
  SandboxNetwork,
  SandboxRecords,
  Stages,
} from './ports.ts';
import {
  type IdMapping,
  type PodRuntime,
  type Sandbox,
  type SandboxConfig,
  type SandboxIdentity,
  sandboxKey,
  type SelinuxLabels,
  type SelinuxOptions,
} from './sandbox.ts';

export interface RunSandboxPorts {
  readonly records: SandboxRecords;
  readonly locks: KeyedLock;
  readonly cgroups: SandboxCgroups;
  readonly monitors: SandboxMonitors;
  readonly network: SandboxNetwork;
  readonly files: SandboxFiles;
  /** Tells plugins of the node of a pod that is made but for its last word; fails when one of them says no. */
  readonly running: (sandbox: Sandbox) => Promise<void>;
  readonly teardown: (id: string) => Promise<void>;
  readonly now: () => bigint;
  readonly newId: () => SandboxId;
  readonly bootId: string;
  readonly pauseCgroupOf: (sandboxCgroup: string, id: string) => string;
  readonly cgroupPathOf: (parent: string, id: string) => { readonly path: string; readonly owned: boolean };
  /** "name=value" for every pod that does not set them itself. */
  readonly defaultSysctls: readonly string[];
  readonly netnsPin: (id: string) => string;
  /** The contexts of a pod that is recorded before anything else happens; null where SELinux is off. */
  readonly selinux: (id: string, options: SelinuxOptions | null) => SelinuxLabels | null;
  /** Why pods, with a network of their own or the host's, cannot have user namespaces here; null when they can. */
  readonly userNamespaceTrouble: (network: 'pod' | 'node') => Promise<Error | null>;
  /** The handlers beside our own. */
  readonly runtimes: Readonly<Record<string, PodRuntime>>;
  readonly stages: (id: string, name: string) => Stages;
}

export interface RunSandboxInput {
  readonly config: SandboxConfig;
  readonly runtimeHandler: string;
}

/** Our own handler, the default, by its two names. */
const ownHandlers = ['', 'podwright'];

/** A creation is not its caller's to cancel. */
const never = new AbortController().signal;

/** How long a monitor may take to make a sandbox, in milliseconds: one that hangs must not hold the pod's name. */
const monitorTimeoutMs = 60_000;

/** Size of a pod's /dev/shm in bytes, as its peers have it. */
const shmBytes = 64 * 1024 * 1024;

/**
 * Makes a sandbox and returns its id when it is READY with its addresses known.
 * A creation goes on when its caller has gone: the retry finds it under the same lock and adopts it (ruling 13).
 */
export async function runSandbox(ports: RunSandboxPorts, input: RunSandboxInput, caller: Caller): Promise<SandboxId> {
  const runtime = runtimeOf(ports.runtimes, input.runtimeHandler);
  const { hostname } = ports.files.hostFiles();
  const plan = planSandbox(input.config, { hostname, defaultSysctls: ports.defaultSysctls });
  if (plan.userns !== null) {
    if (runtime) throw failedPrecondition(`runtime handler ${input.runtimeHandler} has no user namespaces`);
    await needUserNamespaces(ports, plan);
  }
  const key = sandboxKey(input.config.metadata);
  const arrivedAt = ports.now();
  const sandbox = await ports.locks.run(`sandbox ${key}`, caller.signal, async () => {
    const earlier = ports.records.list().find((s) => sandboxKey(s.identity.config.metadata) === key);
    return (earlier && (await adoptEarlier(ports, earlier, { ...input, arrivedAt }))) ?? create(ports, input, plan);
  });
  const { id } = sandbox.identity;
  caller.onDelivered(() => {
    if (ports.records.get(id)) ports.records.update(id, { deliveredAt: ports.now() });
  });
  return id;
}

async function needUserNamespaces(ports: RunSandboxPorts, { network }: SandboxPlan): Promise<void> {
  const trouble = await ports.userNamespaceTrouble(network);
  if (trouble === null) return;
  const pods = network === 'node' ? "pods with the host's network" : 'pods';
  throw failedPrecondition(`${pods} cannot have user namespaces on this node`, trouble);
}

/** What makes the containers of a pod with this handler, null for podwright itself. Throws invalid-argument for an unknown one. */
export function runtimeOf(runtimes: Readonly<Record<string, PodRuntime>>, handler: string): PodRuntime | null {
  if (ownHandlers.includes(handler)) return null;
  const runtime = Object.hasOwn(runtimes, handler) ? runtimes[handler] : undefined;
  if (runtime) return runtime;
  const known = [...ownHandlers, ...Object.keys(runtimes)].map((name) => JSON.stringify(name)).join(', ');
  throw invalidArgument(`runtime handler ${handler} is not configured; known: ${known}`);
}

interface Arrived extends RunSandboxInput {
  /** When the call came: an earlier one that had not answered then is shared. */
  readonly arrivedAt: bigint;
}

/** What an earlier call under the same key left: to be joined, refused, or cleared away. */
async function adoptEarlier(ports: RunSandboxPorts, earlier: Sandbox, input: Arrived): Promise<Sandbox | null> {
  const { identity, status } = earlier;
  if (status.phase === 'creating' || status.phase === 'removing') {
    await ports.locks.run(`sandbox ${identity.id}`, never, () => ports.teardown(identity.id));
    return null;
  }
  const field = firstDifference(identity.config, input.config);
  if (field !== null) {
    throw alreadyExists(`sandbox ${identity.id} has the same metadata but another config: ${field} differs`);
  }
  const undelivered = status.deliveredAt === 0n || status.deliveredAt > input.arrivedAt;
  if (status.phase === 'ready' && undelivered && ports.monitors.isAlive(identity.id)) return earlier;
  throw alreadyExists(`sandbox ${identity.id} exists for ${sandboxKey(identity.config.metadata)}`);
}

async function create(ports: RunSandboxPorts, input: RunSandboxInput, plan: SandboxPlan): Promise<Sandbox> {
  const id = ports.newId();
  const { path, owned } = ports.cgroupPathOf(input.config.cgroupParent, id);
  const identity: SandboxIdentity = {
    id,
    config: input.config,
    runtimeHandler: input.runtimeHandler,
    runtime: runtimeOf(ports.runtimes, input.runtimeHandler),
    createdAt: ports.now(),
    cgroupPath: path,
    ownsCgroup: owned,
    selinux: ports.selinux(id, input.config.security.selinux),
  };
  ports.records.create(identity, {
    phase: 'creating',
    ips: [],
    hostInterface: null,
    monitor: null,
    pausePid: 0,
    stopRequestedAt: 0n,
    deliveredAt: 0n,
    updated: null,
  });
  return ports.locks.run(`sandbox ${id}`, never, () =>
    buildOrClearAway(`sandbox ${id}`, {
      build: () => build(ports, identity, plan),
      teardown: () => ports.teardown(id),
    }),
  );
}

async function build(ports: RunSandboxPorts, identity: SandboxIdentity, plan: SandboxPlan): Promise<Sandbox> {
  const { id, config } = identity;
  const { stage } = ports.stages(id, 'RunPodSandbox');
  const [pauseCgroup, monitor] = await allEnded([
    stage('cgroup', () => makeCgroups(ports, identity, plan)),
    stage('monitor', () => ports.monitors.launch(id)),
  ]);
  ports.records.update(id, { monitor: { ...monitor, bootId: ports.bootId } });
  const made = await stage('namespaces', () =>
    ports.monitors.createSandbox(
      id,
      namespaceRequest(ports, { identity, plan, pauseCgroup }),
      AbortSignal.timeout(monitorTimeoutMs),
    ),
  );
  if (pauseCgroup !== null) {
    const path = ports.pauseCgroupOf(identity.cgroupPath, id);
    await ports.cgroups.settle({ path, pid: made.pausePid, description: `podwright sandbox ${id}`, resources: null });
  }
  const attached =
    plan.network === 'pod'
      ? await stage('network', () => ports.network.attach(attachRequest(ports, identity), never))
      : { ips: [], hostInterface: null };
  const host = ports.files.hostFiles();
  const hostNetwork = plan.network === 'node';
  ports.files.writePodFiles(
    id,
    podFiles({ hostname: plan.hostname, ips: attached.ips, dns: config.dns, hostNetwork, host }),
  );
  const { ips, hostInterface } = attached;
  const facts = { ips, hostInterface, pausePid: made.pausePid };
  const { status } = ports.records.get(id) as Sandbox;
  await ports.running({ identity, status: { ...status, ...facts } });
  return ports.records.update(id, { phase: 'ready', ...facts });
}

/** Makes the pod's cgroup, and a leaf for the pause process of a shared pid namespace. */
async function makeCgroups(ports: RunSandboxPorts, identity: SandboxIdentity, plan: SandboxPlan) {
  if (plan.pid !== 'pod') {
    if (identity.ownsCgroup) await ports.cgroups.create(identity.cgroupPath, null);
    return null;
  }
  const facts = await ports.cgroups.create(ports.pauseCgroupOf(identity.cgroupPath, identity.id), null);
  return facts.place;
}

const upper = <M extends string>(mode: M): Uppercase<M> => mode.toUpperCase() as Uppercase<M>;

interface PlacedSandbox {
  readonly identity: SandboxIdentity;
  readonly plan: SandboxPlan;
  readonly pauseCgroup: Awaited<ReturnType<typeof makeCgroups>>;
}

function namespaceRequest(ports: RunSandboxPorts, { identity, plan, pauseCgroup }: PlacedSandbox) {
  const own = plan.network === 'pod';
  return {
    sandboxId: identity.id,
    net: upper(plan.network),
    ipc: upper(plan.ipc),
    pid: upper(plan.pid),
    uts: own ? ('POD' as const) : ('NODE' as const),
    netnsPin: own ? ports.netnsPin(identity.id) : '',
    hostname: own ? plan.hostname : '',
    sysctls: plan.sysctls,
    shmBytes,
    pauseCgroup,
    oomScoreAdj: -998,
    mountLabel: identity.selinux?.mount ?? '',
    user: plan.userns && { uids: idRange(plan.userns.uids), gids: idRange(plan.userns.gids) },
  };
}

const idRange = ({ containerId, hostId, length }: IdMapping): IdRange => ({
  inside: containerId,
  outside: hostId,
  count: length,
});

function attachRequest(ports: RunSandboxPorts, { id, config, cgroupPath }: SandboxIdentity) {
  const { metadata, portMappings, annotations } = config;
  return {
    sandboxId: id,
    netns: ports.netnsPin(id),
    podName: metadata.name,
    podNamespace: metadata.namespace,
    podUid: metadata.uid,
    portMappings: portMappings.filter((m) => m.hostPort > 0),
    dns: config.dns ?? { servers: [], searches: [], options: [] },
    annotations,
    cgroupParent: cgroupPath,
  };
}
