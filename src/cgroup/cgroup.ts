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
import { type CgroupDriver, expandSlice, isScope, isSlice, type OwnCgroups, ownCgroups } from './path.ts';
import { type EncodedUsage, usageMessages } from './usage-answer.ts';

export type { EncodedUsage } from './usage-answer.ts';
export type { CgroupFacts, CgroupPlace, CgroupStats, CgroupTasks, CgroupVersion } from '../native/boundary.ts';

/**
 * Limits in the units of CRI LinuxContainerResources. In a request `null`, `''`, `[]` and `{}`
 * leave a value alone; in an answer they mean that the host has no such value. -1 = unlimited.
 */
export type Resources = CgroupResources;

/** A process in a cgroup that was made here. */
export interface CgroupMember {
  readonly path: string;
  readonly pid: number;
  /** What systemd shows. */
  readonly description: string;
  /** The limits of the creation, null for none. */
  readonly resources: Resources | null;
  /** It was made with a delegated cgroup, and the process is there. */
  readonly delegated?: boolean;
}

/** What the owner of a delegated cgroup may do at most. */
export interface CgroupBounds {
  /** How many cgroups it may make. */
  readonly maxDescendants: number;
}

/** Paths of cgroups whose usage is wanted: what is told of them differs. */
export interface UsageQuestion {
  readonly containers: readonly string[];
  readonly pods: readonly string[];
}

/** Their usage, in order. */
export interface UsageAnswer {
  readonly containers: readonly EncodedUsage[];
  readonly pods: readonly EncodedUsage[];
}

/** What the control plane asks of cgroups. Paths are those of `path.ts`. */
export interface Cgroups {
  readonly version: CgroupVersion;
  readonly driver: CgroupDriver;
  /** Where our own are. */
  readonly own: OwnCgroups;
  /**
   * Makes the cgroup in every hierarchy and applies `resources`; one that is there is kept.
   * Nothing is left behind on failure. With `delegated` the processes get a cgroup below it, which they may divide
   * (cgroup v2 only).
   */
  create(path: string, resources: Resources | null, delegated?: CgroupBounds | null): Promise<CgroupFacts>;
  /**
   * Changes limits, all or none, and answers what the kernel now has.
   *
   * @throws failed-precondition when a memory limit is below usage or a controller is missing,
   *   invalid-argument for a value the kernel does not take, not-found without the cgroup.
   */
  update(path: string, resources: Resources): Promise<Resources>;
  /** The limits the kernel has. */
  read(path: string): Promise<Resources>;
  /** What CRI reports of many cgroups, in one call, in order. Each has its own time, at or after `now` (unix nanoseconds). */
  usage(of: UsageQuestion, now: bigint): Promise<UsageAnswer>;
  /** All that is counted of many cgroups, in one call, in order; `null` for one that does not exist. */
  stats(paths: readonly string[]): Promise<readonly (CgroupStats | null)[]>;
  /** What runs in many cgroups and below them, in order; nothing in one that does not exist. `mainPid` 0: none. */
  tasks(groups: readonly { readonly path: string; readonly mainPid: number }[]): Promise<readonly CgroupTasks[]>;
  /**
   * To be called once a process is in a cgroup that was made here: systemd takes it over as a scope, and what it writes
   * there is put right by `resources`, those of the creation. With the cgroupfs driver there is nothing to do, but for
   * a delegated cgroup: its controllers are handed on.
   */
  settle(member: CgroupMember): Promise<void>;
  /** Kills every process in it and below, and waits until none is left (at most 10 s). */
  kill(path: string): Promise<void>;
  /** Every process in it and below. */
  procs(path: string): Promise<readonly number[]>;
  /** Removes cgroups and what is below them; missing ones are no error. Processes in them are: EBUSY. */
  remove(paths: readonly string[]): Promise<void>;
  /** Where monitors are put; makes the leaf if need be, with these limits. */
  monitorPlace(limits: Resources | null): Promise<CgroupPlace>;
  /**
   * Puts a process that runs already, with all its threads, into a cgroup that is made if need be, and settles it there.
   * Answers what puts it back where it was.
   */
  enter(member: CgroupMember): Promise<() => Promise<void>>;
  /** Takes a cgroup away that `enter` made, with its unit: all that was in it must be gone. */
  vacate(path: string): Promise<void>;
  /** Writes values again that are in force for us: systemd may have put its own in their place. */
  rewrite(path: string, resources: Resources): Promise<void>;
  /** Settles when systemd has read its units again; null with the cgroupfs driver. */
  reloaded(): Promise<unknown> | null;
}

/** The part of the addon used here. */
export type CgroupNative = Pick<Native, keyof CgroupsExports>;

/**
 * Looks at the host's hierarchies and makes the port over them. `auto`: systemd where it can.
 *
 * @throws failed-precondition for systemd on a host whose process 1 it is not, or without cgroup v2.
 */
export function createCgroups(native: CgroupNative, wanted: CgroupDriver | 'auto'): Cgroups {
  const { version, systemd } = native.cgroupDetect();
  if (wanted === 'systemd' && !systemd) {
    throw failedPrecondition(
      'cgroup.driver is systemd, but this host has no systemd with cgroup v2; set it to cgroupfs or auto',
    );
  }
  const driver = wanted === 'auto' ? (systemd ? 'systemd' : 'cgroupfs') : wanted;
  const own = ownCgroups[driver];
  // a scope of an earlier start with the other driver is systemd's too
  const bySystemd = (path: string): boolean => systemd && isScope(path);
  const settle = ({ path, pid, description, resources, delegated = false }: CgroupMember): Promise<void> =>
    doing(`make a scope of cgroup ${path}`, async () => {
      if (driver === 'systemd' && isScope(path)) {
        await native.systemdStartScope({ path, pid, description });
        // systemd has an opinion of files for which it was told nothing (memory.oom.group, memory.min)
        if (resources) await native.cgroupUpdate({ path, resources });
      }
      if (delegated) await native.cgroupHandOn({ path, pid });
    });
  return {
    version,
    driver,
    own,
    create: (path, resources, delegated = null) =>
      doing(`create cgroup ${path}`, async () => (await native.cgroupCreate({ path, resources, delegated })).facts),
    update: (path, resources) =>
      doing(`update cgroup ${path}`, async () => {
        const change = bySystemd(path) ? native.systemdUpdate : native.cgroupUpdate;
        return change({ path, resources });
      }),
    rewrite: (path, resources) =>
      doing(`write limits of cgroup ${path} again`, async () => void (await native.cgroupUpdate({ path, resources }))),
    reloaded: () => (driver === 'systemd' ? doing('wait for systemd', native.systemdReloaded) : null),
    ...readings(native),
    kill: (path) => doing(`kill cgroup ${path}`, async () => void (await native.cgroupKill({ path }))),
    remove: (paths) =>
      doing(`remove cgroup ${paths.join(', ')}`, async () => {
        await native.cgroupRemove({ paths });
        // an empty scope ends by itself, a slice does not; their cgroups are gone, so nobody is in them
        const slices = systemd ? paths.filter(isSlice) : [];
        const nested = slices.includes(own.root) ? [expandSlice('podwright-pods.slice')] : [];
        if (slices.length > 0) await native.systemdStopUnits({ paths: [...nested, ...slices] });
      }),
    monitorPlace: (limits) =>
      doing(`create cgroup ${own.monitors}`, async () => {
        if (limits === null) return native.cgroupMonitorLeaf({ path: own.monitors });
        return (await native.cgroupCreate({ path: own.monitors, resources: limits, delegated: null })).facts.place;
      }),
    settle,
    vacate: (path) =>
      doing(`take away cgroup ${path}`, async () => {
        // first the unit: one whose cgroup is made again before systemd has seen it go would never end
        if (bySystemd(path)) await native.systemdStopUnits({ paths: [path] });
        await native.cgroupRemove({ paths: [path] });
      }),
    enter: (member) => doing(`enter cgroup ${member.path}`, () => enter(native, settle, member)),
  };
}

/** Does something, and says what it was when it fails. */
async function doing<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw cgroupFailure(what, error);
  }
}

/** What only looks. */
const readings = (native: CgroupNative): Pick<Cgroups, 'read' | 'usage' | 'stats' | 'tasks' | 'procs'> => ({
  read: (path) => doing(`read limits of cgroup ${path}`, () => native.cgroupRead({ path })),
  usage: (of, now) => doing('read cgroup usage', () => usageOf(native, of, now)),
  stats: (paths) => doing('read cgroup usage', () => native.cgroupStats({ paths })),
  tasks: (groups) => doing('look at processes of cgroups', () => native.cgroupTasks({ groups })),
  procs: (path) => doing(`list processes of cgroup ${path}`, () => native.cgroupProcs({ path })),
});

/** How often a process is put into a cgroup that systemd takes away at that moment. */
const entries = 5;

async function enter(
  native: CgroupNative,
  settle: Cgroups['settle'],
  member: CgroupMember,
): Promise<() => Promise<void>> {
  const { path, pid, resources } = member;
  for (let left = entries; ; left -= 1) {
    await native.cgroupCreate({ path, resources, delegated: null });
    try {
      const dirs = await native.cgroupJoin({ path, pid });
      await settle(member);
      return async () => void (await native.cgroupRejoin({ dirs, pid }));
    } catch (error) {
      // the scope of that name had emptied, and went when it was about to be used again
      const gone = error instanceof NativeError && (error.errno === errno.ENOENT || error.errno === errno.ENODEV);
      if (!gone || left === 1) throw error;
    }
  }
}

async function usageOf(native: CgroupNative, { containers, pods }: UsageQuestion, now: bigint): Promise<UsageAnswer> {
  const answer = await native.cgroupUsage({ containers, pods, now: String(now) });
  const all = usageMessages(answer, containers.length + pods.length);
  return { containers: all.slice(0, containers.length), pods: all.slice(containers.length) };
}

/** The addon's stage names that are not system calls (native/crates/addon/src/cgroups.rs). */
const stageFailures = {
  systemd: internal,
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
