import test from 'ava';
import { podMetricGroups } from '../../../src/config/pod-metrics.ts';
import { baseLabels, metricsOf } from '../../../src/stats/metrics/catalogue.ts';

// Names, types and labels of cAdvisor's metrics/prometheus.go, those that the kubelet serves at /metrics/cadvisor
// and that docs/observability.md does not except. Units are in the names: _bytes, _seconds_total.
const cadvisor = `
container_last_seen gauge
container_cpu_user_seconds_total counter
container_cpu_system_seconds_total counter
container_cpu_usage_seconds_total counter cpu
container_cpu_cfs_periods_total counter
container_cpu_cfs_throttled_periods_total counter
container_cpu_cfs_throttled_seconds_total counter
container_cpu_cfs_burst_periods_total counter
container_cpu_cfs_burst_seconds_total counter
container_processes gauge
container_file_descriptors gauge
container_sockets gauge
container_threads_max gauge
container_threads gauge
container_ulimits_soft gauge ulimit
container_tasks_state gauge state
container_memory_cache gauge
container_memory_rss gauge
container_memory_kernel_usage gauge
container_memory_mapped_file gauge
container_memory_swap gauge
container_memory_failcnt counter
container_memory_usage_bytes gauge
container_memory_max_usage_bytes gauge
container_memory_working_set_bytes gauge
container_memory_total_active_file_bytes gauge
container_memory_total_inactive_file_bytes gauge
container_memory_failures_total counter failure_type scope
container_oom_events_total counter
container_hugetlb_failcnt counter pagesize
container_hugetlb_usage_bytes gauge pagesize
container_hugetlb_max_usage_bytes gauge pagesize
container_fs_inodes_free gauge device
container_fs_inodes_total gauge device
container_fs_limit_bytes gauge device
container_fs_usage_bytes gauge device
container_fs_reads_bytes_total counter device
container_fs_reads_total counter device
container_fs_writes_bytes_total counter device
container_fs_writes_total counter device
container_fs_io_cost_usage_seconds_total counter device
container_fs_io_cost_wait_seconds_total counter device
container_fs_io_cost_indebt_seconds_total counter device
container_fs_io_cost_indelay_seconds_total counter device
container_blkio_device_usage_total counter device major minor operation
container_network_receive_bytes_total counter interface
container_network_receive_packets_total counter interface
container_network_receive_packets_dropped_total counter interface
container_network_receive_errors_total counter interface
container_network_transmit_bytes_total counter interface
container_network_transmit_packets_total counter interface
container_network_transmit_packets_dropped_total counter interface
container_network_transmit_errors_total counter interface
container_pressure_cpu_stalled_seconds_total counter
container_pressure_cpu_waiting_seconds_total counter
container_pressure_memory_stalled_seconds_total counter
container_pressure_memory_waiting_seconds_total counter
container_pressure_io_stalled_seconds_total counter
container_pressure_io_waiting_seconds_total counter
container_start_time_seconds gauge
container_spec_cpu_period gauge
container_spec_cpu_quota gauge
container_spec_cpu_shares gauge
container_spec_memory_limit_bytes gauge
container_spec_memory_swap_limit_bytes gauge
container_spec_memory_reservation_limit_bytes gauge
`;

test("metrics of pods are cAdvisor's by name, type and labels", (t) => {
  const served = metricsOf(podMetricGroups).map(({ name, type, labels }) => [name, type, ...labels].join(' '));
  t.deepEqual(served.toSorted(), cadvisor.trim().split('\n').toSorted());
});

test('all have the labels by which the kubelet tells whose they are', (t) => {
  t.deepEqual([...baseLabels].toSorted(), ['container', 'id', 'image', 'name', 'namespace', 'pod']);
});
