// The hand that makes, limits, reads, kills and removes cgroups through the addon.
// Must not hold a default, choose a path, or know pods and containers.
import { type Failure, failedPrecondition, internal, invalidArgument, notFound } from '../lib/failure.ts';
import type {
  CgroupFacts,
  CgroupPlace,
  CgroupResources,
  CgroupStats,
  CgroupsExports,
  CgroupTasks,
  CgroupVersion,
} from '../native/boundary.ts';
import { errno, NativeError } from '../native/errors.ts';
import type { Native } from '../native/load.ts';
import { monitorsPath } from './path.ts';
import { type CgroupUsage, readUsageRecords } from './usage-record.ts';

export type { CgroupUsage } from './usage-record.ts';
export type { CgroupFacts, CgroupPlace, CgroupStats, CgroupTasks, CgroupVersion } from '../native/boundary.ts';

/**
 * Limits in the units of CRI LinuxContainerResources. In a request `null`, `''`, `[]` and `{}`
 * leave a value alone; in an answer they mean that the host has no such value. -1 = unlimited.
 */
export type Resources = CgroupResources;

/** What the control plane asks of cgroups. Paths are those of `path.ts`. */
export interface Cgroups {
  readonly version: CgroupVersion;
  /**
   * Makes the cgroup in every hierarchy and applies `resources`; one that is there is kept.
   * Nothing is left behind on failure.
   */
  create(path: string, resources: Resources | null): Promise<CgroupFacts>;
  /**
   * Changes limits, all or none, and answers what the kernel now has.
   *
   * @throws failed-precondition when a memory limit is below usage or a controller is missing,
   *   invalid-argument for a value the kernel does not take, not-found without the cgroup.
   */
  update(path: string, resources: Resources): Promise<Resources>;
  /** The limits the kernel has. */
  read(path: string): Promise<Resources>;
  /** What CRI reports of many cgroups, in one call, in order; `null` for one that does not exist. */
  usage(paths: readonly string[]): Promise<readonly (CgroupUsage | null)[]>;
  /** All that is counted of many cgroups, in one call, in order; `null` for one that does not exist. */
  stats(paths: readonly string[]): Promise<readonly (CgroupStats | null)[]>;
  /** What runs in many cgroups and below them, in order; nothing in one that does not exist. `mainPid` 0: none. */
  tasks(groups: readonly { readonly path: string; readonly mainPid: number }[]): Promise<readonly CgroupTasks[]>;
  /** Kills every process in it and below, and waits until none is left (at most 10 s). */
  kill(path: string): Promise<void>;
  /** Every process in it and below. */
  procs(path: string): Promise<readonly number[]>;
  /** Removes cgroups and what is below them; missing ones are no error. Processes in them are: EBUSY. */
  remove(paths: readonly string[]): Promise<void>;
  /** Where monitors are put; makes the leaf if need be. */
  monitorPlace(): Promise<CgroupPlace>;
}

/** The part of the addon used here. */
export type CgroupNative = Pick<Native, keyof CgroupsExports>;

/** Looks at the host's hierarchies and makes the port over them. */
export function createCgroups(native: CgroupNative): Cgroups {
  const doing = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw cgroupFailure(what, error);
    }
  };
  return {
    version: native.cgroupDetect().version,
    create: (path, resources) =>
      doing(`create cgroup ${path}`, async () => (await native.cgroupCreate({ path, resources })).facts),
    update: (path, resources) => doing(`update cgroup ${path}`, () => native.cgroupUpdate({ path, resources })),
    read: (path) => doing(`read limits of cgroup ${path}`, () => native.cgroupRead({ path })),
    usage: (paths) => doing('read cgroup usage', async () => readUsageRecords(await native.cgroupUsage({ paths }))),
    stats: (paths) => doing('read cgroup usage', () => native.cgroupStats({ paths })),
    tasks: (groups) => doing('look at processes of cgroups', () => native.cgroupTasks({ groups })),
    kill: (path) => doing(`kill cgroup ${path}`, async () => void (await native.cgroupKill({ path }))),
    procs: (path) => doing(`list processes of cgroup ${path}`, () => native.cgroupProcs({ path })),
    remove: (paths) =>
      doing(`remove cgroup ${paths.join(', ')}`, async () => void (await native.cgroupRemove({ paths }))),
    monitorPlace: () => doing(`create cgroup ${monitorsPath}`, () => native.cgroupMonitorLeaf({ path: monitorsPath })),
  };
}

/** The addon's stage names that are not system calls (native/crates/addon/src/cgroups.rs). */
const stageFailures = {
  'memory-below-usage': failedPrecondition,
  'no-controller': failedPrecondition,
  'no-cgroups': failedPrecondition,
  'cgroup-path': invalidArgument,
  'resource-value': invalidArgument,
  'unified-key': invalidArgument,
  'still-populated': internal,
} as const;

/** A native failure in the words of this hand. */
export function cgroupFailure(what: string, error: unknown): Failure {
  if (!(error instanceof NativeError)) return internal(what, error);
  const make = (stageFailures as Readonly<Record<string, typeof internal>>)[error.syscall];
  if (make !== undefined) return make(what, error);
  if (error.errno === errno.ENOENT) return notFound(what, error);
  const refused = error.syscall === 'write' && refusedValue.has(error.errno);
  return refused ? invalidArgument(what, error) : internal(what, error);
}

/** The kernel's answers to a value it does not take: EINVAL, ERANGE, EACCES (a CPU the parent has not). */
const refusedValue: ReadonlySet<number> = new Set([errno.EINVAL, 34, 13]);
