// What containers, pods and file systems use, as the border needs it from the stats and image rooms.
// Must not measure anything. Times are unix nanoseconds; null = the kernel does not say.
import type { Container } from '../container/container.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';

/**
 * What a cgroup's reading gave, as protobuf: the fields of ContainerStats (cpu, memory, swap, io) or of
 * LinuxPodSandboxStats (cpu, memory, process, io). Empty when there was nothing to read.
 */
export type EncodedUsage = Uint8Array;

/** CRI FilesystemUsage; `mountpoint` is one the kubelet can statfs(2). */
export interface FilesystemUsage {
  readonly timestamp: bigint;
  readonly mountpoint: string;
  readonly usedBytes: bigint;
  readonly inodesUsed: bigint;
}

/** CRI ContainerStats. */
export interface ContainerUsage {
  readonly container: Container;
  readonly measured: EncodedUsage;
  readonly writableLayer: FilesystemUsage;
}

/** CRI NetworkInterfaceUsage. */
export interface InterfaceUsage {
  readonly name: string;
  readonly rxBytes: bigint;
  readonly rxErrors: bigint;
  readonly txBytes: bigint;
  readonly txErrors: bigint;
}

/** CRI NetworkUsage. */
export interface NetworkUsage {
  readonly timestamp: bigint;
  readonly defaultInterface: InterfaceUsage | null;
  readonly others: readonly InterfaceUsage[];
}

/** CRI PodSandboxStats on Linux. */
export interface SandboxUsage {
  readonly sandbox: Sandbox;
  readonly measured: EncodedUsage;
  /** Null with the host's network. */
  readonly network: NetworkUsage | null;
  readonly containers: readonly ContainerUsage[];
}

/** CRI ContainerStatsFilter and PodSandboxStatsFilter; "" and {} match all. */
export interface UsageFilter {
  readonly id: string;
  /** "" for the stats of sandboxes. */
  readonly podSandboxId: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** CRI MetricDescriptor. */
export interface MetricDescriptor {
  readonly name: string;
  readonly help: string;
  readonly labelKeys: readonly string[];
}

/** What a CRI Metric is called and how it counts: one object for each metric, the same in every call. */
export interface MetricHead {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
}

/**
 * Takes a value of a metric: a number, at least 0. `labels` are the values of the metric's own labels, behind those
 * of the base; sets of one call have the same array for the same values.
 */
export type TakeMetric = (metric: MetricHead, labels: readonly string[], value: number) => void;

/** What was measured of one pod or container. */
export interface MetricSet {
  /** Values of the labels that all of its metrics have, in the order of their descriptors' first keys; never changed. */
  readonly base: readonly string[];
  /** Tells all values, made as they are told; the same each time. */
  readonly tell: (take: TakeMetric) => void;
}

/** CRI PodSandboxMetrics. */
export interface PodMetrics extends MetricSet {
  readonly sandboxId: string;
  readonly containers: readonly (MetricSet & { readonly containerId: string })[];
}
