import test from 'ava';
import type { Container } from '../../../src/container/container.ts';
import type { CgroupResources } from '../../../src/container/ports.ts';
import { updateContainerResources, type UpdateResourcesPorts } from '../../../src/container/update-resources.ts';
import { Failure, failedPrecondition, failureChain, internal } from '../../../src/lib/failure.ts';
import { KeyedLock } from '../../../src/lib/keyed-lock.ts';
import type { LinuxResources } from '../../../src/sandbox/sandbox.ts';

const none: CgroupResources = {
  cpuShares: null,
  cpuQuota: null,
  cpuPeriod: null,
  cpusetCpus: '',
  cpusetMems: '',
  memoryLimitBytes: null,
  memorySwapLimitBytes: null,
  hugepageLimits: [],
  pidsLimit: null,
  unified: {},
};
const request: LinuxResources = { ...none, oomScoreAdj: 0 };
const running = {
  identity: { id: 'c', cgroupPath: '/pod/c' },
  status: { phase: 'running', exit: null, resources: { ...request, unified: { 'memory.high': '70000000' } } },
} as unknown as Container;

/** What the cgroup was told, over records that fail or do not. */
function world(recordsFail: boolean, backFails = false) {
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
  t.regex(chain, /not on record \(96 bytes are in use\): write record: no space left on device/);
  t.is(told.length, 2);
});
