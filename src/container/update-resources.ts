// UpdateContainerResources: limits of a live container change together or not at all.
import { Failure, failedPrecondition, failureChain } from '../lib/failure.ts';
import type { KeyedLock } from '../lib/keyed-lock.ts';
import type { LinuxResources } from '../sandbox/sandbox.ts';
import { containerState, mayAct } from './container.ts';
import { findContainer } from './list.ts';
import { cgroupResources, type ContainerCgroups, type ContainerRecords } from './ports.ts';

export interface UpdateResourcesPorts {
  readonly records: ContainerRecords;
  readonly locks: KeyedLock;
  readonly cgroups: Pick<ContainerCgroups, 'read' | 'update'>;
}

export interface UpdateResourcesInput {
  readonly id: string;
  readonly resources: LinuxResources;
  /** Tasks that it may have, -1 for any number; absent or null: left alone. CRI does not ask for it, plugins do. */
  readonly pidsLimit?: number | null;
}

/**
 * PURE: memory and swap together after an update. The kernel keeps the room for swap where memory alone changes
 * (`memory.swap.max`; with v1 the cgroup room moves memsw along). Null where no total says it: beside memory without a limit.
 */
function swapAfter(before: LinuxResources, update: LinuxResources): number | null {
  if (update.memorySwapLimitBytes !== null) return update.memorySwapLimitBytes;
  const { memoryLimitBytes: from, memorySwapLimitBytes: total } = before;
  const to = update.memoryLimitBytes;
  if (to === null || total === null || total < 0) return total;
  return from === null || from < 0 || to < 0 ? null : total + to - from;
}

/** PURE: what a container's limits are after an update; what the update leaves out stays. */
export function mergeResources(before: LinuxResources | null, update: LinuxResources): LinuxResources {
  if (before === null) return update;
  const pages = new Map([...before.hugepageLimits, ...update.hugepageLimits].map((h) => [h.pageSize, h]));
  return {
    cpuPeriod: update.cpuPeriod ?? before.cpuPeriod,
    cpuQuota: update.cpuQuota ?? before.cpuQuota,
    cpuShares: update.cpuShares ?? before.cpuShares,
    memoryLimitBytes: update.memoryLimitBytes ?? before.memoryLimitBytes,
    memorySwapLimitBytes: swapAfter(before, update),
    oomScoreAdj: update.oomScoreAdj !== 0 ? update.oomScoreAdj : before.oomScoreAdj,
    cpusetCpus: update.cpusetCpus !== '' ? update.cpusetCpus : before.cpusetCpus,
    cpusetMems: update.cpusetMems !== '' ? update.cpusetMems : before.cpusetMems,
    hugepageLimits: [...pages.values()],
    unified: { ...before.unified, ...update.unified },
  };
}

/** The failure of a record, told with what kept the kernel from taking the limits back. */
function unrecorded(id: string, error: unknown, left: unknown): Failure {
  const kind = error instanceof Failure ? error.kind : 'internal';
  const message = `container ${id} keeps limits that are not on record (${failureChain(left)})`;
  return new Failure(kind, message, { cause: error });
}

/** Updates the limits; a zero field is left alone. Memory below what is in use is refused, unchanged. */
export async function updateContainerResources(
  ports: UpdateResourcesPorts,
  input: UpdateResourcesInput,
  signal: AbortSignal,
): Promise<void> {
  const { id } = findContainer(ports.records, input.id).identity;
  await ports.locks.run(`container ${id}`, signal, async () => {
    const container = findContainer(ports.records, id);
    const state = containerState(container);
    if (!mayAct('update', state)) throw failedPrecondition(`container ${id} is ${state}: its limits are gone`);
    const { cgroupPath } = container.identity;
    const limits = await ports.cgroups.read(cgroupPath);
    const { resources, pidsLimit = null } = input;
    await ports.cgroups.update(cgroupPath, { ...cgroupResources(resources), pidsLimit });
    try {
      ports.records.update(id, { resources: mergeResources(container.status.resources, input.resources) });
    } catch (error) {
      // nobody would know of the new ones: all of an update or nothing
      const old = { ...limits, unified: container.status.resources?.unified ?? {} };
      throw await ports.cgroups.update(cgroupPath, old).then(
        () => error,
        (left: unknown) => unrecorded(id, error, left),
      );
    }
  });
}
