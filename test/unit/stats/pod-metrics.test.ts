import test from 'ava';
import type { CgroupStats } from '../../../src/cgroup/cgroup.ts';
import { podMetricGroups, type PodMetricGroup } from '../../../src/config/pod-metrics.ts';
import { podMetricVerbs } from '../../../src/stats/pod-metrics.ts';
import type { MetricPorts } from '../../../src/stats/ports.ts';
import { containerOf, sandboxConfig, sandboxOf } from '../../helpers/builders.ts';

const psi = { avg10: 0, avg60: 0, avg300: 0 };
const pressure = (some: number, full: number) => ({
  some: { ...psi, totalUs: some },
  full: { ...psi, totalUs: full },
});

/** A cgroup of a host that counts everything. */
const full: CgroupStats = {
  timestampNs: 1,
  cpu: {
    usageNs: 12_900_000_000,
    userNs: 8e9,
    systemNs: 4e9,
    quota: { periods: 9, throttledPeriods: 4, throttledNs: 3e9, burstPeriods: 2, burstNs: 1e9 },
  },
  memory: {
    usage: 5000,
    workingSet: 4000,
    rss: 3000,
    cache: 2000,
    mappedFile: 700,
    activeFile: 600,
    inactiveFile: 1000,
    kernel: 300,
    pageFaults: 50,
    majorPageFaults: 5,
    ownPageFaults: 40,
    ownMajorPageFaults: 4,
    available: 1000,
    limit: 6000,
    maxUsage: 5500,
    failcnt: 7,
    swapUsage: 64,
    swapLimit: 128,
    oomKills: 1,
  },
  pids: { current: 11, limit: 50 },
  io: [
    {
      major: 8,
      minor: 0,
      readBytes: 1,
      writeBytes: 2,
      readOps: 3,
      writeOps: 4,
      cost: { usageUs: 5e6, waitUs: 6e6, indebtUs: 7e6, indelayUs: 8e6 },
    },
  ],
  psi: { cpu: pressure(1e6, 2e6), memory: pressure(3e6, 4e6), io: pressure(5e6, 6e6) },
  hugetlb: [{ pageSize: '2MB', usage: 10, maxUsage: 20, failcnt: 30 }],
};

const limits = {
  cpuPeriod: 100_000,
  cpuQuota: 50_000,
  cpuShares: 512,
  memoryLimitBytes: 6000,
  oomScoreAdj: 0,
  cpusetCpus: '',
  cpusetMems: '',
  hugepageLimits: [],
  unified: { 'memory.min': '77' },
  memorySwapLimitBytes: -1,
};

const pod = sandboxOf();
const startedAt = 1_700_000_000_900_000_000n;
const running = containerOf({ status: { startedAt, pid: 9, resources: limits } });

function verbs(ports: Partial<MetricPorts> = {}, groups: readonly PodMetricGroup[] = podMetricGroups) {
  const asked: string[] = [];
  const made = podMetricVerbs(
    {
      containers: { list: () => [running], find: () => undefined },
      sandboxes: { list: () => [pod], find: () => undefined },
      layerUsages: async (ids) => ids.map(() => ({ bytes: 123, inodes: 4, at: 1n })),
      now: () => 1_700_000_100_000_000_000n,
      cgroupStats: async (paths) => paths.map(() => full),
      async cgroupTasks(wanted) {
        asked.push('tasks');
        const states = { running: 1, sleeping: 2, stopped: 3, uninterruptible: 4, ended: 5 };
        return wanted.map(() => ({ processes: 6, descriptors: 20, sockets: 3, states, openFilesLimit: 1024 }));
      },
      async interfaces() {
        asked.push('interfaces');
        const rx = { rxBytes: 1, rxPackets: 2, rxErrors: 3, rxDropped: 4 };
        return [{ name: 'eth0', ...rx, txBytes: 5, txPackets: 6, txErrors: 7, txDropped: 8 }];
      },
      async layerRoom() {
        asked.push('room');
        return { device: '/dev/sda1', totalBytes: 9000, totalInodes: 900, freeInodes: 800 };
      },
      deviceName: (major, minor) => (major === 8 ? '/dev/sda' : `${major}:${minor}`),
      ...ports,
    },
    groups,
  );
  return { ...made, asked };
}

test('every metric has a descriptor, and as many label values as it has keys', async (t) => {
  const made = verbs();
  const keys = new Map(made.metricDescriptors().map(({ name, labelKeys }) => [name, labelKeys]));
  t.is(keys.size, made.metricDescriptors().length, 'no name twice');
  const [answer] = await made.podMetrics();
  const seen = new Set<string>();
  for (const set of answer ? [answer, ...answer.containers] : []) {
    set.tell(({ name }, labels, value) => {
      t.is(set.base.length + labels.length, keys.get(name)?.length ?? -1, name);
      t.true(value >= 0 && (Number.isInteger(value) || name.endsWith('_seconds_total')), name);
      seen.add(name);
    });
  }
  t.deepEqual(
    [...keys.keys()].filter((name) => !seen.has(name)),
    [],
    'a host that counts everything has every metric',
  );
  for (const { name, help } of made.metricDescriptors()) {
    t.regex(name, /^container_[a-z0-9_]+$/);
    t.true(help.length > 0);
  }
});

/** `name{labels beyond the base}` → value. */
async function values(made: ReturnType<typeof verbs>, of: 'pod' | 'container'): Promise<Record<string, number>> {
  const [answer] = await made.podMetrics();
  const told: Record<string, number> = {};
  (of === 'pod' ? answer : answer?.containers[0])?.tell(({ name }, labels, value) => {
    told[[name, ...labels].join(' ')] = value;
  });
  return told;
}

test('values of a container', async (t) => {
  t.like(await values(verbs(), 'container'), {
    container_last_seen: 1_700_000_100,
    container_start_time_seconds: 1_700_000_000,
    'container_cpu_usage_seconds_total total': 12.9,
    container_cpu_cfs_throttled_seconds_total: 3,
    container_memory_working_set_bytes: 4000,
    'container_memory_failures_total pgfault container': 40,
    'container_memory_failures_total pgfault hierarchy': 50,
    container_oom_events_total: 1,
    'container_hugetlb_max_usage_bytes 2MB': 20,
    'container_fs_usage_bytes /dev/sda1': 123,
    'container_fs_limit_bytes /dev/sda1': 9000,
    'container_fs_writes_bytes_total /dev/sda': 2,
    'container_fs_io_cost_wait_seconds_total /dev/sda': 6,
    'container_blkio_device_usage_total /dev/sda 8 0 Write': 2,
    container_processes: 6,
    container_threads: 11,
    container_threads_max: 50,
    'container_ulimits_soft max_open_files': 1024,
    'container_tasks_state uninterruptible': 4,
    container_pressure_cpu_waiting_seconds_total: 1,
    container_pressure_cpu_stalled_seconds_total: 2,
    container_spec_cpu_quota: 50_000,
    container_spec_memory_limit_bytes: 6000,
    container_spec_memory_swap_limit_bytes: 0,
    container_spec_memory_reservation_limit_bytes: 77,
  });
});

test('a pod has its cgroup and its network, and nothing of a container', async (t) => {
  const found = await values(verbs(), 'pod');
  t.like(found, {
    'container_network_receive_bytes_total eth0': 1,
    'container_network_receive_packets_dropped_total eth0': 4,
    'container_network_transmit_errors_total eth0': 7,
    container_memory_working_set_bytes: 4000,
  });
  t.deepEqual(
    Object.keys(found).filter((name) => /container_(fs_usage|processes|spec)/.test(name)),
    [],
  );
  const own = await values(verbs(), 'container');
  t.deepEqual(
    Object.keys(own).filter((name) => name.startsWith('container_network')),
    [],
  );
});

test('labels say whose it is', async (t) => {
  const [answer] = await verbs().podMetrics();
  t.deepEqual(answer?.base, ['', '/pods/s1', '', '', 'default', 'web']);
  t.deepEqual(answer?.containers[0]?.base, ['c1', '/pods/s1/c1', 'busybox', 'c1', 'default', 'web']);
});

test('what is the same is the same object: metrics and labels of pods in each call, own labels within one', async (t) => {
  const pods = [pod, sandboxOf({ id: 's2' })];
  const containers = [running, containerOf({ id: 'c2', sandboxId: 's2', status: running.status })];
  const made = verbs({
    sandboxes: { list: () => pods, find: () => undefined },
    containers: { list: () => containers, find: () => undefined },
  });
  const seen = async () => {
    const answer = await made.podMetrics();
    const sets = answer.flatMap((one) => [one, ...one.containers]);
    const heads = new Map<object, string>();
    const own = new Map<readonly string[], string>();
    for (const { tell } of sets) {
      tell((metric, labels) => {
        heads.set(metric, metric.name);
        own.set(labels, labels.join(' '));
      });
    }
    return { bases: sets.map(({ base }) => base), heads, own };
  };
  const [first, second] = [await seen(), await seen()];
  t.is(first.bases.length, 4);
  for (const [at, base] of first.bases.entries()) t.is(second.bases[at], base);
  t.deepEqual([...first.heads.keys()], [...second.heads.keys()]);
  t.is(new Set(first.heads.values()).size, first.heads.size);
  t.is(new Set(first.own.values()).size, first.own.size);
});

test('what the kernel does not tell is absent, not 0', async (t) => {
  const poor: CgroupStats = {
    ...full,
    cpu: { usageNs: 1, userNs: 1, systemNs: 1, quota: null },
    memory: { ...(full.memory as NonNullable<CgroupStats['memory']>), swapUsage: null, kernel: null, maxUsage: null },
    io: [],
    psi: null,
    hugetlb: [],
  };
  const found = Object.keys(await values(verbs({ cgroupStats: async (paths) => paths.map(() => poor) }), 'container'));
  const missing = /cfs|pressure|swap$|kernel|max_usage|hugetlb|fs_reads|blkio/;
  t.deepEqual(
    found.filter((name) => missing.test(name)),
    [],
  );
  t.true(found.includes('container_memory_rss'));
  const gone = verbs({ cgroupStats: async (paths) => paths.map(() => null), cgroupTasks: async () => [] });
  const left = Object.keys(await values(gone, 'container'));
  t.true(left.includes('container_last_seen'));
  t.deepEqual(
    left.filter((name) => /memory_usage|cpu_usage|processes|threads/.test(name)),
    [],
  );
});

test('one number of page faults counts for both scopes where the kernel has one', async (t) => {
  const memory = { ...(full.memory as NonNullable<CgroupStats['memory']>), ownPageFaults: null };
  const found = await values(
    verbs({ cgroupStats: async (paths) => paths.map(() => ({ ...full, memory })) }),
    'container',
  );
  t.is(found['container_memory_failures_total pgfault container'], 50);
});

test('groups that are left out are neither described nor read', async (t) => {
  const made = verbs({}, ['cpu', 'oom']);
  const names = made.metricDescriptors().map(({ name }) => name);
  t.deepEqual(
    names.filter((name) => !/^container_(cpu|oom|last_seen)/.test(name)),
    [],
  );
  await made.podMetrics();
  t.deepEqual(made.asked, []);
  t.deepEqual(
    verbs({}, [])
      .metricDescriptors()
      .map(({ name }) => name),
    ['container_last_seen'],
  );
});

test('pods that are not ready, and containers that do not run, have no metrics; the host network has no traffic', async (t) => {
  const stopped = sandboxOf({ id: 's2', status: { phase: 'stopped' } });
  const security = sandboxConfig().security;
  const namespaces = { ...security.namespaces, network: 'node' } as const;
  const host = sandboxOf({ id: 's3', config: sandboxConfig({ security: { ...security, namespaces } }) });
  const made = verbs({
    sandboxes: { list: () => [stopped, host], find: () => undefined },
    containers: { list: () => [containerOf({ sandboxId: 's3' }), running], find: () => undefined },
  });
  const answer = await made.podMetrics();
  t.deepEqual(
    answer.map(({ sandboxId, containers }) => [sandboxId, containers.length]),
    [['s3', 0]],
  );
  t.false(made.asked.includes('interfaces'));
});
