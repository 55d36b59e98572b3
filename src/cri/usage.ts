// What containers, pods and file systems use, as the border needs it from the stats and image rooms.
// Must not measure anything. Times are unix nanoseconds; null = the kernel does not say.
import type { Container } from '../container/container.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';

/** One pressure line (cgroup-v2 `*.pressure`). CRI PsiData. */
export interface PressureLine {
  /** Nanoseconds (the kernel counts microseconds). */
  readonly totalNanos: bigint;
  /** Percent. */
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
}

/** CRI PsiStats. */
export interface Pressure {
  readonly full: PressureLine;
  readonly some: PressureLine;
}

/** CRI CpuUsage. */
export interface CpuUsage {
  readonly timestamp: bigint;
  readonly usageCoreNanos: bigint;
  readonly usageNanoCores: bigint | null;
  readonly pressure: Pressure | null;
}

/** CRI MemoryUsage. */
export interface MemoryUsage {
  readonly timestamp: bigint;
  readonly workingSetBytes: bigint;
  /** Only with a limit. */
  readonly availableBytes: bigint | null;
  readonly usageBytes: bigint;
  readonly rssBytes: bigint;
  readonly pageFaults: bigint;
  readonly majorPageFaults: bigint;
  readonly pressure: Pressure | null;
}

/** CRI SwapUsage. */
export interface SwapUsage {
  readonly timestamp: bigint;
  readonly availableBytes: bigint | null;
  readonly usageBytes: bigint;
}

/** CRI IoUsage. */
export interface IoUsage {
  readonly timestamp: bigint;
  readonly pressure: Pressure | null;
}

/** CRI FilesystemUsage; `mountpoint` is one the kubelet can statfs(2). */
export interface FilesystemUsage {
  readonly timestamp: bigint;
  readonly mountpoint: string;
  readonly usedBytes: bigint;
  readonly inodesUsed: bigint;
}

/** CRI ContainerStats; null parts for a container that does not run. */
export interface ContainerUsage {
  readonly container: Container;
  readonly cpu: CpuUsage | null;
  readonly memory: MemoryUsage | null;
  readonly swap: SwapUsage | null;
  readonly io: IoUsage | null;
  readonly writableLayer: FilesystemUsage | null;
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
  readonly cpu: CpuUsage | null;
  readonly memory: MemoryUsage | null;
  readonly io: IoUsage | null;
  /** Null with the host's network. */
  readonly network: NetworkUsage | null;
  readonly processCount: { readonly timestamp: bigint; readonly count: bigint } | null;
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

/** CRI Metric, gathered live. */
export interface MetricValue {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  /** Values of the metric's own labels, behind those of the base. */
  readonly labels: readonly string[];
  /** A whole number, at least 0. */
  readonly value: number;
}

/** What was measured of one pod or container. */
export interface MetricSet {
  /** Values of the labels that all of `metrics` have, in the order of their descriptors' first keys. */
  readonly base: readonly string[];
  /** Made as it is iterated; the same each time. */
  readonly metrics: Iterable<MetricValue>;
}

/** CRI PodSandboxMetrics. */
export interface PodMetrics extends MetricSet {
  readonly sandboxId: string;
  readonly containers: readonly (MetricSet & { readonly containerId: string })[];
}
