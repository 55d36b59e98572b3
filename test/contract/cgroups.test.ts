// The cgroup port over the real addon, in cgroups of the test's own.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import {
  type CgroupPlace,
  type Cgroups,
  type CgroupStats,
  createCgroups,
  type Resources,
  type UsageAnswer,
} from '../../src/cgroup/cgroup.ts';
import { Failure } from '../../src/lib/failure.ts';
import { loadNative } from '../../src/native/load.ts';
import { criMessage } from '../../src/proto/cri-codec.ts';
import type { ContainerStats__Output } from '../../src/proto/generated/cri/runtime/v1/ContainerStats.ts';
import { until } from '../helpers/until.ts';
import { noCgroupLimits as nothing } from '../helpers/no-limits.ts';

const addon = process.env['PODWRIGHT_ADDON'] ?? resolve('dist/addon.node');
const cannotRun = ((): string | null => {
  if (process.getuid?.() !== 0) return 'needs root: cgroups are made';
  return existsSync(addon) ? null : `no addon at ${addon}: run hack/build.sh`;
})();
const real = cannotRun === null ? test : test.skip;
const title = (what: string): string => (cannotRun === null ? what : `${what} (${cannotRun})`);

const MiB = 2 ** 20;
const limits: Resources = {
  ...nothing, cpuShares: 512, cpuQuota: 50_000, cpuPeriod: 100_000, memoryLimitBytes: 64 * MiB,
  memorySwapLimitBytes: 64 * MiB, pidsLimit: 30, hugepageLimits: [{ pageSize: '2MB', limit: 0 }],
}; // prettier-ignore

/** The port, and a path of its own that is removed when the test ends. */
function room(t: ExecutionContext): { cgroups: Cgroups; path: string } {
  const cgroups = createCgroups(loadNative(addon), 'cgroupfs');
  const path = `/podwright-test-${randomBytes(6).toString('hex')}`;
  t.teardown(async () => {
    await cgroups.kill(path);
    await cgroups.remove([path]);
  });
  return { cgroups, path };
}

/** A shell that puts itself where a monitor would put it. */
function shellIn(place: CgroupPlace, script: string): ChildProcess {
  const files = [...place.v1Tasks, ...(place.unifiedDir === '' ? [] : [`${place.unifiedDir}/cgroup.procs`])];
  const join = files.map((file) => `echo 0 > ${file}`).join('\n');
  return spawn('/bin/sh', ['-c', `set -e\n${join}\necho in\n${script}`], { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function running(shell: ChildProcess): Promise<ChildProcess> {
  if (shell.stdout) await once(shell.stdout, 'data');
  return shell;
}

/** What the answers say to a client, without times and rates. */
function asRead({ containers, pods }: UsageAnswer) {
  const read = (name: string, bytes: Uint8Array): object =>
    JSON.parse(
      JSON.stringify(criMessage(name).deserialize(Buffer.from(bytes)), (key, value: unknown) =>
        key === 'timestamp' || key === 'usage_nano_cores' ? undefined : value,
      ),
    ) as object;
  return [
    ...containers.map((bytes) => read('ContainerStats', bytes)),
    ...pods.map((bytes) => read('LinuxPodSandboxStats', bytes)),
  ];
}

const count = (value: number | null) => (value === null ? null : { value: String(value) });
type Psi = NonNullable<CgroupStats['psi']>['cpu'];
const psiStats = (of: Psi | undefined) => {
  const data = ({ totalUs, avg10, avg60, avg300 }: Psi['some']) => ({
    Total: String(totalUs * 1000),
    Avg10: avg10,
    Avg60: avg60,
    Avg300: avg300,
  });
  return of ? { Full: data(of.full), Some: data(of.some) } : null;
};

/** CpuUsage, MemoryUsage and IoUsage by the long form's numbers. */
const commonParts = ({ cpu, memory, psi }: CgroupStats) => ({
  cpu: cpu && { usage_core_nano_seconds: count(cpu.usageNs), psi: psiStats(psi?.cpu) },
  memory: memory && {
    working_set_bytes: count(memory.workingSet),
    available_bytes: count(memory.available),
    usage_bytes: count(memory.usage),
    rss_bytes: count(memory.rss),
    page_faults: count(memory.pageFaults),
    major_page_faults: count(memory.majorPageFaults),
    psi: psiStats(psi?.memory),
  },
  io: psi && { psi: psiStats(psi.io) },
});

/** ContainerStats by the long form's numbers. */
const containerStats = (stats: CgroupStats) => ({
  attributes: null,
  ...commonParts(stats),
  swap:
    stats.memory?.swapUsage === null || stats.memory === null
      ? null
      : {
          swap_usage_bytes: count(stats.memory.swapUsage),
          swap_available_bytes: count(
            stats.memory.swapLimit === null ? null : stats.memory.swapLimit - stats.memory.swapUsage,
          ),
        },
  writable_layer: null,
});

/** LinuxPodSandboxStats by the long form's numbers. */
const podStats = (stats: CgroupStats) => ({
  ...commonParts(stats),
  network: null,
  process: stats.pids && { process_count: count(stats.pids.current) },
  containers: [],
});

real(title('limits given are limits had'), async (t) => {
  const { cgroups, path } = room(t);
  const facts = await cgroups.create(path, limits);
  t.true(existsSync(facts.procsDir) && existsSync(facts.memoryEvents));
  t.is(facts.killFile === '', cgroups.version === 'v1');
  for (const file of facts.place.v1Tasks) t.true(existsSync(file), file);
  const had = await cgroups.read(path);
  t.like(had, { cpuShares: 512, cpuQuota: 50_000, cpuPeriod: 100_000, memoryLimitBytes: 64 * MiB, pidsLimit: 30 });
  const raised = await cgroups.update(path, {
    ...nothing,
    memoryLimitBytes: 128 * MiB,
    memorySwapLimitBytes: 128 * MiB,
  });
  t.like(raised, { cpuShares: 512, memoryLimitBytes: 128 * MiB });
  t.like(await cgroups.update(path, { ...nothing, cpuQuota: -1 }), { cpuQuota: -1, memoryLimitBytes: 128 * MiB });
});

real(title('creating twice is creating once'), async (t) => {
  const { cgroups, path } = room(t);
  const first = await cgroups.create(path, limits);
  t.deepEqual(await cgroups.create(path, null), first);
  t.is((await cgroups.read(path)).pidsLimit, 30);
});

real(title('refusals have the kind the caller answers with'), async (t) => {
  const { cgroups, path } = room(t);
  await cgroups.create(path, limits);
  const kind = async (change: Partial<Resources>, at = path): Promise<string | undefined> =>
    (await t.throwsAsync(cgroups.update(at, { ...nothing, ...change }), { instanceOf: Failure }))?.kind;
  t.is(await kind({ cpuPeriod: 7 }), 'invalid-argument');
  t.is(await kind({ memoryLimitBytes: 0 }), 'invalid-argument');
  t.is(await kind({ unified: { 'a/b.c': '1' } }), 'invalid-argument');
  t.is(await kind({ memoryLimitBytes: 64 * MiB, memorySwapLimitBytes: MiB }), 'invalid-argument');
  t.is(await kind({ pidsLimit: 5 }, `${path}/none`), 'not-found');
  t.is(await kind({ pidsLimit: 5 }, '/../x'), 'invalid-argument');
  t.like(await cgroups.read(path), { memoryLimitBytes: 64 * MiB, memorySwapLimitBytes: 64 * MiB, pidsLimit: 30 });
});

real(title('memory in use cannot be taken away'), async (t) => {
  const { cgroups, path } = room(t);
  const facts = await cgroups.create(path, { ...limits, memoryLimitBytes: 256 * MiB, memorySwapLimitBytes: 256 * MiB });
  await running(shellIn(facts.place, "x=$(head -c 40000000 /dev/zero | tr '\\0' a); echo full; sleep 30"));
  for (let rss = 0; rss < 40_000_000;) rss = (await cgroups.stats([path]))[0]?.memory?.rss ?? 0;
  const refused = cgroups.update(path, { ...nothing, memoryLimitBytes: 8 * MiB, memorySwapLimitBytes: 8 * MiB });
  t.is((await t.throwsAsync(refused, { instanceOf: Failure }))?.kind, 'failed-precondition');
  t.is((await cgroups.read(path)).memoryLimitBytes, 256 * MiB);
});

real(title('usage, processes and kill of a running shell'), async (t) => {
  const { cgroups, path } = room(t);
  const facts = await cgroups.create(`${path}/c`, limits);
  const shell = await running(shellIn(facts.place, 'sleep 30 & sleep 30; true'));
  const ended = once(shell, 'exit');
  // the pod is counted before the container: both sleeps must have begun
  await until('the shell has forked', async () => (await cgroups.procs(path)).length === 3);
  t.true((await cgroups.procs(path)).includes(shell.pid ?? 0));
  await until('its time is counted', async () => ((await cgroups.stats([`${path}/c`]))[0]?.cpu?.usageNs ?? 0) > 0);
  const [pod, container, none] = await cgroups.stats([path, `${path}/c`, `${path}/none`]);
  t.is(none, null);
  t.true((container?.cpu?.usageNs ?? 0) > 0 && (container?.memory?.usage ?? 0) > 0);
  t.is(container?.pids?.limit, 30);
  t.true((pod?.pids?.current ?? 0) >= (container?.pids?.current ?? 0));
  t.is(container?.memory?.available, 64 * MiB - (container?.memory?.workingSet ?? 0));
  t.is(container?.psi === null, cgroups.version === 'v1');
  await cgroups.kill(path);
  t.deepEqual(await cgroups.procs(path), []);
  t.deepEqual(await ended, [null, 'SIGKILL']);
});

real(title('what is encoded for CRI is what the long form tells'), async (t) => {
  const { cgroups, path } = room(t);
  const facts = await cgroups.create(`${path}/c`, { ...limits, memorySwapLimitBytes: 80 * MiB });
  await running(shellIn(facts.place, "x=$(head -c 3000000 /dev/zero | tr '\\0' a); echo; sleep 60"));
  const [container, none] = [`${path}/c`, `${path}/none`];
  const asked = { containers: [container, none], pods: [container, path, none] };
  // the kernel may count between two readings: what both readings of the short form agree on, the long one says too
  for (const deadline = performance.now() + 20_000; ;) {
    const before = await cgroups.usage(asked, 1n);
    const [one, root] = await cgroups.stats([container, path]);
    const after = await cgroups.usage(asked, 1n);
    t.is(before.containers[1]?.byteLength, 0, 'there is no such cgroup');
    t.is(before.pods[2]?.byteLength, 0);
    if (!one?.memory || !root) throw new Error('the cgroups are not there');
    if (one.memory.rss > 3_000_000 && isDeepStrictEqual(asRead(before), asRead(after))) {
      const empty = asRead({ containers: [new Uint8Array()], pods: [new Uint8Array()] });
      t.deepEqual(
        asRead(before),
        [containerStats(one), empty[0], podStats(one), podStats(root), empty[1]].map((o) => ({ ...o })),
      );
      break;
    }
    if (performance.now() > deadline) throw new Error('usage of a sleeping shell changes all the time');
  }
  await cgroups.kill(path);
});

real(title('times are those of the asking clock and never repeat; rates begin with the second reading'), async (t) => {
  const { cgroups, path } = room(t);
  const facts = await cgroups.create(path, null);
  await running(shellIn(facts.place, 'while :; do :; done'));
  const read = async (now: bigint) => {
    const { containers } = await cgroups.usage({ containers: [path], pods: [] }, now);
    const { cpu } = criMessage('ContainerStats').deserialize(
      Buffer.from(containers[0] ?? []),
    ) as ContainerStats__Output;
    return { at: BigInt(cpu?.timestamp ?? 0), cores: cpu?.usage_nano_cores };
  };
  const start = 1_700_000_000_000_000_000n;
  const first = await read(start);
  t.true(first.at >= start && first.at < start + 60_000_000_000n);
  t.is(first.cores, null);
  const second = await read(start - 1_000_000_000n);
  t.true(second.at > first.at, 'also when the clock of the caller goes back');
  // a busy loop has a rate as soon as it was given the processor between two readings
  let rate = 0;
  for (const deadline = performance.now() + 20_000; rate === 0 && performance.now() < deadline;) {
    rate = Number((await read(start + BigInt(Math.round(performance.now() * 1e6)))).cores?.value ?? 0);
  }
  t.true(rate > 0);
  await cgroups.kill(path);
});

real(title('what is removed leaves nothing; what is missing is no error'), async (t) => {
  const { cgroups, path } = room(t);
  const facts = await cgroups.create(`${path}/a/b`, null);
  await cgroups.remove([path, `${path}-none`]);
  const left = [...facts.place.v1Tasks.map(dirname), facts.place.unifiedDir].map((dir) => dirname(dirname(dir)));
  t.deepEqual(
    left.filter((dir) => dir.length > 1 && existsSync(dir)),
    [],
  );
  await cgroups.kill(path);
  t.deepEqual(await cgroups.procs(path), []);
});

real(title('the files of a hundred cgroups stay open, and no more'), async (t) => {
  const { cgroups, path } = room(t);
  const paths = Array.from({ length: 100 }, (_, at) => `${path}/c${at}`);
  for (const each of paths) await cgroups.create(each, null);
  const reads = {
    'all statistics': async () => (await cgroups.stats(paths)).map((found) => found !== null),
    usage: async () =>
      (await cgroups.usage({ containers: paths, pods: [] }, 1n)).containers.map((bytes) => bytes.byteLength > 0),
  };
  for (const [what, read] of Object.entries(reads)) {
    let best = Infinity;
    for (let round = 0; round < 20; round++) {
      const begin = performance.now();
      t.true((await read()).every(Boolean));
      best = Math.min(best, performance.now() - begin);
    }
    t.log(`${what} of 100 cgroups in ${best.toFixed(2)} ms at best`);
  }
  const open = Number(execFileSync('sh', ['-c', `ls /proc/${process.pid}/fd | wc -l`]).toString());
  t.true(open < 5000, `${open} descriptors`);
});
