// io.weight: two containers read one disk past the file cache while the kernel's io.cost divides it. Needs a kernel with
// io.cost on a disk that is the test's alone: hack/test.sh vm-qemu.
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { cgroupFile, containerPath } from '../helpers/cgroups.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { limited, mebi, withoutV2 } from '../helpers/limits.ts';
import { create, fails, pull, runPod, start, type Pod } from '../helpers/pods.ts';
import { patienceMs, until } from '../helpers/until.ts';

const root = '/sys/fs/cgroup';
/** A disk of a machine of hack/testbed, on which nothing else of this test is. */
const disk = '/.scratch';

const noV2 = withoutV2('io');
const hasCost = existsSync(`${root}/io.cost.qos`);

/** Why the effect cannot be measured, null where it can. */
const noCost = ((): string | null => {
  if (noV2 !== null) return noV2;
  if (!hasCost) return 'this kernel has no io.cost: hack/test.sh vm-qemu';
  return process.env['TESTBED'] === undefined ? 'io.cost is only switched on in a machine of hack/testbed' : null;
})();

const daemon = useDaemon(test);
let pod: Pod;

if (noV2 === null)
  test.before('a pod', async () => {
    await pull(daemon);
    pod = await runPod(daemon);
  });

/** A test, unless something is in its way. */
function unless(why: string | null, title: string, run: (t: ExecutionContext) => Promise<void>): void {
  if (why === null) test.serial(title, run);
  else test.serial.skip(`${title} (${why})`, run);
}

const path = (id: string): string => containerPath(pod.id, id);
const remove = (id: string) => daemon.runtime.RemoveContainer({ container_id: id });
const update = (id: string, weight: string) =>
  daemon.runtime.UpdateContainerResources({ container_id: id, linux: { unified: { 'io.weight': weight } } });

/** "254:0" of the file system that a directory is on. */
function deviceOf(dir: string): string {
  const { dev } = statSync(dir);
  return `${(dev >> 8) & 0xfff}:${dev & 0xff}`;
}

unless(noV2 ?? (hasCost ? null : 'this kernel has no io.weight'), 'io.weight is written line by line', async (t) => {
  const id = await create(daemon, pod, limited({ unified: { 'io.weight': '300' } }));
  t.is(cgroupFile(path(id), 'io.weight'), 'default 300');
  await update(id, 'default 50');
  t.is(cgroupFile(path(id), 'io.weight'), 'default 50');
  for (const wrong of ['0', '10001', 'much']) {
    await fails(t, update(id, wrong), { code: 'INVALID_ARGUMENT', message: /io\.weight/ });
    t.is(cgroupFile(path(id), 'io.weight'), 'default 50', wrong);
  }
  await remove(id);
});

unless(
  noV2 ?? (hasCost ? 'this kernel has io.weight' : null),
  'io.weight is refused by name where the kernel does not have it',
  async (t) => {
    const id = await create(daemon, pod, limited({}));
    await fails(t, update(id, '300'), { code: 'INVALID_ARGUMENT', message: /io\.weight/ });
    await remove(id);
  },
);

/** A disk of 4 MiB and 64 transfers a second, neither slower nor faster than that, whatever it is in truth. */
function slowDisk(t: ExecutionContext): string {
  const device = deviceOf(disk);
  const speeds = ['r', 'w'].map((way) => `${way}bps=${4 * mebi} ${way}seqiops=64 ${way}randiops=64`).join(' ');
  t.teardown(() => writeFileSync(`${root}/io.cost.qos`, `${device} enable=0`));
  writeFileSync(`${root}/io.cost.model`, `${device} ctrl=user model=linear ${speeds}`);
  writeFileSync(`${root}/io.cost.qos`, `${device} enable=1 ctrl=user min=100.00 max=100.00`);
  return device;
}

/** Bytes that a container has read from a device, and the microseconds of the device's time that io.cost counts for it. */
function share(id: string, device: string): { readonly bytes: number; readonly usage: number } {
  const line = cgroupFile(path(id), 'io.stat')
    .split('\n')
    .find((each) => each.startsWith(`${device} `));
  const number = (key: string): number => Number(new RegExp(`${key}=(\\d+)`).exec(line ?? '')?.[1] ?? 0);
  return { bytes: number('rbytes'), usage: number('cost\\.usage') };
}

unless(noCost, 'a disk is divided by io.weight, and by what an update makes of it', async (t) => {
  const dir = `${disk}/weights-${process.pid}`;
  t.teardown(() => rmSync(dir, { recursive: true }));
  mkdirSync(dir);
  for (const name of ['first', 'second'])
    writeFileSync(`${dir}/${name}`, Buffer.alloc(32 * mebi, name), { flush: true });
  const device = slowDisk(t);
  const reader = (name: string, weight: string) => {
    const script = `while dd if=/disk/${name} of=/dev/null bs=64k iflag=direct 2>/dev/null; do :; done`;
    const mounts = [{ host_path: dir, container_path: '/disk', readonly: true }];
    return start(daemon, pod, { ...limited({ unified: { 'io.weight': weight } }, script), mounts });
  };
  const ids = [await reader('first', '100'), await reader('second', '1000')] as const;

  /** What each got of 20 MiB from now on. */
  const divided = async () => {
    const before = ids.map((id) => share(id, device));
    const since = () =>
      ids.map((id, at) => {
        const now = share(id, device);
        return { bytes: now.bytes - (before[at]?.bytes ?? 0), usage: now.usage - (before[at]?.usage ?? 0) };
      });
    const enough = () => {
      const got = since();
      return got.reduce((sum, { bytes }) => sum + bytes, 0) >= 20 * mebi && got.every(({ usage }) => usage > 0) && got;
    };
    const [first, second] = await until('both have read', enough, 2 * patienceMs);
    if (first === undefined || second === undefined) throw new Error('there are two readers');
    t.log(`${first.bytes} and ${second.bytes} bytes, ${first.usage} and ${second.usage} us of the device`);
    return { bytes: second.bytes / first.bytes, usage: second.usage / first.usage };
  };
  await until('both read', () => ids.every((id) => share(id, device).bytes > 0));
  const tenfold = await divided();
  t.true(tenfold.bytes >= 2 && tenfold.usage >= 2, `${tenfold.bytes} times the bytes by 10 times the weight`);
  await update(ids[0], '1000');
  await update(ids[1], '100');
  t.is(cgroupFile(path(ids[0]), 'io.weight'), 'default 1000');
  const turned = await divided();
  t.true(turned.bytes <= 0.5 && turned.usage <= 0.5, `${turned.bytes} times the bytes by a tenth of the weight`);
  t.regex(readFileSync(`${root}/io.cost.qos`, 'utf8'), /enable=1/);
  for (const id of ids) await remove(id);
});

endsWithoutResidue(test, daemon);
