// An update of limits whose record cannot be written, over the real addon, in cgroups of the test's own: the kernel has
// then what it had before.
import { randomBytes } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Cgroups, createCgroups, type Resources } from '../../src/cgroup/cgroup.ts';
import type { Container } from '../../src/container/container.ts';
import { updateContainerResources, type UpdateResourcesPorts } from '../../src/container/update-resources.ts';
import { internal } from '../../src/lib/failure.ts';
import { KeyedLock } from '../../src/lib/keyed-lock.ts';
import { loadNative } from '../../src/native/load.ts';
import { cgroupFile } from '../helpers/cgroups.ts';
import { withoutV2 } from '../helpers/limits.ts';
import { noCgroupLimits as nothing } from '../helpers/no-limits.ts';

const addon = process.env['PODWRIGHT_ADDON'] ?? resolve('dist/addon.node');
const cannotRun = ((): string | null => {
  if (process.getuid?.() !== 0) return 'needs root: cgroups are made';
  return existsSync(addon) ? null : `no addon at ${addon}: run hack/build.sh`;
})();

const mebi = 2 ** 20;
/** A cgroup with limits; updates of it change the kernel and fail then. */
async function room(t: ExecutionContext, limits: Partial<Resources>) {
  const cgroups: Cgroups = createCgroups(loadNative(addon), 'cgroupfs');
  const path = `/podwright-test-${randomBytes(6).toString('hex')}`;
  t.teardown(() => cgroups.remove([path]));
  const resources = { ...nothing, ...limits, oomScoreAdj: 0 };
  await cgroups.create(path, { ...nothing, ...limits });
  const container = {
    identity: { id: 'c', cgroupPath: path },
    status: { phase: 'running', exit: null, resources },
  } as unknown as Container;
  const changed: Resources[] = [];
  const records = {
    find: () => container,
    get: () => container,
    list: () => [container],
    update: () => {
      throw internal('no space left on device');
    },
  };
  const ports = {
    records,
    locks: new KeyedLock(),
    cgroups: {
      read: (at: string) => cgroups.read(at),
      update: async (at: string, change: Resources) => {
        const now = await cgroups.update(at, change);
        changed.push(now);
        return now;
      },
    },
  } as unknown as UpdateResourcesPorts;
  const update = async (change: Partial<Resources>) => {
    const { pidsLimit = null, ...rest } = change;
    const input = { id: 'c', resources: { ...nothing, ...rest, oomScoreAdj: 0 }, pidsLimit };
    await t.throwsAsync(updateContainerResources(ports, input, new AbortController().signal), {
      message: 'no space left on device',
    });
    return changed[0];
  };
  return { cgroups, path, update };
}

/** A test that needs what `why` says is not there. */
function where(why: string | null, title: string, run: (t: ExecutionContext) => Promise<void>): void {
  const missing = cannotRun ?? why;
  if (missing === null) test(title, run);
  else test.skip(`${title} (${missing})`, run);
}

where(null, 'memory, processor time and the number of tasks', async (t) => {
  const { cgroups, path, update } = await room(t, {
    memoryLimitBytes: 64 * mebi,
    cpuShares: 512,
    cpuQuota: 50_000,
    cpuPeriod: 100_000,
    pidsLimit: 30,
  });
  const before = await cgroups.read(path);
  const changed = await update({ memoryLimitBytes: 128 * mebi, cpuShares: 1024, cpuQuota: -1, pidsLimit: 40 });
  t.like(changed, { memoryLimitBytes: 128 * mebi, cpuQuota: -1, pidsLimit: 40 });
  t.deepEqual(await cgroups.read(path), before);
});

where(withoutV2('memory'), 'files of the unified map, on record and not', async (t) => {
  const { path, update } = await room(t, { unified: { 'memory.low': String(mebi) } });
  const changed = await update({
    unified: { 'memory.low': '0', 'memory.high': String(mebi), 'memory.oom.group': '1' },
  });
  t.is(changed?.unified['memory.high'], String(mebi));
  t.deepEqual(
    ['memory.low', 'memory.high', 'memory.oom.group'].map((file) => cgroupFile(path, file)),
    [String(mebi), 'max', '0'],
  );
});

where(withoutV2('memory'), 'the room for swap beside memory without a limit', async (t) => {
  const { path, update } = await room(t, { unified: { 'memory.swap.max': String(mebi) } });
  await update({ memoryLimitBytes: 64 * mebi });
  t.deepEqual([cgroupFile(path, 'memory.max'), cgroupFile(path, 'memory.swap.max')], ['max', String(mebi)]);
});

/** The number of the disk that this tree is on; null where it is on none. */
const disk = ((): string | null => {
  const { dev } = statSync(process.env['TESTBED'] === undefined ? '.' : '/.scratch');
  const number = `${Math.trunc(dev / 256)}:${dev % 256}`;
  return existsSync(`/sys/dev/block/${number}`) ? number : null;
})();

where(withoutV2('io') ?? (disk === null ? 'no disk' : null), 'limits of a disk', async (t) => {
  const { path, update } = await room(t, {});
  const changed = await update({ unified: { 'io.max': `${disk} wbps=1048576` } });
  t.regex(changed?.unified['io.max'] ?? '', /wbps=1048576/);
  t.is(cgroupFile(path, 'io.max'), '');
});

where(withoutV2('cpuset'), 'a cpuset where there was none', async (t) => {
  const { path, update } = await room(t, {});
  t.is((await update({ cpusetCpus: '0' }))?.cpusetCpus, '0');
  t.is(cgroupFile(path, 'cpuset.cpus'), '');
});
