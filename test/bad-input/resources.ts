// Wrong values of resources.
import { hasController } from '../helpers/cgroups.ts';
import { fine, hugeList, type Row, type Rows, textMap, wrong } from './row.ts';

const leastInt64 = '-9223372036854775808';
const set: readonly Row[] = [
  wrong('a word', 'all'),
  wrong('a space', '0 1'),
  wrong('a line break', '0\n'),
  wrong('a range without an end', '0-'),
  wrong('a NUL byte', '0\0'),
  wrong('256 kB', '0,'.repeat(128 * 1024)),
];
// The pod's own resources and overhead are known to the kubelet's cgroup, not to one of ours.
const applied = { at: /^(CreateContainer|UpdateContainerResources) /, host: true } as const;
/** A processor or node that is not there; a host without the controller has a word for that first. */
const notThere = { ...applied, code: hasController('cpuset') ? 'INVALID_ARGUMENT' : 'FAILED_PRECONDITION' } as const;

export const resourceRows: Rows = {
  'LinuxContainerResources.cpu_period': [
    wrong('negative', '-1'),
    wrong('below 1 ms', '999'),
    wrong('above 1 s', '1000001'),
    wrong('the least int64', leastInt64),
  ],
  'LinuxContainerResources.cpu_quota': [
    wrong('negative, and not "none"', '-2'),
    wrong('below 1 ms', '999'),
    wrong('2^53 and one', '9007199254740993'),
  ],
  'LinuxContainerResources.cpu_shares': [wrong('negative', '-1'), wrong("above the kernel's most", '262145')],
  'LinuxContainerResources.memory_limit_in_bytes': [
    wrong('negative, and not "none"', '-2'),
    wrong('the least int64', leastInt64),
    wrong('less than anything runs in', '262143'),
    fine('the largest int64: no limit', '9223372036854775807', { at: /^RunPodSandbox/ }),
  ],
  'LinuxContainerResources.memory_swap_limit_in_bytes': [
    wrong('negative, and not "none"', '-2'),
    wrong('less than the memory of which it is a part', '262144', { beside: { memory_limit_in_bytes: '524288' } }),
  ],
  'LinuxContainerResources.oom_score_adj': [wrong('-1001', '-1001'), wrong('1001', '1001')],
  'LinuxContainerResources.cpuset_cpus': [...set, wrong('a CPU that this host has not', '4000', notThere)],
  'LinuxContainerResources.cpuset_mems': [...set, wrong('a node that this host has not', '900', notThere)],
  'LinuxContainerResources.hugepage_limits': [
    wrong('one size twice', [
      { page_size: '2MB', limit: '0' },
      { page_size: '2MB', limit: '0' },
    ]),
    wrong('64 Ki of them', hugeList({ page_size: '2MB' })),
  ],
  'HugepageLimit.page_size': [
    wrong('none', ''),
    wrong('a path', '../2MB'),
    wrong('a word', 'huge'),
    wrong('no unit', '2'),
    wrong('a line break', '2MB\n'),
    wrong('a NUL byte', '2MB\0'),
    wrong('256 kB', `${'2'.repeat(256 * 1024)}MB`),
  ],
  'HugepageLimit.limit': [
    // the proto's type is unsigned, the kernel's is not
    wrong('the largest uint64', '18446744073709551615'),
    fine('none', '0'),
  ],
  'LinuxContainerResources.unified': [
    ...textMap,
    wrong('a path', { '../memory.max': '1' }),
    wrong('a path downwards', { 'x/memory.max': '1' }),
    wrong('no controller', { memory: '1' }),
    wrong('a file that moves processes', { 'cgroup.procs': '1' }),
    wrong('a file that kills', { 'cgroup.kill': '1' }),
    wrong('an empty value', { 'memory.high': '' }),
    wrong('a NUL byte in the value', { 'memory.high': '1\0' }),
    wrong('a value longer than a page', { 'memory.high': '1'.repeat(4096) }),
  ],
};
