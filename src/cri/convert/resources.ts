// PURE
// LinuxContainerResources. CRI's 0 and "" mean "not given" (null in the domain).
import type { LinuxResources } from '../../sandbox/sandbox.ts';
import type {
  LinuxContainerResources,
  LinuxContainerResources__Output,
} from '../../proto/generated/cri/runtime/v1/LinuxContainerResources.ts';
import { byteCount, integer, integerIn, items, noNul, oneLine, refuse, textMap } from './fields.ts';

/** Shares of CPU time: the kernel's bounds (MIN_SHARES, MAX_SHARES), 0 for none given. */
const shares = [0, 262_144] as const;
/** Bounds of a CPU period and least quota in microseconds (kernel/sched: max_cfs_quota_period, min_cfs_quota_period). */
const longestPeriod = 1_000_000;
const shortestPeriod = 1000;

/** Whole resources of a request; null when the message is absent. `field` is its path in the request. */
export function decodeResources(field: string, from: LinuxContainerResources__Output | null): LinuxResources | null {
  if (from === null) return null;
  const given = <T extends number>(value: T): T | null => (value === 0 ? null : value);
  const resources = {
    cpuPeriod: given(decodePeriod(`${field}.cpu_period`, from.cpu_period)),
    cpuQuota: given(decodeQuota(`${field}.cpu_quota`, from.cpu_quota)),
    cpuShares: given(integerIn(`${field}.cpu_shares`, from.cpu_shares, shares)),
    memoryLimitBytes: given(decodeMemory(`${field}.memory_limit_in_bytes`, from.memory_limit_in_bytes)),
    oomScoreAdj: integerIn(`${field}.oom_score_adj`, from.oom_score_adj, [-1000, 1000]),
    cpusetCpus: numberList(`${field}.cpuset_cpus`, from.cpuset_cpus),
    cpusetMems: numberList(`${field}.cpuset_mems`, from.cpuset_mems),
    hugepageLimits: decodeHugepages(`${field}.hugepage_limits`, from.hugepage_limits),
    unified: decodeUnified(`${field}.unified`, from.unified),
    memorySwapLimitBytes: given(byteCount(`${field}.memory_swap_limit_in_bytes`, from.memory_swap_limit_in_bytes)),
  };
  const { memoryLimitBytes: memory, memorySwapLimitBytes: swap } = resources;
  // it limits memory and swap together
  if (swap !== null && swap > 0 && memory !== null && (memory < 0 || swap < memory))
    refuse(`${field}.memory_swap_limit_in_bytes`, `${swap} is less than memory_limit_in_bytes`);
  return resources;
}

/** In less memory than this, in bytes, the kernel ends a container before its program begins (measured: 128 KiB). */
const leastMemory = 256 * 1024;

function decodeMemory(field: string, text: string): number {
  const bytes = byteCount(field, text);
  return bytes <= 0 || bytes >= leastMemory ? bytes : refuse(field, `${bytes} is less than ${leastMemory}`);
}

function decodePeriod(field: string, text: string): number {
  const period = integerIn(field, text, [0, longestPeriod]);
  return period === 0 || period >= shortestPeriod
    ? period
    : refuse(field, `${period} is not between ${shortestPeriod} and ${longestPeriod}`);
}

function decodeQuota(field: string, text: string): number {
  const quota = integer(field, text);
  if (quota === 0 || quota === -1 || quota >= shortestPeriod) return quota;
  return refuse(field, `${quota} is neither -1 nor at least ${shortestPeriod}`);
}

/** The kernel's form of sets: "0-2,5" (cpuset(7), FORMATS). */
function numberList(field: string, list: string): string {
  oneLine(field, list);
  const range = '\\d+(-\\d+(:\\d+/\\d+)?)?';
  return list === '' || new RegExp(`^${range}(,${range})*$`).test(list)
    ? list
    : refuse(field, `${JSON.stringify(list)} is not a list of numbers and ranges`);
}

function decodeHugepages(
  field: string,
  from: LinuxContainerResources__Output['hugepage_limits'],
): LinuxResources['hugepageLimits'] {
  const seen = new Set<string>();
  return items(field, from, (at, { page_size: pageSize, limit }) => {
    // it becomes part of a file's name
    if (!/^[1-9]\d{0,5}[KMG]B$/.test(oneLine(`${at}.page_size`, pageSize)))
      refuse(`${at}.page_size`, `${JSON.stringify(pageSize)} is not a page size such as 2MB`);
    if (seen.has(pageSize)) refuse(`${at}.page_size`, `${pageSize} is there twice`);
    seen.add(pageSize);
    return { pageSize, limit: byteCount(`${at}.limit`, limit) };
  });
}

/** Longest text that a cgroup file takes at once: one page without the NUL. */
const longestCgroupValue = 4095;

function decodeUnified(field: string, from: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [key, value] of Object.entries(textMap(field, from))) {
    const at = `${field}[${JSON.stringify(key)}]`;
    // each key is a file of the container's cgroup and nothing else
    if (!/^[a-z0-9_]+(\.[A-Za-z0-9_]+)+$/.test(key)) refuse(at, 'is not a cgroup file');
    // those files are no limits: they move processes, kill, freeze and hand on controllers
    if (key.startsWith('cgroup.')) refuse(at, 'is not a resource');
    if (value === '' || value.length > longestCgroupValue)
      refuse(at, `is not a value of 1 to ${longestCgroupValue} bytes`);
    noNul(at, value);
  }
  return from;
}

/** Resources of an answer; null members are left out. */
export function encodeResources(from: LinuxResources): LinuxContainerResources {
  return {
    cpu_period: from.cpuPeriod ?? 0,
    cpu_quota: from.cpuQuota ?? 0,
    cpu_shares: from.cpuShares ?? 0,
    memory_limit_in_bytes: from.memoryLimitBytes ?? 0,
    oom_score_adj: from.oomScoreAdj,
    cpuset_cpus: from.cpusetCpus,
    cpuset_mems: from.cpusetMems,
    hugepage_limits: from.hugepageLimits.map(({ pageSize, limit }) => ({ page_size: pageSize, limit })),
    unified: { ...from.unified },
    memory_swap_limit_in_bytes: from.memorySwapLimitBytes ?? 0,
  };
}
