// Limits of cgroup v2 that come by the `unified` map: what the kernel does to those who go beyond, and what is refused.
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { cgroupDirs, cgroupFile, containerPath, podPath } from '../helpers/cgroups.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { counted, limited, mebi, onDisk, withoutV2 } from '../helpers/limits.ts';
import {
  create,
  exec,
  exited,
  fails,
  output,
  pidOf,
  type Pod,
  pull,
  runPod,
  sh,
  start,
  statusOf,
} from '../helpers/pods.ts';
import { noSwap, swapOn } from '../helpers/swap.ts';
import { until } from '../helpers/until.ts';
import { writeSome } from '../helpers/write-some.ts';

const daemon = useDaemon(test, onDisk);
let pod: Pod;

const v2 = withoutV2('memory') === null;
if (v2)
  test.before('a pod', async () => {
    await pull(daemon);
    pod = await runPod(daemon);
  });

/** A test that needs cgroup v2 with a controller. */
function onV2(controller: string, title: string, run: (t: ExecutionContext) => Promise<void>): void {
  const why = withoutV2(controller);
  if (why === null) test.serial(title, run);
  else test.serial.skip(`${title} (${why})`, run);
}

const path = (id: string): string => containerPath(pod.id, id);
const remove = (id: string) => daemon.runtime.RemoveContainer({ container_id: id });
const update = (id: string, linux: object) => daemon.runtime.UpdateContainerResources({ container_id: id, linux });
const memory = (bytes: number) => ({
  memory_limit_in_bytes: String(bytes),
  memory_swap_limit_in_bytes: String(bytes),
});

onV2('memory', 'memory.high slows down who is above it, and kills nobody', async (t) => {
  const unified = { 'memory.high': String(16 * mebi) };
  const id = await start(daemon, pod, limited({ ...memory(256 * mebi), unified }, 'exec tail /dev/zero'));
  await until('it was throttled', () => counted(path(id), 'memory.events', 'high') > 10);
  t.is(counted(path(id), 'memory.events', 'max'), 0, 'it never came near its limit');
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING');
  await remove(id);
});

/** How often the monitor of a running container has waited for something. */
async function wakingsFor(id: string): Promise<() => number> {
  const pid = await pidOf(daemon, id);
  const number = (of: number | string, key: string): number =>
    Number(new RegExp(`^${key}:\\s+(\\d+)$`, 'm').exec(readFileSync(`/proc/${of}/status`, 'utf8'))?.[1]);
  const monitor = number(pid, 'PPid');
  return () => number(monitor, 'voluntary_ctxt_switches');
}

onV2('memory', 'who is at its limit all the time is looked at now and then', async (t) => {
  // written in pieces that fit, so that nobody is killed for it; read, it does not fit
  const piece = 'dd if=/dev/zero bs=1M count=4 conv=fsync 2> /dev/null >> /file';
  const script = `for i in 1 2 3 4 5 6 7 8; do ${piece}; done; while :; do cat /file > /dev/null; done`;
  const id = await start(daemon, pod, limited(memory(16 * mebi), script));
  const wakings = await wakingsFor(id);
  const times = (): number => counted(path(id), 'memory.events', 'max');
  await until('it is at its limit', () => times() > 1000);
  const before = { times: times(), wakings: wakings(), at: performance.now() };
  // the kernel tells a hundred times a second
  await until('it stays there', () => times() > before.times + 1000 && performance.now() > before.at + 4000);
  const seconds = (performance.now() - before.at) / 1000;
  const woken = wakings() - before.wakings;
  t.true(woken < 20 + 6 * seconds, `the monitor was woken ${woken} times in ${seconds} s`);
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING');
  await remove(id);
});

onV2('memory', 'memory.oom.group ends all of a container when one of it is killed', async (t) => {
  const script = 'tail /dev/zero; echo survived';
  const alone = await output(daemon, pod, limited(memory(16 * mebi), script));
  t.is(alone.stdout, 'survived\n');
  const unified = { 'memory.oom.group': '1' };
  const together = await output(daemon, pod, limited({ ...memory(16 * mebi), unified }, script));
  t.like(together, { stdout: '', status: { exit_code: 137 } });
});

onV2('memory', 'memory.min and memory.low keep what others give back', async (t) => {
  const cached = 24 * mebi;
  const script = `dd if=/dev/zero of=/file bs=1M count=24 2>/dev/null; sync; cat /file > /dev/null; sleep 3600`;
  const kept = { 'memory.min': String(48 * mebi) };
  const low = { 'memory.low': String(48 * mebi) };
  const ids: string[] = [];
  for (const unified of [kept, low, {}]) ids.push(await start(daemon, pod, limited({ unified }, script)));
  const held = (id: string): number => counted(path(id), 'memory.stat', 'file');
  await until('each has its file in the cache', () => ids.every((id) => held(id) >= cached));
  await until('the one that is not protected gave back', () => {
    // little at a time: who asks for more than it finds unprotected takes what memory.low speaks for too
    writeSome(join(cgroupDirs(podPath(pod.id))[0] as string, 'memory.reclaim'), String(mebi));
    return held(ids[2] as string) < cached / 2;
  });
  t.true(held(ids[0] as string) >= cached, 'memory.min');
  // best effort, as the kernel says: most of it
  t.true(held(ids[1] as string) >= cached * 0.75, `memory.low: ${held(ids[1] as string)}`);
  for (const id of ids) await remove(id);
});

onV2('memory', 'a memory.max below what is in use is refused by this way too, and nothing changes', async (t) => {
  const id = await start(daemon, pod, limited(memory(96 * mebi)));
  t.is((await exec(daemon, id, ...sh('dd if=/dev/zero of=/dev/shm/full bs=1M count=32 2>/dev/null'))).code, 0);
  await fails(t, update(id, { cpu_shares: '300', unified: { 'memory.max': '8M' } }), {
    code: 'FAILED_PRECONDITION',
    message: /below its usage/,
  });
  t.is(cgroupFile(path(id), 'memory.max'), String(96 * mebi));
  t.is(cgroupFile(path(id), 'cpu.weight'), '100', 'all of an update or nothing');
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING');
  await remove(id);
});

onV2('io', 'io.max bounds what is written to a disk, and an update lifts it', async (t) => {
  const dir = join(daemon.dir, 'disk');
  mkdirSync(dir);
  const { dev } = statSync(dir);
  const device = `${(dev >> 8) & 0xfff}:${dev & 0xff}`;
  const unified = { 'io.max': `${device} wbps=1048576` };
  const mounts = [{ host_path: dir, container_path: '/disk' }];
  const id = await start(daemon, pod, { ...limited({ unified }), mounts });
  t.is(cgroupFile(path(id), 'io.max'), `${device} rbps=max wbps=1048576 riops=max wiops=max`);
  const write = 'dd if=/dev/zero of=/disk/file bs=1M count=4 conv=fsync';
  const before = performance.now();
  t.is((await exec(daemon, id, ...sh(write))).code, 0);
  const seconds = (performance.now() - before) / 1000;
  t.true(seconds > 2, `4 MiB at 1 MiB/s took ${seconds} s`);
  const written = /wbytes=(\d+)/.exec(cgroupFile(path(id), 'io.stat'))?.[1];
  t.true(Number(written) >= 4 * mebi, `${written} bytes are on its account`);
  await update(id, { unified: { 'io.max': `${device} wbps=max` } });
  t.is(cgroupFile(path(id), 'io.max'), '');
  await fails(t, update(id, { unified: { 'io.max': `${device} wbps=4096`, 'no.such.file': '1' } }), {
    code: 'INVALID_ARGUMENT',
  });
  t.is(cgroupFile(path(id), 'io.max'), '', 'a device that had no limit has none again');
  await remove(id);
});

onV2('pids', 'a fork above pids.max is refused', async (t) => {
  const id = await start(daemon, pod, limited({ unified: { 'pids.max': '6' } }));
  // none of them ends before the last is begun, however slow the machine
  const script = 'for i in 1 2 3 4 5 6 7 8; do sleep 3600 > /dev/null 2>&1 & done';
  const { stderr } = await exec(daemon, id, ...sh(script));
  t.regex(stderr, /fork/);
  t.true(counted(path(id), 'pids.events', 'max') > 0);
  await remove(id);
});

onV2('cpu', 'cpu.max.burst lends what was not used before', async (t) => {
  const resources = { cpu_period: '100000', cpu_quota: '20000', unified: { 'cpu.max.burst': '20000' } };
  const id = await start(daemon, pod, limited(resources, 'while :; do :; done'));
  // it begins with all that it may save
  await until('it has used its savings', () => counted(path(id), 'cpu.stat', 'nr_bursts') > 0);
  t.true(counted(path(id), 'cpu.stat', 'burst_usec') > 0);
  await remove(id);
});

onV2('cpu', 'quota and burst go up and down together', async (t) => {
  const id = await create(daemon, pod, limited({ cpu_period: '100000', cpu_quota: '20000' }));
  for (const [quota, burst] of [
    ['100000', '50000'],
    ['20000', '20000'],
    ['60000', '40000'],
  ] as const) {
    await update(id, { cpu_quota: quota, unified: { 'cpu.max.burst': burst } });
    t.is(cgroupFile(path(id), 'cpu.max'), `${quota} 100000`);
    t.is(cgroupFile(path(id), 'cpu.max.burst'), burst);
  }
  await update(id, { unified: { 'cpu.max': '10000 100000', 'cpu.max.burst': '10000' } });
  t.is(cgroupFile(path(id), 'cpu.max'), '10000 100000');
  await fails(t, update(id, { cpu_quota: '50000', unified: { 'cpu.max.burst': '60000' } }), {
    code: 'INVALID_ARGUMENT',
  });
  t.is(cgroupFile(path(id), 'cpu.max'), '10000 100000', 'all of an update or nothing');
  t.is(cgroupFile(path(id), 'cpu.max.burst'), '10000');
  await remove(id);
});

onV2('cpu', 'who is idle no more has the weight that it was given, and a failed update takes none', async (t) => {
  const id = await start(daemon, pod, limited({ ...memory(64 * mebi), cpu_shares: '2048' }));
  const weight = (): string => cgroupFile(path(id), 'cpu.weight');
  t.is(weight(), '174');
  // more than can be taken back
  t.is((await exec(daemon, id, ...sh('dd if=/dev/zero of=/dev/shm/full bs=1M count=16 2>/dev/null'))).code, 0);
  for (const [key, value] of [
    ['cpu.idle', '1'],
    ['cpu.weight.nice', '3'],
  ] as const) {
    const unified = { [key]: value, 'memory.max': '1M' };
    // the map is written in the order of its keys
    await fails(t, update(id, { unified }), { code: 'FAILED_PRECONDITION', message: /below its usage/ });
    t.is(cgroupFile(path(id), 'cpu.idle'), '0');
    t.is(weight(), '174', key);
  }
  await update(id, { unified: { 'cpu.idle': '1' } });
  t.is(cgroupFile(path(id), 'cpu.idle'), '1');
  await update(id, { cpu_shares: '512' });
  t.is(cgroupFile(path(id), 'cpu.idle'), '1', 'it takes no weight now');
  await update(id, { unified: { 'cpu.idle': '0' } });
  t.is(weight(), '59', 'what was asked for last');
  t.like((await statusOf(daemon, id)).resources?.linux, { cpu_shares: '512' });
  await remove(id);
});

onV2('io', 'a limit for a device that is none is refused by its key', async (t) => {
  const id = await create(daemon, pod, limited({}));
  for (const key of ['io.max', 'io.latency']) {
    if (!existsSync(join(cgroupDirs(path(id))[0] as string, key))) continue;
    const call = update(id, {
      unified: { [key]: key === 'io.max' ? '4095:4095 wbps=1048576' : '4095:4095 target=75000' },
    });
    await fails(t, call, { code: 'INVALID_ARGUMENT', message: new RegExp(`"${key}": names no device`) });
  }
  await remove(id);
});

onV2('misc', 'misc.max is written line by line: by the text of its file only, for no resource is here', async (t) => {
  const id = await create(daemon, pod, limited({}));
  t.is(cgroupFile(path(id), 'misc.max'), '');
  await fails(t, update(id, { unified: { 'misc.max': 'nothing 1' } }), { code: 'INVALID_ARGUMENT' });
  await remove(id);
});

onV2('memory', 'what is no limit, or no file here, is refused by name and nothing changes', async (t) => {
  const id = await start(daemon, pod, limited({ unified: { 'memory.high': String(64 * mebi) } }));
  for (const key of ['memory.reclaim', 'memory.pressure', 'memory.peak', 'memory.nothing', 'cgroup.freeze']) {
    const message = new RegExp(key.replaceAll('.', '\\.'));
    const call = update(id, { unified: { 'memory.high': String(32 * mebi), [key]: '1' } });
    await fails(t, call, { code: 'INVALID_ARGUMENT', message });
    t.is(cgroupFile(path(id), 'memory.high'), String(64 * mebi), key);
  }
  t.like((await statusOf(daemon, id)).resources?.linux, { unified: { 'memory.high': String(64 * mebi) } });
  await remove(id);
});

onV2('memory', 'who is above memory.max is killed', async (t) => {
  const id = await start(
    daemon,
    pod,
    limited({ unified: { 'memory.max': '16M', 'memory.swap.max': '0' } }, 'exec tail /dev/zero'),
  );
  t.like(await exited(daemon, id), { exit_code: 137, reason: 'OOMKilled' });
  await remove(id);
});

const zswapSwitch = '/sys/module/zswap/parameters/enabled';
const noZswap = noSwap ?? withoutV2('memory') ?? (existsSync(zswapSwitch) ? null : 'no zswap in this kernel');
const zswapping = noZswap === null ? test.serial : test.serial.skip;

zswapping(
  `memory.zswap.max bounds what is kept compressed, and 0 keeps nothing${noZswap === null ? '' : ` (${noZswap})`}`,
  async (t) => {
    swapOn(t);
    const before = readFileSync(zswapSwitch, 'utf8');
    writeFileSync(zswapSwitch, 'Y');
    t.teardown(() => writeFileSync(zswapSwitch, before));
    // what compresses well, but is not of one byte alone: such pages are noted, not kept
    const hold = 'yes "some and more" | dd of=/dev/shm/full bs=1M count=48 iflag=fullblock 2> /dev/null && sleep 3600';
    const swapped = { memory_limit_in_bytes: String(32 * mebi), memory_swap_limit_in_bytes: String(96 * mebi) };
    const kept = async (max: string): Promise<number> => {
      const id = await start(daemon, pod, limited({ ...swapped, unified: { 'memory.zswap.max': max } }, hold));
      await until('some of it is in swap', () => Number(cgroupFile(path(id), 'memory.swap.current')) > 8 * mebi);
      const bytes = Number(cgroupFile(path(id), 'memory.zswap.current'));
      await remove(id);
      return bytes;
    };
    const most = await kept('max');
    t.true(most > 64 * 1024, `${most} bytes are kept`);
    const bound = 16_384;
    const few = await kept(String(bound));
    // it is looked at before a page goes there
    t.true(few <= bound + 4096 && few < most, `${few} bytes are kept of ${bound}`);
    t.is(await kept('0'), 0);
  },
);

if (v2) endsWithoutResidue(test, daemon);
