// The one way down for a sandbox and all that is in it: total, idempotent, goes on after a failure.
import type { KeyedLock } from '../lib/keyed-lock.ts';
import { ResultList } from '../lib/result-list.ts';
import type { SandboxCgroups, SandboxFiles, SandboxMonitors, SandboxNetwork, SandboxRecords } from './ports.ts';
import type { PodRuntime, Sandbox } from './sandbox.ts';

export interface ReleasePorts {
  readonly records: SandboxRecords;
  readonly cgroups: Pick<SandboxCgroups, 'kill' | 'remove'>;
  readonly monitors: Pick<SandboxMonitors, 'shutdown' | 'endWithoutSocket' | 'isAlive'>;
  readonly network: Pick<SandboxNetwork, 'detach'>;
  readonly files: Pick<SandboxFiles, 'removeSandboxFiles' | 'hasNetnsPin'>;
  readonly netnsPin: (id: string) => string;
  /** The boot that is now: a pin of an earlier one holds no namespace (ruling 15). */
  readonly bootId: string;
  /** Unpins a netns whose monitor cannot do it any more; nothing to do is success. */
  readonly unpinNetns: (path: string) => Promise<void>;
  /** Ids of the sandbox's containers. */
  readonly containersOf: (sandboxId: string) => readonly string[];
  /** Kills a container and records its exit; the container's record stays. */
  readonly haltContainer: (containerId: string) => Promise<void>;
  /** Makes a runtime forget a container, or its own one of a pod. */
  readonly deleteByRuntime: (runtime: PodRuntime, container: { sandboxId: string; id: string }) => Promise<void>;
  readonly containerCgroup: (containerId: string) => string | null;
  /** Of the pause process, or of the sandbox that a runtime has of its own, below the pod's. */
  readonly pauseCgroupOf: (sandboxCgroup: string, id: string) => string;
}

export interface TeardownPorts extends ReleasePorts {
  readonly locks: KeyedLock;
  /** Removes a container; called with its lock held. */
  readonly teardownContainer: (containerId: string) => Promise<void>;
}

const shutdownTimeoutMs = 20_000;
const never = new AbortController().signal;

/** How far a release goes. */
export interface ReleaseExtent {
  /** Whether the network is left owed, holding nothing else back: its DEL has failed, and there is no later here. */
  readonly leaveNetwork: boolean;
}

/** Frees what a sandbox holds of the host: processes, network, namespaces, cgroups. Records stay. */
export async function releaseSandbox(
  ports: ReleasePorts,
  sandbox: Sandbox,
  { leaveNetwork }: ReleaseExtent = { leaveNetwork: false },
): Promise<void> {
  const { id, cgroupPath, ownsCgroup, runtime } = sandbox.identity;
  const results = new ResultList();
  await results.attempt('end a monitor that nobody can reach', () => ports.monitors.endWithoutSocket(id));
  const containers = ports.containersOf(id);
  await Promise.all(
    containers.map((each) => results.attempt(`stop container ${each}`, () => ports.haltContainer(each))),
  );
  const { network, pid } = sandbox.identity.config.security.namespaces;
  const pin = ports.netnsPin(id);
  const pinned = ports.files.hasNetnsPin(id);
  const netns = pinned && sandbox.status.monitor?.bootId === ports.bootId ? pin : null;
  if (network !== 'node' && !leaveNetwork) {
    await results.attempt('release the network', () => ports.network.detach(id, netns));
  }
  // With the network still owed, its namespace must stay: a plugin's DEL needs it.
  if (results.ok) {
    await results.attempt('end the monitor', () => ports.monitors.shutdown(id, AbortSignal.timeout(shutdownTimeoutMs)));
    if (results.ok && pinned) await results.attempt('unpin the network namespace', () => ports.unpinNetns(pin));
    // one that was still in the making when the others were stopped ended with the monitor
    for (const each of ports.containersOf(id))
      await results.attempt(`stop container ${each}`, () => ports.haltContainer(each));
  }
  // a dead monitor leaves its pause process, and no monitor ends the sandbox that a runtime has of its own
  if (results.ok && (pid === 'pod' || runtime))
    await results.attempt('end the pause process', () => ports.cgroups.kill(ports.pauseCgroupOf(cgroupPath, id)));
  if (results.ok && runtime?.type === 'runsc')
    await results.attempt('delete its sandbox', () => ports.deleteByRuntime(runtime, { sandboxId: id, id }));
  // a cgroup with a process in it cannot go, and trying takes its time
  if (results.ok) {
    await results.attempt('remove cgroups', async () => {
      const below = [
        ports.pauseCgroupOf(cgroupPath, id),
        ...containers.flatMap((each) => ports.containerCgroup(each) ?? []),
      ];
      await ports.cgroups.remove(below);
      if (ownsCgroup) await ports.cgroups.remove([cgroupPath]);
    });
  }
  results.throwIfAny(`stop sandbox ${id}`);
}

/** Takes a sandbox down whole: what it holds, its containers, its files, its record. */
export async function teardownSandbox(ports: TeardownPorts, id: string): Promise<void> {
  const results = await takeDown(ports, id, { leaveNetwork: false });
  if (results.ok) await results.attempt('remove the record', () => ports.records.remove(id));
  results.throwIfAny(`tear sandbox ${id} down`);
}

/**
 * Takes a sandbox down whose network cannot be released, all but that: the record stays, and with it what its
 * network is owed, for recovery to try again.
 */
export async function abandonSandbox(ports: TeardownPorts, id: string): Promise<void> {
  const results = await takeDown(ports, id, { leaveNetwork: true });
  results.throwIfAny(`take sandbox ${id} down without its network`);
}

async function takeDown(ports: TeardownPorts, id: string, extent: ReleaseExtent): Promise<ResultList> {
  const results = new ResultList();
  const sandbox = ports.records.get(id);
  if (!sandbox) return results;
  if (sandbox.status.phase !== 'removing') ports.records.update(id, { phase: 'removing' });
  await results.attempt('release', () => releaseSandbox(ports, sandbox, extent));
  for (const each of ports.containersOf(id)) {
    // whoever still makes it holds its lock, and fails now that its monitor has ended
    await results.attempt(`remove container ${each}`, () =>
      ports.locks.run(`container ${each}`, never, () => ports.teardownContainer(each)),
    );
  }
  if (results.ok) await results.attempt('remove files', () => ports.files.removeSandboxFiles(id));
  return results;
}
