import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { Container } from '../../../src/container/container.ts';
import type { CgroupResources } from '../../../src/container/ports.ts';
import {
  mergeResources,
  toldResources,
  updateContainerResources,
  type UpdateResourcesPorts,
} from '../../../src/container/update-resources.ts';
import { Failure, failedPrecondition, failureChain, internal } from '../../../src/lib/failure.ts';
import { KeyedLock } from '../../../src/lib/keyed-lock.ts';
import type { LinuxResources } from '../../../src/sandbox/sandbox.ts';
import { containerRecords } from '../../../src/state/containers.ts';
import { RecordWriter } from '../../../src/state/record-writer.ts';
import { noCgroupLimits as none, noLinuxLimits as unlimited } from '../../helpers/no-limits.ts';

const request: LinuxResources = { ...none, oomScoreAdj: 0 };
const limited: LinuxResources = { ...request, unified: { 'memory.high': '70000000' } };

/** What the cgroup was told, over records that fail or do not. */
function world(recordsFail: boolean, backFails = false, resources = limited) {
  const running = {
    identity: { id: 'c', cgroupPath: '/pod/c' },
    status: { phase: 'running', exit: null, resources },
  } as unknown as Container;
  const told: CgroupResources[] = [];
  const kept: object[] = [];
  const ports = {
    records: {
      find: () => running,
      get: () => running,
      list: () => [running],
      update: (_: string, change: object) => {
        if (recordsFail) throw internal('write record: no space left on device');
        kept.push(change);
        return running;
      },
    },
    locks: new KeyedLock(),
    cgroups: {
      read: async () => ({ ...none, memoryLimitBytes: 64, cpuQuota: -1 }),
      update: async (_: string, resources: CgroupResources) => {
        told.push(resources);
        if (backFails && told.length === 2) throw failedPrecondition('96 bytes are in use');
        return resources;
      },
    },
  } as unknown as UpdateResourcesPorts;
  return { ports, told, kept };
}

const update = (ports: UpdateResourcesPorts): Promise<void> =>
  updateContainerResources(
    ports,
    { id: 'c', resources: { ...request, memoryLimitBytes: 128, unified: { 'memory.high': '90000000' } } },
    new AbortController().signal,
  );

test('what was changed is kept', async (t) => {
  const { ports, told, kept } = world(false);
  await update(ports);
  t.is(told.length, 1);
  t.like(kept[0], { resources: { memoryLimitBytes: 128, unified: { 'memory.high': '90000000' } } });
});

test('a change that cannot be written down is taken back in the kernel', async (t) => {
  const { ports, told } = world(true);
  await t.throwsAsync(update(ports), { message: /no space left/ });
  t.like(told[0], { memoryLimitBytes: 128 });
  t.deepEqual(told[1], { ...none, memoryLimitBytes: 64, cpuQuota: -1, unified: { 'memory.high': '70000000' } });
});

test('limits that cannot be taken back do not hide why the record failed', async (t) => {
  const { ports, told } = world(true, true);
  const failure = await t.throwsAsync(update(ports), { instanceOf: Failure });
  t.is(failure.kind, 'internal');
  const chain = failureChain(failure);
  t.regex(
    chain,
    /not on record, memory_limit_in_bytes, memory\.high \(96 bytes are in use\): write record: no space left on device/,
  );
  t.is(told.length, 2);
});

test('limits whose record is refused are not those that records know, nor those that are written later', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'podwright-limits-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  const writer = new RecordWriter((error) => t.fail(failureChain(error)));
  const dir = join(root, 'containers');
  const options = { dir, trashDir: join(root, 'trash'), quarantineDir: join(root, 'quarantine'), writer };
  const records = containerRecords<Container['identity'], Container['status']>(options);
  records.load();
  const { ports, told } = world(false);
  const id = 'c'.repeat(64);
  const { identity, status } = records.create(
    { id, cgroupPath: '/pod/c', createdAt: 1n } as Container['identity'],
    {
      phase: 'running',
      exit: null,
      resources: limited,
      startedAt: 1n,
      stopRequestedAt: 0n,
      deliveredAt: 0n,
    } as unknown as Container['status'],
  );
  await writer.flush();
  // its directory is not where it was: ENOENT, which waiting does not mend
  renameSync(join(dir, id), join(root, 'away'));
  const resources = { ...request, memoryLimitBytes: 128 };
  const asked = updateContainerResources({ ...ports, records }, { id, resources }, new AbortController().signal);
  await t.throwsAsync(asked, { message: /ENOENT.*status\.json/ });
  t.is(told.length, 2, 'the kernel has what it had');
  t.deepEqual(records.get(id), { identity, status });
  renameSync(join(root, 'away'), join(dir, id));
  await writer.close();
  const again = containerRecords<Container['identity'], Container['status']>(options);
  again.load();
  t.deepEqual(again.get(id)?.status.resources, limited);
});

const mebi = 2 ** 20;
/** Memory, and memory with swap: before, what an update names, and what the kernel has then. */
const swaps: readonly (readonly [
  name: string,
  before: readonly [number | null, number | null],
  update: readonly [number | null, number | null],
  after: readonly [number | null, number | null],
])[] = [
  ['less memory', [100, 300], [50, null], [50, 250]],
  ['more memory', [100, 300], [400, null], [400, 600]],
  ['no swap', [100, 100], [250, null], [250, 250]],
  ['no word of memory', [100, 300], [null, null], [100, 300]],
  ['swap alone', [100, 300], [null, 200], [100, 200]],
  ['both', [100, 300], [200, 200], [200, 200]],
  ['both without a limit', [100, 300], [-1, -1], [-1, -1]],
  ['swap without a limit', [100, -1], [250, null], [250, -1]],
  ['swap that nobody has limited', [100, null], [250, null], [250, null]],
  ['memory without a limit', [100, 300], [-1, null], [-1, null]],
  ['and with one again', [-1, null], [100, null], [100, null]],
  ['memory that nobody had limited', [null, 300], [100, null], [100, null]],
];

for (const [name, before, update, after] of swaps) {
  const limits = ([memory, total]: readonly [number | null, number | null]): LinuxResources => {
    const bytes = (value: number | null): number | null => (value === null || value < 0 ? value : value * mebi);
    return { ...request, memoryLimitBytes: bytes(memory), memorySwapLimitBytes: bytes(total) };
  };
  test(`memory and swap together after an update: ${name}`, (t) => {
    const { memoryLimitBytes, memorySwapLimitBytes } = limits(after);
    t.like(mergeResources(limits(before), limits(update)), { memoryLimitBytes, memorySwapLimitBytes });
  });
}

const page = (limit: number) => ({ pageSize: '2MB', limit });
/** A limit given as a file first and then by another name of it: what an update finds, what it says, what counts then. */
const renamed: readonly (readonly [
  name: string,
  before: Partial<LinuxResources>,
  update: Partial<LinuxResources>,
  after: Partial<LinuxResources>,
])[] = [
  [
    'memory',
    { memoryLimitBytes: 100, unified: { 'memory.max': '200', 'memory.high': '9' } },
    { memoryLimitBytes: 400 },
    { memoryLimitBytes: 400, unified: { 'memory.high': '9' } },
  ],
  [
    'memory, which leaves room for swap alone',
    { unified: { 'memory.max': '200', 'memory.swap.max': '5' } },
    { memoryLimitBytes: 400 },
    { memoryLimitBytes: 400, unified: { 'memory.swap.max': '5' } },
  ],
  ['swap', { unified: { 'memory.swap.max': '5' } }, { memorySwapLimitBytes: 7 }, { memorySwapLimitBytes: 7 }],
  ['weight', { unified: { 'cpu.weight': '1', 'cpu.weight.nice': '2' } }, { cpuShares: 8 }, { cpuShares: 8 }],
  [
    'weight by its other file',
    { unified: { 'cpu.weight.nice': '2' } },
    { unified: { 'cpu.weight': '300' } },
    { unified: { 'cpu.weight': '300' } },
  ],
  [
    'quota, with the period of the file',
    { cpuQuota: 1, cpuPeriod: 2, unified: { 'cpu.max': '50000 20000' } },
    { cpuQuota: 10_000 },
    { cpuQuota: 10_000, cpuPeriod: 20_000 },
  ],
  ['period', { unified: { 'cpu.max': 'max 20000' } }, { cpuPeriod: 5000 }, { cpuQuota: -1, cpuPeriod: 5000 }],
  ['period of one that said none', { unified: { 'cpu.max': '7' } }, { cpuPeriod: 9 }, { cpuQuota: 7, cpuPeriod: 9 }],
  [
    'cpuset',
    { unified: { 'cpuset.cpus': '0', 'cpuset.mems': '0' } },
    { cpusetCpus: '1' },
    { cpusetCpus: '1', unified: { 'cpuset.mems': '0' } },
  ],
  ['nodes', { unified: { 'cpuset.mems': '0' } }, { cpusetMems: '1' }, { cpusetMems: '1' }],
  [
    'huge pages',
    { unified: { 'hugetlb.2MB.max': '1', 'hugetlb.1GB.max': '1' } },
    { hugepageLimits: [page(4)] },
    { hugepageLimits: [page(4)], unified: { 'hugetlb.1GB.max': '1' } },
  ],
  [
    'memory in both words at once',
    { unified: { 'memory.max': '200' } },
    { memoryLimitBytes: 400, unified: { 'memory.max': '300' } },
    { memoryLimitBytes: 400, unified: { 'memory.max': '300' } },
  ],
  ['nothing', { unified: { 'memory.max': '200' } }, {}, { unified: { 'memory.max': '200' } }],
];

for (const [name, before, update, after] of renamed)
  test(`of a limit by its field and as a file the later one counts: ${name}`, (t) => {
    const all = (limits: Partial<LinuxResources>): LinuxResources => ({ ...unlimited, ...limits });
    t.deepEqual(mergeResources(all(before), all(update)), all(after));
  });

test('a number of tasks as a file is the newer one, which no field on record has', (t) => {
  const before = { ...request, unified: { 'pids.max': '10' } };
  t.deepEqual(mergeResources(before, request, 20).unified, { 'pids.max': '20' });
  t.deepEqual(mergeResources(before, request, -1).unified, { 'pids.max': 'max' });
  t.deepEqual(mergeResources(before, request).unified, { 'pids.max': '10' });
  t.deepEqual(mergeResources(request, request, 20).unified, {});
});

test('a container that is idle no more gets the newer weight, whatever its words', (t) => {
  const weighed = { ...request, unified: { 'cpu.weight': '300' } };
  const recorded = mergeResources(weighed, { ...request, cpuShares: 2048, unified: { 'cpu.idle': '1' } });
  const awake = { ...request, unified: { 'cpu.idle': '0' } };
  t.deepEqual(toldResources(recorded, awake), { ...awake, cpuShares: 2048 });
});

test('a container that is idle no more gets the weight that is on record', (t) => {
  const before = { ...request, cpuShares: 2048, unified: { 'cpu.idle': '1', 'memory.high': '1' } };
  const wish = (unified: Record<string, string>, cpuShares: number | null = null) => ({
    ...request,
    cpuShares,
    unified,
  });
  const awake = wish({ 'cpu.idle': '0\n' });
  t.deepEqual(toldResources(before, awake), { ...awake, cpuShares: 2048 });
  const weighed = { ...before, unified: { 'cpu.weight': '300' } };
  t.deepEqual(toldResources(weighed, awake).unified, { 'cpu.weight': '300', 'cpu.idle': '0\n' });
  // what says it itself is told as it is, and what leaves idleness alone
  for (const update of [
    wish({ 'cpu.idle': '0' }, 512),
    wish({ 'cpu.idle': '0', 'cpu.weight.nice': '1' }),
    wish({ 'cpu.idle': '1' }),
    wish({}),
  ])
    t.is(toldResources(weighed, update), update);
  t.is(toldResources(null, awake), awake);
});

test('the kernel is told that weight, and the record what was asked for', async (t) => {
  const { ports, told, kept } = world(false, false, { ...request, cpuShares: 2048, unified: { 'cpu.idle': '1' } });
  const resources = { ...request, unified: { 'cpu.idle': '0' } };
  await updateContainerResources(ports, { id: 'c', resources }, new AbortController().signal);
  t.like(told[0], { cpuShares: 2048, unified: { 'cpu.idle': '0' } });
  t.like(kept[0], { resources: { cpuShares: 2048, unified: { 'cpu.idle': '0' } } });
});
