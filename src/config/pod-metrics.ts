// PURE
// The groups that metrics of pods come in, by what has to be read for them. Must not know a metric.

/** Words of the setting `metrics.pod_metrics`. */
export const podMetricGroups = [
  'cpu',
  'memory',
  'oom',
  'hugetlb',
  'disk',
  'diskio',
  'network',
  'process',
  'pressure',
  'spec',
] as const;

export type PodMetricGroup = (typeof podMetricGroups)[number];
