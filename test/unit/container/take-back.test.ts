import test from 'ava';
import type { CgroupResources } from '../../../src/container/ports.ts';
import { namedLimits, takeBack } from '../../../src/container/take-back.ts';
import type { LinuxResources } from '../../../src/sandbox/sandbox.ts';
import { noCgroupLimits as none } from '../../helpers/no-limits.ts';

type Some = Partial<CgroupResources>;

/** What the kernel had, what is on record, what an update named, what is written back, and what cannot be. */
const rows: readonly (readonly [name: string, had: Some, recorded: Some, update: Some, back: Some, lost?: string[]])[] =
  [
    [
      'what the kernel tells',
      { memoryLimitBytes: 64, pidsLimit: 10 },
      {},
      { memoryLimitBytes: 128, pidsLimit: 20 },
      {},
    ],
    ['a cpuset where there was none', {}, {}, { cpusetCpus: '1' }, { unified: { 'cpuset.cpus': '\n' } }],
    ['nodes where there were none', {}, {}, { cpusetMems: '0' }, { unified: { 'cpuset.mems': '\n' } }],
    ['a cpuset that there was', { cpusetCpus: '0-1' }, { cpusetCpus: '0-1' }, { cpusetCpus: '1' }, {}],
    ['a cpuset by its file', { cpusetCpus: '0-1' }, {}, { unified: { 'cpuset.cpus': '1' } }, {}],
    [
      'files on record, and only those of the update',
      {},
      { unified: { 'memory.high': '70', 'memory.low': '5' } },
      { unified: { 'memory.high': '90' } },
      { unified: { 'memory.high': '70' } },
    ],
    [
      'files that nobody had given anything',
      {},
      {},
      { unified: { 'memory.high': '90', 'memory.oom.group': '1', 'hugetlb.2MB.rsvd.max': '0' } },
      { unified: { 'memory.high': 'max', 'memory.oom.group': '0', 'hugetlb.2MB.rsvd.max': 'max' } },
    ],
    [
      'files that the kernel tells in other words, whatever is on record',
      { memoryLimitBytes: 200, pidsLimit: 7 },
      { unified: { 'memory.max': '100' } },
      { unified: { 'memory.max': '90', 'pids.max': '8', 'cpu.weight': '5' } },
      {},
    ],
    [
      'lines of devices',
      {},
      { unified: { 'io.max': '8:0 rbps=1000' } },
      { unified: { 'io.max': '8:0 wbps=5\n8:16 rbps=7', 'io.latency': '8:0 target=3', 'misc.max': 'sev 1' } },
      {
        unified: {
          'io.max':
            '8:0 rbps=max wbps=max riops=max wiops=max\n8:16 rbps=max wbps=max riops=max wiops=max\n8:0 rbps=1000',
          'io.latency': '8:0 target=0',
          'misc.max': 'sev max',
        },
      },
    ],
    [
      'a weight for all devices, and for one',
      {},
      {},
      { unified: { 'io.weight': '300\n8:0 50', 'io.bfq.weight': 'default 7' } },
      { unified: { 'io.weight': 'default 100\n8:0 default', 'io.bfq.weight': 'default 100' } },
    ],
    ['a file of which nobody knows', {}, {}, { unified: { 'new.limit': '1' } }, {}, ['new.limit']],
    [
      'one that is on record',
      {},
      { unified: { 'new.limit': '0' } },
      { unified: { 'new.limit': '1' } },
      { unified: { 'new.limit': '0' } },
    ],
    [
      'the room for swap beside memory without a limit, which the update has left alone',
      { memoryLimitBytes: -1, memorySwapLimitBytes: -1 },
      { memoryLimitBytes: -1 },
      { memoryLimitBytes: 100 },
      { memorySwapLimitBytes: null },
    ],
    [
      'the same, and the update has not',
      { memoryLimitBytes: -1, memorySwapLimitBytes: -1 },
      { memoryLimitBytes: -1 },
      { memoryLimitBytes: 100, memorySwapLimitBytes: 200 },
      {},
      ['memory_swap_limit_in_bytes'],
    ],
    [
      'swap that was free',
      { memoryLimitBytes: -1, memorySwapLimitBytes: -1 },
      {},
      { memoryLimitBytes: 100, memorySwapLimitBytes: 200 },
      {},
    ],
  ];

for (const [name, had, recorded, update, back, lost = []] of rows)
  test(`an update is taken back: ${name}`, (t) => {
    const before = { ...none, ...had };
    const onRecord: LinuxResources = { ...none, oomScoreAdj: 0, ...recorded };
    const answer = takeBack({ before, recorded: onRecord, update: { ...none, ...update } });
    t.deepEqual(answer, { resources: { ...before, ...back }, lost });
  });

test('limits are named as CRI names them', (t) => {
  t.deepEqual(namedLimits(none), []);
  const all = { cpuShares: 1, cpuQuota: 1, cpuPeriod: 1, cpusetCpus: '1', cpusetMems: '0', memoryLimitBytes: 1 };
  const more = { memorySwapLimitBytes: 1, hugepageLimits: [{ pageSize: '2MB', limit: 0 }], pidsLimit: 1 };
  t.deepEqual(namedLimits({ ...all, ...more, unified: { 'memory.high': '1' } }), [
    'cpu_shares',
    'cpu_quota',
    'cpu_period',
    'cpuset_cpus',
    'cpuset_mems',
    'memory_limit_in_bytes',
    'memory_swap_limit_in_bytes',
    'hugepage_limits',
    'pids_limit',
    'memory.high',
  ]);
});
