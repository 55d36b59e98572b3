// The composition of pods: records, monitors and the verbs over them. Wires, decides nothing.
import { randomBytes } from 'node:crypto';
import type { Cgroups } from '../cgroup/cgroup.ts';
import { containerCgroup, parseCgroupParent, sandboxCgroup } from '../cgroup/path.ts';
import type { Config } from '../config/schema.ts';
import { version } from '../config/version.ts';
import type { ContainerIdentity, ContainerStatus } from '../container/container.ts';
import { recordExit, recordStart } from '../container/exits.ts';
import type { ContainerImageFacts } from '../container/ports.ts';
import { endProcesses } from '../container/stop.ts';
import { teardownContainer } from '../container/teardown.ts';
import { Failure, failureChain } from '../lib/failure.ts';
import type { ContainerId, SandboxId } from '../lib/id.ts';
import { KeyedLock } from '../lib/keyed-lock.ts';
import type { Log } from '../log.ts';
import { Monitors } from '../monitor/monitors.ts';
import { containerFacts, exitFact, monitorRequests } from '../monitor/requests.ts';
import type { Native } from '../native/load.ts';
import type { Network } from '../network/network.ts';
import { capabilitiesOfMask } from '../oci/capabilities.ts';
import { defaultSeccompProfile } from '../oci/seccomp-default.ts';
import type { Paths } from '../paths.ts';
import { parseExitFile } from '../recovery/observe.ts';
import type { SandboxIdentity, SandboxStatus } from '../sandbox/sandbox.ts';
import { teardownSandbox } from '../sandbox/teardown.ts';
import { seccompFilters } from '../seccomp/filters.ts';
import { containerRecords } from '../state/containers.ts';
import { hostFacts } from '../state/host.ts';
import type { RecordWriter } from '../state/record.ts';
import { RunFiles } from '../state/run-files.ts';
import { sandboxRecords } from '../state/sandboxes.ts';
import type { Storage } from '../storage/storage.ts';

/** Stage times of one call on behalf of a sandbox. */
export interface StageClock {
  stage<T>(name: string, work: () => Promise<T>): Promise<T>;
}

/** What the composition stands on. */
export interface Hands {
  readonly config: Config;
  readonly paths: Paths;
  readonly native: Native;
  readonly log: Log;
  readonly now: () => bigint;
  readonly cgroups: Cgroups;
  readonly network: Network;
  readonly writer: RecordWriter;
  readonly images: {
    readonly facts: (reference: string) => ContainerImageFacts | null;
    readonly hold: (chain: readonly string[]) => () => void;
    /** Sweeps soon what no image and no container needs. */
    readonly collect: () => void;
    readonly storage: Storage;
  };
  readonly stages: (sandboxId: string, call: string) => StageClock;
}

const hexId = (): string => randomBytes(32).toString('hex');

/** Parent of everything that we make when no cgroup_parent is given, and of the monitors (RULINGS 9). */
const ownCgroup = '/podwright';
const leaveMs = 3000;
/** How long a monitor may take to kill a container before its pod's stop fails, in milliseconds. */
const haltMs = 60_000;

/** Everything that lives with pods: records, locks, monitors, ports of the verbs. */
export function composePods(hands: Hands) {
  const { config, paths, native, log, cgroups, network, images, writer, now } = hands;
  const { storage } = images;
  const bootId = native.bootId();
  const facts = hostFacts();
  const locks = new KeyedLock();
  const files = new RunFiles(paths);
  const dirs = { trashDir: paths.trashDir, quarantineDir: paths.quarantineDir, writer };
  const sandboxes = sandboxRecords<SandboxIdentity, SandboxStatus>({ dir: paths.sandboxesDir, ...dirs });
  const containers = containerRecords<ContainerIdentity, ContainerStatus>({ dir: paths.containersDir, ...dirs });

  const monitors = new Monitors({
    native,
    socketOf: paths.monitorSocket,
    place: memo(() => cgroups.monitorPlace()),
    daemonVersion: version,
    onEvent: (sandboxId, { exit, oom, logTrouble }) => {
      if (exit) recordExit(containers, exitFact(exit));
      if (oom) log.warn({ sandboxId, ...oom }, 'the kernel killed a process of the container for its memory limit');
      if (logTrouble) log.warn({ sandboxId, ...logTrouble }, 'output of the container cannot be logged and is dropped');
    },
    onState: (_, hello) => {
      for (const fact of containerFacts(hello)) {
        recordStart(containers, fact);
        if (fact.exit) recordExit(containers, fact.exit);
      }
    },
    onGone: (sandboxId) => {
      log.error({ sandboxId }, 'the monitor of the sandbox is dead; its containers are ended');
      void loseContainersOf(sandboxId);
    },
  });
  const requests = monitorRequests(monitors);
  const snapshots = {
    prepare: (id: string) => storage.snapshots.prepare(id),
    lowerDirs: (chain: readonly string[]) => storage.layers.lowerDirs(chain),
    remove: (id: string) => storage.snapshots.remove(id),
    readFile: (chain: readonly string[], path: string) => storage.rootfsFiles.read(chain, path),
  };
  const seccomp = seccompFilters({
    compile: native.seccompCompile,
    defaultProfile: (capabilities) => defaultSeccompProfile(capabilities, process.arch === 'arm64' ? 'arm64' : 'x64'),
    root: config.container.seccompRoot,
  });
  const { stages } = hands;
  const containerPorts = { records: containers, locks, monitors: requests, cgroups, snapshots, files, now, stages };
  const teardownOne = async (id: string): Promise<void> => {
    const imageId = containers.get(id)?.identity.imageId;
    await teardownContainer(containerPorts, id);
    if (imageId !== undefined && images.facts(imageId) === null) images.collect();
  };
  const containersOf = (sandboxId: string): ContainerId[] =>
    containers.list().flatMap(({ identity }) => (identity.sandboxId === sandboxId ? [identity.id] : []));

  async function loseContainersOf(sandboxId: string): Promise<void> {
    for (const id of containersOf(sandboxId)) {
      try {
        const seen = parseExitFile(files.readExit(id), id, bootId);
        if (seen) recordExit(containers, seen);
        await haltContainer(id);
      } catch (error) {
        log.error({ sandboxId, containerId: id, error: failureChain(error) }, 'ending a container without its monitor');
      }
    }
  }
  async function haltContainer(id: string): Promise<void> {
    const container = containers.get(id);
    if (container) await endProcesses(containerPorts, container, { timeoutMs: 0, signal: AbortSignal.timeout(haltMs) });
  }

  const releasePorts = {
    records: sandboxes,
    cgroups,
    monitors: requests,
    network,
    files,
    netnsPin: paths.netnsPin,
    bootId,
    unpinNetns: async (path: string) => void (await native.netnsUnpin({ path })),
    containersOf,
    haltContainer,
    containerCgroup: (id: string) => containers.get(id)?.identity.cgroupPath ?? null,
  };
  const teardown = (id: string): Promise<void> => teardownSandbox({ ...releasePorts, locks, teardownContainer: teardownOne }, id);
  async function processesIn(path: string): Promise<number> {
    try {
      return (await cgroups.procs(path)).length;
    } catch (error) {
      if (error instanceof Failure && error.kind === 'not-found') return 0;
      throw error;
    }
  }

  /** Takes our own part of the cgroup tree away once nobody is in it: monitors leave shortly after their answer. */
  async function removeOwnCgroups(): Promise<void> {
    const until = Date.now() + leaveMs;
    while ((await processesIn(ownCgroup)) > 0) {
      if (Date.now() > until) return; // another daemon's pods live there: the last one removes it
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await cgroups.remove([ownCgroup]);
  }

  const ulimits = Object.fromEntries(config.container.defaultUlimits.map(({ name, soft, hard }) => [name, { soft, hard }]));
  return {
    bootId,
    facts,
    locks,
    files,
    monitors,
    requests,
    sandboxes,
    containers,
    containerPorts,
    releasePorts,
    teardownSandbox: teardown,
    teardownContainer: teardownOne,
    containersOf,
    removeOwnCgroups,
    runPorts: {
      ...releasePorts,
      locks,
      teardown,
      now,
      bootId,
      stages,
      newId: () => hexId() as SandboxId,
      cgroupPathOf: sandboxCgroup,
    },
    createPorts: {
      ...containerPorts,
      sandboxes,
      images: { find: images.facts, hold: images.hold },
      seccomp,
      teardown: teardownOne,
      newId: () => hexId() as ContainerId,
      bootId,
      host: {
        capabilities: capabilitiesOfMask(facts.capabilityMask),
        defaultCapabilities: config.container.capabilities,
        rlimits: ulimits,
        ownCgroupNamespace: cgroups.version !== 'v1',
      },
      maxLogLineBytes: config.container.maxLogLine,
      cgroupPathOf: (parent: string, id: string) => containerCgroup(parseCgroupParent(parent) ?? { spelling: 'cgroupfs', path: parent }, id),
      netnsPin: paths.netnsPin,
      onNote: noteOnce(log),
    },
    execPorts: { records: containers, monitors: requests, files, seccomp, newExecId: hexId },
  };
}

export type Pods = ReturnType<typeof composePods>;

/** Remembers the first success of `work`. */
function memo<T>(work: () => Promise<T>): () => Promise<T> {
  let known: Promise<T> | null = null;
  return () => {
    known ??= work().catch((error: unknown) => {
      known = null;
      throw error;
    });
    return known;
  };
}

/** Logs each kind of note once: a clamped limit is the host's property, not the container's. */
function noteOnce(log: Log): (containerId: string, note: string) => void {
  const told = new Set<string>();
  return (containerId, note) => {
    const kind = note.replace(/-?\d+/g, 'N');
    if (told.has(kind)) return;
    told.add(kind);
    log.warn({ containerId, note }, 'the host does not allow all that was asked; the same is not told again');
  };
}
