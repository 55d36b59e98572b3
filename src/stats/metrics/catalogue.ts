// PURE
// The metrics that are served, and what each gives for what was read. Must not read anything.
import type { PodMetricGroup } from '../../config/pod-metrics.ts';
import {
  cpuMetrics,
  diskIoMetrics,
  hugetlbMetrics,
  memoryMetrics,
  oomMetrics,
  pressureMetrics,
} from './cgroup-metrics.ts';
import type { Measured, Metric, Put } from './metric.ts';
import { alwaysMetrics, diskMetrics, networkMetrics, processMetrics, specMetrics } from './other-metrics.ts';

const all = [
  alwaysMetrics,
  cpuMetrics,
  memoryMetrics,
  oomMetrics,
  hugetlbMetrics,
  diskMetrics,
  diskIoMetrics,
  networkMetrics,
  processMetrics,
  pressureMetrics,
  specMetrics,
];

/**
 * Labels that each metric has, those of the kubelet's own /metrics/cadvisor: queries that were made for it find
 * the same series here. `id` is the cgroup's path, `name` the container's id; those of a pod as a whole have
 * neither container nor image nor name.
 */
export const baseLabels = ['container', 'id', 'image', 'name', 'namespace', 'pod'] as const;

/** Values of the base labels, in their order. */
export type BaseLabelValues = readonly [
  container: string,
  id: string,
  image: string,
  name: string,
  namespace: string,
  pod: string,
];

/** CRI MetricDescriptor. */
export interface MetricDescriptor {
  readonly name: string;
  readonly help: string;
  readonly labelKeys: readonly string[];
}

/** Takes a number, at least 0, of times in seconds with their parts, with the values of the metric's own labels, behind those of the base. */
export type TakeMetric = (metric: Metric, labels: readonly string[], value: number) => void;

/** The metrics of some groups. */
export const metricsOf = (groups: readonly PodMetricGroup[]): readonly Metric[] =>
  all.flatMap(({ group, metrics }) => (group === null || groups.includes(group) ? metrics : []));

/** What ListMetricDescriptors answers. */
export const descriptorsOf = (metrics: readonly Metric[]): MetricDescriptor[] =>
  metrics.map(({ name, help, labels }) => ({ name, help, labelKeys: [...baseLabels, ...labels] }));

/**
 * Tells the values of what was read: a node has 50,000 of them, so that none is made into an object. One that the kernel
 * does not tell is absent.
 */
export function tellValues(metrics: readonly Metric[], measured: Measured, take: TakeMetric): void {
  let telling: Metric;
  const put: Put = (value, labels) => {
    if (typeof value === 'number' && value >= 0 && value < Infinity) take(telling, labels, value);
  };
  for (const metric of metrics) {
    telling = metric;
    metric.tell(measured, put);
  }
}
