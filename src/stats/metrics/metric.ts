// PURE
// What a metric of a pod or a container is, and what it is made from. Must not know a single one.
import type { PodMetricGroup } from '../../config/pod-metrics.ts';
import type { CgroupStats } from '../../cgroup/cgroup.ts';
import type { LinuxResources } from '../../sandbox/sandbox.ts';
import type { CgroupTasks, InterfaceTraffic } from '../ports.ts';
import type { KnownLabels } from './known-labels.ts';

/** The writable layer and the file system that it is on. */
export interface DiskUse {
  /** "/dev/sda1", or "major:minor" of one without a name. */
  readonly device: string;
  readonly usedBytes: number;
  readonly totalBytes: number;
  readonly totalInodes: number;
  readonly freeInodes: number;
}

/** Everything that was read of a pod or a container at one time; null: not read, or there is none. */
export interface Measured {
  /** Unix seconds. */
  readonly now: number;
  /** Unix seconds; null for what has not started. */
  readonly startedAt: number | null;
  readonly cgroup: CgroupStats | null;
  readonly tasks: CgroupTasks | null;
  /** Of pods with a network of their own. */
  readonly traffic: readonly InterfaceTraffic[];
  /** Of containers. */
  readonly disk: DiskUse | null;
  /** Limits of a container. */
  readonly limits: LinuxResources | null;
  /** Label values of devices, interfaces and sizes. */
  readonly known: KnownLabels;
}

/**
 * Takes a value with those label values that the metric has beyond those of all; one that is null or undefined is left
 * out. A node tells 50,000 in a call: the same label values should be the same array.
 */
export type Put = (value: number | null | undefined, labels: readonly string[]) => void;

/** A metric, by cAdvisor's name, help, labels and type, as the kubelet's /metrics/cadvisor has always had it. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  /** Beyond those of all. */
  readonly labels: readonly string[];
  readonly tell: (of: Measured, put: Put) => void;
}

/** Metrics that are served or left out together; null: always served. */
export interface MetricGroup {
  readonly group: PodMetricGroup | null;
  readonly metrics: readonly Metric[];
}

interface Named {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

type Tell = Metric['tell'];
type One = (of: Measured) => number | null | undefined;

/** A metric that only grows, with one value. */
export const counter = (name: string, help: string, value: One): Metric => one('counter', { name, help }, value);

/** A metric with one value. */
export const gauge = (name: string, help: string, value: One): Metric => one('gauge', { name, help }, value);

/** A metric that only grows, with a value for each combination of labels. */
export const counters = ({ name, help, labels = [] }: Named, tell: Tell): Metric => ({
  name,
  help,
  type: 'counter',
  labels,
  tell,
});

/** A metric with a value for each combination of labels. */
export const gauges = (named: Named, tell: Tell): Metric => ({ ...counters(named, tell), type: 'gauge' });

const none: readonly string[] = [];

const one = (type: Metric['type'], named: Named, value: One): Metric => ({
  ...counters(named, (of, put) => put(value(of), none)),
  type,
});

/** Seconds, with their parts, of a time in nanoseconds. */
export const seconds = (nanos: number | null | undefined): number | null =>
  nanos === null || nanos === undefined ? null : nanos / 1e9;
