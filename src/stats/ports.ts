// What the verbs of stats ask of the rest of the house.
import type { Container } from '../container/container.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { CgroupStats, CgroupTasks, UsageAnswer, UsageQuestion } from '../cgroup/cgroup.ts';

export type { CgroupTasks } from '../cgroup/cgroup.ts';

/** Bytes and inodes of a writable layer, and when they were measured (unix nanoseconds). */
export interface LayerUsage {
  readonly bytes: number;
  readonly inodes: number;
  readonly at: bigint;
}

/** Traffic of one interface of a pod, as the pod sees it. */
export interface InterfaceCounters {
  readonly name: string;
  readonly rxBytes: number;
  readonly rxErrors: number;
  readonly txBytes: number;
  readonly txErrors: number;
}

/** Traffic of one interface in bytes and packets. */
export interface InterfaceTraffic extends InterfaceCounters {
  readonly rxPackets: number;
  readonly rxDropped: number;
  readonly txPackets: number;
  readonly txDropped: number;
}

export interface StatsPorts {
  readonly containers: { readonly list: () => Container[]; readonly find: (id: string) => Container | undefined };
  readonly sandboxes: { readonly list: () => Sandbox[]; readonly find: (id: string) => Sandbox | undefined };
  readonly cgroupUsage: (of: UsageQuestion, now: bigint) => Promise<UsageAnswer>;
  /** Writable layers of containers, in order. Each has a time of its own, which may be before the call. */
  readonly layerUsages: (containerIds: readonly string[]) => Promise<readonly LayerUsage[]>;
  readonly interfaces: (sandbox: Sandbox) => Promise<readonly InterfaceCounters[]>;
  readonly snapshotsDir: string;
  readonly now: () => bigint;
}

/** What metrics ask for beyond statistics. */
export interface MetricPorts extends Pick<StatsPorts, 'containers' | 'sandboxes' | 'layerUsages' | 'now'> {
  readonly cgroupStats: (paths: readonly string[]) => Promise<readonly (CgroupStats | null)[]>;
  /** What runs in cgroups, in order. */
  readonly cgroupTasks: (
    groups: readonly { readonly path: string; readonly mainPid: number }[],
  ) => Promise<readonly CgroupTasks[]>;
  readonly interfaces: (sandbox: Sandbox) => Promise<readonly InterfaceTraffic[]>;
  /** The file system that writable layers are on. */
  readonly layerRoom: () => Promise<LayerRoom>;
  /** "/dev/sda" of a block device; "major:minor" of one without a name. */
  readonly deviceName: (major: number, minor: number) => string;
}

/** Room of a file system. */
export interface LayerRoom {
  readonly device: string;
  readonly totalBytes: number;
  readonly totalInodes: number;
  readonly freeInodes: number;
}
