// PURE
// Metrics that are not from a cgroup's files: disks, network, processes, limits, times.
import type { InterfaceTraffic } from '../ports.ts';
import { counters, gauge, gauges, type Measured, type MetricGroup, type Put } from './metric.ts';

const ofDisk = (name: string, help: string, value: 'freeInodes' | 'totalInodes' | 'totalBytes' | 'usedBytes') =>
  gauges({ name, help, labels: ['device'] }, ({ disk, known }, put) => {
    if (disk) put(disk[value], known.single(disk.device));
  });

/** The writable layer, and the room on its file system. */
export const diskMetrics: MetricGroup = {
  group: 'disk',
  metrics: [
    ofDisk('container_fs_inodes_free', 'Number of available Inodes', 'freeInodes'),
    ofDisk('container_fs_inodes_total', 'Number of Inodes', 'totalInodes'),
    ofDisk(
      'container_fs_limit_bytes',
      'Number of bytes that can be consumed by the container on this filesystem.',
      'totalBytes',
    ),
    ofDisk(
      'container_fs_usage_bytes',
      'Number of bytes that are consumed by the container on this filesystem.',
      'usedBytes',
    ),
  ],
};

const traffic = (name: string, help: string, value: Exclude<keyof InterfaceTraffic, 'name'>) =>
  counters(
    { name: `container_network_${name}_total`, help: `Cumulative count of ${help}`, labels: ['interface'] },
    (of, put) => {
      for (const one of of.traffic) put(one[value], of.known.single(one.name));
    },
  );

/** Traffic of a pod's interfaces. */
export const networkMetrics: MetricGroup = {
  group: 'network',
  metrics: [
    traffic('receive_bytes', 'bytes received', 'rxBytes'),
    traffic('receive_packets', 'packets received', 'rxPackets'),
    traffic('receive_packets_dropped', 'packets dropped while receiving', 'rxDropped'),
    traffic('receive_errors', 'errors encountered while receiving', 'rxErrors'),
    traffic('transmit_bytes', 'bytes transmitted', 'txBytes'),
    traffic('transmit_packets', 'packets transmitted', 'txPackets'),
    traffic('transmit_packets_dropped', 'packets dropped while transmitting', 'txDropped'),
    traffic('transmit_errors', 'errors encountered while transmitting', 'txErrors'),
  ],
};

const openFiles = ['max_open_files'];
const sleeping = ['sleeping'];
const running = ['running'];
const stopped = ['stopped'];
const uninterruptible = ['uninterruptible'];

function taskStates({ tasks }: Measured, put: Put): void {
  if (!tasks) return;
  put(tasks.states.sleeping, sleeping);
  put(tasks.states.running, running);
  put(tasks.states.stopped, stopped);
  put(tasks.states.uninterruptible, uninterruptible);
}

/** Processes. */
export const processMetrics: MetricGroup = {
  group: 'process',
  metrics: [
    gauge('container_processes', 'Number of processes running inside the container.', ({ tasks }) => tasks?.processes),
    gauge(
      'container_file_descriptors',
      'Number of open file descriptors for the container.',
      ({ tasks }) => tasks?.descriptors,
    ),
    gauge('container_sockets', 'Number of open sockets for the container.', ({ tasks }) => tasks?.sockets),
    gauge(
      'container_threads_max',
      'Maximum number of threads allowed inside the container, infinity if value is zero',
      ({ cgroup }) => cgroup?.pids && (cgroup.pids.limit ?? 0),
    ),
    gauge('container_threads', 'Number of threads running inside the container', ({ cgroup }) => cgroup?.pids?.current),
    gauges(
      {
        name: 'container_ulimits_soft',
        help: 'Soft ulimit values for the container root process. Unlimited if -1, except priority and nice',
        labels: ['ulimit'],
      },
      ({ tasks }, put) => put(tasks?.openFilesLimit, openFiles),
    ),
    gauges({ name: 'container_tasks_state', help: 'Number of tasks in given state', labels: ['state'] }, taskStates),
  ],
};

/** What cAdvisor shows for "no limit". */
const unlimited = 0;
const limit = (value: number | null | undefined): number =>
  value === null || value === undefined || value < 0 ? unlimited : value;

/** Limits, and when it began. */
export const specMetrics: MetricGroup = {
  group: 'spec',
  metrics: [
    gauge(
      'container_start_time_seconds',
      'Start time of the container since unix epoch in seconds.',
      ({ startedAt }) => startedAt,
    ),
    gauge('container_spec_cpu_period', 'CPU period of the container.', ({ limits }) => limits?.cpuPeriod),
    gauge('container_spec_cpu_quota', 'CPU quota of the container.', ({ limits }) =>
      limits?.cpuQuota !== null && limits?.cpuQuota !== undefined && limits.cpuQuota > 0 ? limits.cpuQuota : null,
    ),
    gauge('container_spec_cpu_shares', 'CPU share of the container.', ({ limits }) => limits?.cpuShares),
    gauge(
      'container_spec_memory_limit_bytes',
      'Memory limit for the container.',
      ({ limits }) => limits && limit(limits.memoryLimitBytes),
    ),
    gauge(
      'container_spec_memory_swap_limit_bytes',
      'Memory swap limit for the container.',
      ({ limits }) => limits && limit(limits.memorySwapLimitBytes),
    ),
    gauge(
      'container_spec_memory_reservation_limit_bytes',
      'Memory reservation limit for the container.',
      ({ limits }) => limits && limit(Number(limits.unified['memory.min'] ?? 0)),
    ),
  ],
};

/** Served whatever else is. */
export const alwaysMetrics: MetricGroup = {
  group: null,
  metrics: [gauge('container_last_seen', 'Last time a container was seen by the exporter', ({ now }) => now)],
};
