// UpdateContainerResources: limits of a live container change together or not at all.
import { Failure, failedPrecondition, failureChain } from '../lib/failure.ts';
import type { KeyedLock } from '../lib/keyed-lock.ts';
import type { LinuxResources } from '../sandbox/sandbox.ts';
import { type Container, containerState, mayAct } from './container.ts';
import { withoutStale } from './field-files.ts';
import { findContainer } from './list.ts';
import { cgroupResources, type CgroupResources, type ContainerCgroups, type ContainerRecords } from './ports.ts';
import { namedLimits, takeBack } from './take-back.ts';

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

/** PURE: what a container's limits are after an update; what the update leaves out stays, in whatever words it was said. */
export function mergeResources(
  recorded: LinuxResources | null,
  update: LinuxResources,
  pidsLimit: number | null = null,
): LinuxResources {
  if (recorded === null) return update;
  const before = withoutStale(recorded, { resources: update, pidsLimit });
  const pids = pidsLimit !== null && 'pids.max' in recorded.unified;
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
    // no field on record has it
    unified: { ...before.unified, ...(pids && { 'pids.max': pidsText(pidsLimit) }), ...update.unified },
  };
}

const pidsText = (limit: number): string => (limit < 0 ? 'max' : String(limit));

/**
 * PURE: what the kernel is told for an update. A container that is idle no more has lost its weight: the one on record is
 * told again, which may also have been asked for while it was idle, when the kernel takes none.
 */
export function toldResources(before: LinuxResources | null, update: LinuxResources): LinuxResources {
  const weights = ({ unified }: LinuxResources) =>
    Object.entries(unified).filter(([key]) => key.startsWith('cpu.weight'));
  const isIdleNoMore = update.unified['cpu.idle']?.trim() === '0';
  if (before === null || !isIdleNoMore || update.cpuShares !== null || weights(update).length > 0) return update;
  return {
    ...update,
    cpuShares: before.cpuShares,
    unified: { ...Object.fromEntries(weights(before)), ...update.unified },
  };
}

/** The limits of before are those on record again: records know a change although it could not be written. */
function backOnRecord({ records }: UpdateResourcesPorts, { identity, status }: Container): void {
  try {
    records.update(identity.id, { resources: status.resources });
  } catch {
    // for the same reason as the update, which is told
  }
}

/** Takes an update back in the kernel; the failure of its record, told with the limits that stay. */
async function undone(ports: UpdateResourcesPorts, container: Container, made: Undo): Promise<unknown> {
  const { id, cgroupPath } = container.identity;
  const { error, before, update } = made;
  const { resources, lost } = takeBack({ before, recorded: container.status.resources, update });
  const stays = (names: readonly string[], why: string): Failure => {
    const kind = error instanceof Failure ? error.kind : 'internal';
    const message = `container ${id} keeps limits that are not on record, ${names.join(', ')} (${why})`;
    return new Failure(kind, message, { cause: error });
  };
  try {
    await ports.cgroups.update(cgroupPath, resources);
  } catch (left) {
    return stays(namedLimits(update), failureChain(left));
  }
  return lost.length === 0 ? error : stays(lost, 'what they were is not known');
}

interface Undo {
  /** Why the update is not on record. */
  readonly error: unknown;
  readonly before: CgroupResources;
  readonly update: CgroupResources;
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
    const before = await ports.cgroups.read(cgroupPath);
    const { resources, pidsLimit = null } = input;
    const update = { ...cgroupResources(toldResources(container.status.resources, resources)), pidsLimit };
    await ports.cgroups.update(cgroupPath, update);
    try {
      ports.records.update(id, { resources: mergeResources(container.status.resources, resources, pidsLimit) });
    } catch (error) {
      backOnRecord(ports, container);
      // nobody would know of the new ones: all of an update or nothing
      throw await undone(ports, container, { error, before, update });
    }
  });
}
