// ListMetricDescriptors and ListPodSandboxMetrics of a live pod, compared with the kernel's own files.
import { existsSync, readdirSync, readFileSync, readlinkSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { criStream } from '../helpers/cri-client.ts';
import { cgroupDirs, containerPath } from '../helpers/cgroups.ts';
import { dashboard, seriesOf, seriesServed } from '../helpers/dashboard.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { ask } from '../helpers/outside.ts';
import { exec, exited, podIp, pull, runPod, scripted, sh, start, type Pod } from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
const mib = 1024 * 1024;
let pod: Pod;
let id: string;

test.before('a pod with a container that has limits', async () => {
  await pull(daemon);
  pod = await runPod(daemon, { metadata: { name: 'measured' } });
  const resources = {
    memory_limit_in_bytes: String(200 * mib),
    cpu_period: '100000',
    cpu_quota: '150000',
    cpu_shares: '512',
  };
  const script = 'sleep 3600 & exec tcpsvd 0.0.0.0 80 head -c 100000 /dev/zero';
  id = await start(daemon, pod, scripted(script, { metadata: { name: 'c', attempt: 0 }, linux: { resources } }));
});

/** The container's directories in every hierarchy. */
const ownDirs = (): string[] => cgroupDirs(containerPath(pod.id, id));

interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const descriptors = async () => (await daemon.runtime.ListMetricDescriptors({})).descriptors;

/** Samples by metric of the pod itself, and of its container. */
async function metrics() {
  const keys = new Map((await descriptors()).map(({ name, label_keys }) => [name, label_keys]));
  const { pod_metrics } = await daemon.runtime.ListPodSandboxMetrics({});
  const own = pod_metrics.find(({ pod_sandbox_id }) => pod_sandbox_id === pod.id);
  const container = own?.container_metrics.find(({ container_id }) => container_id === id);
  type Raw = NonNullable<typeof own>['metrics'];
  const byName = (raw: Raw): Map<string, Sample[]> =>
    Map.groupBy(
      raw.map(({ name, label_values, value }) => ({
        name,
        labels: Object.fromEntries(label_values.map((label, at) => [keys.get(name)?.[at] ?? '?', label])),
        value: Number(value?.value ?? Number.NaN),
      })),
      ({ name }) => name,
    );
  return { pod: byName(own?.metrics ?? []), container: byName(container?.metrics ?? []), raw: pod_metrics };
}

const one = (samples: Map<string, Sample[]>, name: string): number => samples.get(name)?.[0]?.value ?? Number.NaN;

test.serial('label values are as many as keys, timestamps are 0, and names are described', async (t) => {
  const keys = new Map((await descriptors()).map(({ name, label_keys }) => [name, label_keys.length]));
  const { raw } = await metrics();
  const all = raw.flatMap((p) => [...p.metrics, ...p.container_metrics.flatMap((c) => c.metrics)]);
  t.true(all.length > 50);
  for (const { name, label_values, timestamp } of all) {
    t.is(label_values.length, keys.get(name) ?? -1, name);
    t.is(timestamp, '0');
  }
});

test.serial('every metric that this kernel can tell is there for a live pod', async (t) => {
  const { container, pod: whole } = await metrics();
  const dirs = ownDirs();
  const has = (file: string): boolean => dirs.some((dir) => existsSync(join(dir, file)));
  const contains = (file: string, text: string): boolean =>
    dirs.some((dir) => existsSync(join(dir, file)) && readFileSync(join(dir, file), 'utf8').includes(text));
  const v2 = has('memory.current');
  /** Metrics that depend on the kernel, by what they come from. */
  const optional: readonly (readonly [RegExp, boolean])[] = [
    [/^container_cpu_cfs_burst/, contains('cpu.stat', 'nr_bursts')],
    [/^container_pressure_/, has('cpu.pressure')],
    [/^container_memory_swap$/, has('memory.memsw.usage_in_bytes') || has('memory.swap.current')],
    [/^container_memory_kernel_usage$/, has('memory.kmem.usage_in_bytes') || contains('memory.stat', 'kernel ')],
    [/^container_memory_max_usage_bytes$/, has('memory.max_usage_in_bytes') || has('memory.peak')],
    [/^container_hugetlb_max/, !v2 && dirs.some((dir) => dir.includes('hugetlb'))],
    [/^container_hugetlb_/, dirs.some((dir) => readdirSync(dir).some((name) => name.startsWith('hugetlb.')))],
    [/^container_fs_io_cost/, contains('io.stat', 'cost.')],
    // only after the first transfer of the container
    [/^container_(fs_(reads|writes)|blkio)/, container.has('container_fs_reads_total')],
    [/^container_ulimits_soft$/, container.has('container_ulimits_soft')],
  ];
  for (const { name } of await descriptors()) {
    const rule = optional.find(([pattern]) => pattern.test(name));
    const samples = name.startsWith('container_network') ? whole : container;
    t.is(samples.has(name), rule?.[1] ?? true, name);
  }
});

test.serial('values are those of the cgroup files', async (t) => {
  await exec(daemon, id, ...sh('dd if=/dev/zero of=/dev/shm/some bs=1M count=30 2>/dev/null; ls -R / >/dev/null'));
  const { container } = await metrics();
  const read = (file: string, key?: string): number => {
    const dir = ownDirs().find((each) => existsSync(join(each, file)));
    const text = dir === undefined ? '' : readFileSync(join(dir, file), 'utf8');
    return Number(key === undefined ? text : new RegExp(`^${key} (\\d+)$`, 'm').exec(text)?.[1]);
  };
  const v2 = ownDirs().some((dir) => existsSync(join(dir, 'memory.current')));
  /** Metric, what the kernel says now, and how far apart they may be. */
  const table: readonly (readonly [string, number, number])[] = [
    ['container_memory_usage_bytes', read(v2 ? 'memory.current' : 'memory.usage_in_bytes'), 2 * mib],
    ['container_memory_cache', read('memory.stat', v2 ? 'file' : 'total_cache'), 2 * mib],
    ['container_memory_rss', read('memory.stat', v2 ? 'anon' : 'total_rss'), 2 * mib],
    ['container_memory_mapped_file', read('memory.stat', v2 ? 'file_mapped' : 'total_mapped_file'), mib],
    ['container_memory_total_active_file_bytes', read('memory.stat', v2 ? 'active_file' : 'total_active_file'), mib],
    [
      'container_memory_total_inactive_file_bytes',
      read('memory.stat', v2 ? 'inactive_file' : 'total_inactive_file'),
      mib,
    ],
    ['container_cpu_cfs_periods_total', read('cpu.stat', 'nr_periods'), 20],
    ['container_threads', read('pids.current'), 0],
    ['container_oom_events_total', 0, 0],
    ['container_spec_memory_limit_bytes', 200 * mib, 0],
    ['container_spec_cpu_period', 100_000, 0],
    ['container_spec_cpu_quota', 150_000, 0],
    ['container_spec_cpu_shares', 512, 0],
    ['container_processes', 2, 0],
  ];
  for (const [name, expected, apart] of table) {
    const value = one(container, name);
    t.true(Math.abs(value - expected) <= apart, `${name} is ${value}, the kernel says ${expected}`);
  }
  t.true(one(container, 'container_memory_usage_bytes') > 30 * mib);
  await exec(daemon, id, 'rm', '/dev/shm/some');
});

test.serial('processes, descriptors, sockets and the limit of open files are those of /proc', async (t) => {
  const dir = ownDirs()[0] as string;
  const pids = readFileSync(join(dir, 'cgroup.procs'), 'utf8').trim().split('\n');
  const links = pids.flatMap((pid) =>
    readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`)),
  );
  const { container } = await metrics();
  t.is(one(container, 'container_processes'), pids.length);
  t.is(one(container, 'container_file_descriptors'), links.length);
  t.is(one(container, 'container_sockets'), links.filter((link) => link.startsWith('socket:')).length);
  t.is(container.get('container_tasks_state')?.find((s) => s.labels['state'] === 'sleeping')?.value, pids.length);
  const soft = /^Max open files\s+(\S+)/m.exec(readFileSync(`/proc/${pids[0]}/limits`, 'utf8'))?.[1];
  t.is(String(one(container, 'container_ulimits_soft')), String(Number(soft)));
});

test.serial('labels are those of a cAdvisor that knows the pod', async (t) => {
  const { container, pod: whole } = await metrics();
  const own = container.get('container_memory_rss')?.[0]?.labels;
  t.like(own, { container: 'c', name: id, namespace: 'test', pod: 'measured' });
  t.regex(own?.['id'] ?? '', new RegExp(`^/.*${id}`));
  t.true((own?.['image'] ?? '') !== '');
  t.like(whole.get('container_memory_rss')?.[0]?.labels, { container: '', image: '', name: '', pod: 'measured' });
  t.is(container.get('container_cpu_usage_seconds_total')?.[0]?.labels['cpu'], 'total');
  const device = container.get('container_fs_limit_bytes')?.[0];
  const room = statfsSync(daemon.root);
  t.is(device?.value, room.blocks * room.bsize);
  t.regex(device?.labels['device'] ?? '', /^(\/dev\/.+|\d+:\d+)$/);
});

test.serial('traffic is counted per interface of the pod', async (t) => {
  const ip = await podIp(daemon, pod);
  const sent = async (): Promise<number> => {
    const found = (await metrics()).pod.get('container_network_transmit_bytes_total') ?? [];
    return found.find(({ labels }) => labels['interface'] === 'eth0')?.value ?? Number.NaN;
  };
  await until('it serves', () => ask(ip, 80).catch(() => null));
  const before = await sent();
  t.is((await ask(ip, 80)).length, 100_000);
  t.true((await sent()) - before >= 100_000);
});

test.serial('the stream gives what the list gives', async (t) => {
  const stream = criStream(daemon.socket, 'StreamPodSandboxMetrics');
  const pods = (await stream.all()).flatMap(({ pod_sandbox_metrics }) => pod_sandbox_metrics);
  stream.close();
  t.deepEqual(
    pods.map(({ pod_sandbox_id, container_metrics }) => [pod_sandbox_id, container_metrics.length]),
    [[pod.id, 1]],
  );
});

const scrape = async (path: string): Promise<string> => {
  const answer = await fetch(new URL(path, daemon.metricsUrl));
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.text();
};

test.serial('the metrics of pods are served to Prometheus too', async (t) => {
  const text = await scrape('/metrics/cadvisor');
  const own = text.split('\n').filter((line) => line.includes(`name="${id}"`));
  t.true(own.some((line) => /^container_spec_memory_limit_bytes\{.*pod="measured".*\} 209715200$/.test(line)));
  t.true(own.some((line) => /^container_cpu_usage_seconds_total\{container="c",.*,cpu="total"\} \d*\.\d+$/.test(line)));
  t.regex(text, /^container_network_receive_bytes_total\{container="",.*pod="measured",interface="eth0"\} [1-9]\d*$/m);
  const { container, pod: whole } = await metrics();
  const served = seriesServed(text);
  t.deepEqual(
    [...container.keys(), ...whole.keys()].filter((name) => !served.has(name)),
    [],
  );
});

test.serial('an end of a container is counted by its reason', async (t) => {
  const count = async (reason: string): Promise<number> =>
    Number(
      new RegExp(`podwright_container_exits_total\\{reason="${reason}"\\} (\\d+)`).exec(
        await scrape('/metrics'),
      )?.[1] ?? 0,
    );
  const [completed, failed] = [await count('Completed'), await count('Error')];
  for (const script of ['exit 0', 'exit 3']) {
    const done = await start(daemon, pod, scripted(script));
    await exited(daemon, done);
    await daemon.runtime.RemoveContainer({ container_id: done });
  }
  t.deepEqual([await count('Completed'), await count('Error')], [completed + 1, failed + 1]);
});

test.serial('every series of the dashboard is served by this daemon', async (t) => {
  const served = seriesServed(await scrape('/metrics'));
  const described = new Set((await descriptors()).map(({ name }) => name));
  t.deepEqual(
    [...seriesOf(dashboard())].filter((name) => !served.has(name) && !described.has(name)),
    [],
  );
});

endsWithoutResidue(test, daemon);
