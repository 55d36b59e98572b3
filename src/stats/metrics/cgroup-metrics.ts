// PURE
// Metrics of processor, memory, pressure, huge pages and block devices, from a cgroup's files.
import { counter, counters, gauge, gauges, type Measured, type MetricGroup, type Put, seconds } from './metric.ts';

const total = ['total'];

/** Processor time. */
export const cpuMetrics: MetricGroup = {
  group: 'cpu',
  metrics: [
    counter('container_cpu_user_seconds_total', 'Cumulative user cpu time consumed in seconds.', ({ cgroup }) =>
      seconds(cgroup?.cpu?.userNs),
    ),
    counter('container_cpu_system_seconds_total', 'Cumulative system cpu time consumed in seconds.', ({ cgroup }) =>
      seconds(cgroup?.cpu?.systemNs),
    ),
    counters(
      { name: 'container_cpu_usage_seconds_total', help: 'Cumulative cpu time consumed in seconds.', labels: ['cpu'] },
      ({ cgroup }, put) => put(seconds(cgroup?.cpu?.usageNs), total),
    ),
    counter(
      'container_cpu_cfs_periods_total',
      'Number of elapsed enforcement period intervals.',
      ({ cgroup }) => cgroup?.cpu?.quota?.periods,
    ),
    counter(
      'container_cpu_cfs_throttled_periods_total',
      'Number of throttled period intervals.',
      ({ cgroup }) => cgroup?.cpu?.quota?.throttledPeriods,
    ),
    counter(
      'container_cpu_cfs_throttled_seconds_total',
      'Total time duration the container has been throttled.',
      ({ cgroup }) => seconds(cgroup?.cpu?.quota?.throttledNs),
    ),
    counter(
      'container_cpu_cfs_burst_periods_total',
      'Number of periods when burst occurs.',
      ({ cgroup }) => cgroup?.cpu?.quota?.burstPeriods,
    ),
    counter(
      'container_cpu_cfs_burst_seconds_total',
      'Total time duration the container has been bursted.',
      ({ cgroup }) => seconds(cgroup?.cpu?.quota?.burstNs),
    ),
  ],
};

const minorOwn = ['pgfault', 'container'];
const majorOwn = ['pgmajfault', 'container'];
const minorAll = ['pgfault', 'hierarchy'];
const majorAll = ['pgmajfault', 'hierarchy'];

/** Page faults: of the container alone, and with cgroups below. One number for both where the kernel has one. */
function failures({ cgroup }: Measured, put: Put): void {
  const memory = cgroup?.memory;
  if (!memory) return;
  put(memory.ownPageFaults ?? memory.pageFaults, minorOwn);
  put(memory.ownMajorPageFaults ?? memory.majorPageFaults, majorOwn);
  put(memory.pageFaults, minorAll);
  put(memory.majorPageFaults, majorAll);
}

/** Memory. */
export const memoryMetrics: MetricGroup = {
  group: 'memory',
  metrics: [
    gauge('container_memory_cache', 'Number of bytes of page cache memory.', ({ cgroup }) => cgroup?.memory?.cache),
    gauge('container_memory_rss', 'Size of RSS in bytes.', ({ cgroup }) => cgroup?.memory?.rss),
    gauge(
      'container_memory_kernel_usage',
      'Size of kernel memory allocated in bytes.',
      ({ cgroup }) => cgroup?.memory?.kernel,
    ),
    gauge(
      'container_memory_mapped_file',
      'Size of memory mapped files in bytes.',
      ({ cgroup }) => cgroup?.memory?.mappedFile,
    ),
    gauge('container_memory_swap', 'Container swap usage in bytes.', ({ cgroup }) => cgroup?.memory?.swapUsage),
    counter('container_memory_failcnt', 'Number of memory usage hits limits', ({ cgroup }) => cgroup?.memory?.failcnt),
    gauge(
      'container_memory_usage_bytes',
      'Current memory usage in bytes, including all memory regardless of when it was accessed',
      ({ cgroup }) => cgroup?.memory?.usage,
    ),
    gauge(
      'container_memory_max_usage_bytes',
      'Maximum memory usage recorded in bytes',
      ({ cgroup }) => cgroup?.memory?.maxUsage,
    ),
    gauge(
      'container_memory_working_set_bytes',
      'Current working set in bytes.',
      ({ cgroup }) => cgroup?.memory?.workingSet,
    ),
    gauge(
      'container_memory_total_active_file_bytes',
      'Current total active file in bytes.',
      ({ cgroup }) => cgroup?.memory?.activeFile,
    ),
    gauge(
      'container_memory_total_inactive_file_bytes',
      'Current total inactive file in bytes.',
      ({ cgroup }) => cgroup?.memory?.inactiveFile,
    ),
    counters(
      {
        name: 'container_memory_failures_total',
        help: 'Cumulative count of memory allocation failures.',
        labels: ['failure_type', 'scope'],
      },
      failures,
    ),
  ],
};

/** Kills for lack of memory. */
export const oomMetrics: MetricGroup = {
  group: 'oom',
  metrics: [
    counter(
      'container_oom_events_total',
      'Count of out of memory events observed for the container',
      ({ cgroup }) => cgroup?.memory?.oomKills,
    ),
  ],
};

type HugePages = NonNullable<Measured['cgroup']>['hugetlb'][number];

/** Tells one value for each size of huge pages. */
const perSize =
  (value: (pages: HugePages) => number | null) =>
  ({ cgroup, known }: Measured, put: Put): void => {
    for (const pages of cgroup?.hugetlb ?? []) put(value(pages), known.single(pages.pageSize));
  };

/** Huge pages. */
export const hugetlbMetrics: MetricGroup = {
  group: 'hugetlb',
  metrics: [
    counters(
      { name: 'container_hugetlb_failcnt', help: 'Number of hugepage usage hits limits', labels: ['pagesize'] },
      perSize(({ failcnt }) => failcnt),
    ),
    gauges(
      { name: 'container_hugetlb_usage_bytes', help: 'Current hugepage usage in bytes', labels: ['pagesize'] },
      perSize(({ usage }) => usage),
    ),
    gauges(
      {
        name: 'container_hugetlb_max_usage_bytes',
        help: 'Maximum hugepage usage recorded in bytes',
        labels: ['pagesize'],
      },
      perSize(({ maxUsage }) => maxUsage),
    ),
  ],
};

type Io = NonNullable<Measured['cgroup']>['io'][number];

/** One value for each block device. */
const perDevice = (name: string, help: string, value: (io: Io) => number | null) =>
  counters({ name, help, labels: ['device'] }, ({ cgroup, known }, put) => {
    for (const io of cgroup?.io ?? []) put(value(io), known.device(io.major, io.minor).device);
  });

const micros = (us: number | undefined): number | null => (us === undefined ? null : us / 1e6);

/** Transfers of block devices. */
export const diskIoMetrics: MetricGroup = {
  group: 'diskio',
  metrics: [
    perDevice('container_fs_reads_bytes_total', 'Cumulative count of bytes read', (io) => io.readBytes),
    perDevice('container_fs_reads_total', 'Cumulative count of reads completed', (io) => io.readOps),
    perDevice('container_fs_writes_bytes_total', 'Cumulative count of bytes written', (io) => io.writeBytes),
    perDevice('container_fs_writes_total', 'Cumulative count of writes completed', (io) => io.writeOps),
    perDevice('container_fs_io_cost_usage_seconds_total', 'Cumulative IOCost usage in seconds', (io) =>
      micros(io.cost?.usageUs),
    ),
    perDevice('container_fs_io_cost_wait_seconds_total', 'Cumulative IOCost wait in seconds', (io) =>
      micros(io.cost?.waitUs),
    ),
    perDevice('container_fs_io_cost_indebt_seconds_total', 'Cumulative IOCost debt in seconds', (io) =>
      micros(io.cost?.indebtUs),
    ),
    perDevice('container_fs_io_cost_indelay_seconds_total', 'Cumulative IOCost delay in seconds', (io) =>
      micros(io.cost?.indelayUs),
    ),
    counters(
      {
        name: 'container_blkio_device_usage_total',
        help: 'Blkio Device bytes usage',
        labels: ['device', 'major', 'minor', 'operation'],
      },
      ({ cgroup, known }, put) => {
        for (const { major, minor, readBytes, writeBytes } of cgroup?.io ?? []) {
          const { read, write } = known.device(major, minor);
          put(readBytes, read);
          put(writeBytes, write);
        }
      },
    ),
  ],
};

const stalled = 'Total time duration no tasks in the container could make progress due to';
const waiting = 'Total time duration tasks in the container have waited due to';

function pressureOf(resource: 'cpu' | 'memory' | 'io', congestion: string) {
  const name = `container_pressure_${resource}`;
  return [
    counter(`${name}_stalled_seconds_total`, `${stalled} ${congestion} congestion.`, ({ cgroup }) =>
      micros(cgroup?.psi?.[resource].full.totalUs),
    ),
    counter(`${name}_waiting_seconds_total`, `${waiting} ${congestion} congestion.`, ({ cgroup }) =>
      micros(cgroup?.psi?.[resource].some.totalUs),
    ),
  ];
}

/** Pressure stall information. */
export const pressureMetrics: MetricGroup = {
  group: 'pressure',
  metrics: [...pressureOf('cpu', 'CPU'), ...pressureOf('memory', 'memory'), ...pressureOf('io', 'IO')],
};
