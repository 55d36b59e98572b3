// PURE
// Metrics of pods to answers.
import type { Metric } from '../../proto/generated/cri/runtime/v1/Metric.ts';
import type { MetricDescriptor as DescriptorMessage } from '../../proto/generated/cri/runtime/v1/MetricDescriptor.ts';
import type { PodSandboxMetrics } from '../../proto/generated/cri/runtime/v1/PodSandboxMetrics.ts';
import type { MetricDescriptor, MetricValue, PodMetrics } from '../usage.ts';

/** MetricDescriptor. */
export const encodeDescriptor = (from: MetricDescriptor): DescriptorMessage => ({
  name: from.name,
  help: from.help,
  label_keys: [...from.labelKeys],
});

const types = { counter: 'COUNTER', gauge: 'GAUGE' } as const;

const encodeMetric = (from: MetricValue): Metric => ({
  name: from.name,
  // 0: gathered for this call
  timestamp: '0',
  metric_type: types[from.type],
  label_values: [...from.labelValues],
  value: { value: String(from.value) },
});

/** PodSandboxMetrics. */
export const encodePodMetrics = (from: PodMetrics): PodSandboxMetrics => ({
  pod_sandbox_id: from.sandboxId,
  metrics: from.metrics.map(encodeMetric),
  container_metrics: from.containers.map(({ containerId, metrics }) => ({
    container_id: containerId,
    metrics: metrics.map(encodeMetric),
  })),
});
