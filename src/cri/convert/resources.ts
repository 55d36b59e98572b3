// PURE
// LinuxContainerResources. CRI's 0 and "" mean "not given" (null in the domain).
import type { LinuxResources } from '../../sandbox/sandbox.ts';
import type {
  LinuxContainerResources,
  LinuxContainerResources__Output,
} from '../../proto/generated/cri/runtime/v1/LinuxContainerResources.ts';
import { byteCount, integer, integerIn, refuse } from './fields.ts';

/** Whole resources of a request; null when the message is absent. `field` is its path in the request. */
export function decodeResources(field: string, from: LinuxContainerResources__Output | null): LinuxResources | null {
  if (from === null) return null;
  const given = <T extends number>(value: T): T | null => (value === 0 ? null : value);
  return {
    cpuPeriod: given(integerIn(`${field}.cpu_period`, from.cpu_period, [0, Number.MAX_SAFE_INTEGER])),
    cpuQuota: given(integer(`${field}.cpu_quota`, from.cpu_quota)),
    cpuShares: given(integerIn(`${field}.cpu_shares`, from.cpu_shares, [0, Number.MAX_SAFE_INTEGER])),
    memoryLimitBytes: given(byteCount(`${field}.memory_limit_in_bytes`, from.memory_limit_in_bytes)),
    oomScoreAdj: integerIn(`${field}.oom_score_adj`, from.oom_score_adj, [-1000, 1000]),
    cpusetCpus: from.cpuset_cpus,
    cpusetMems: from.cpuset_mems,
    hugepageLimits: from.hugepage_limits.map(({ page_size, limit }, i) => ({
      pageSize: page_size,
      limit: byteCount(`${field}.hugepage_limits[${i}].limit`, limit),
    })),
    unified: decodeUnified(`${field}.unified`, from.unified),
    memorySwapLimitBytes: given(byteCount(`${field}.memory_swap_limit_in_bytes`, from.memory_swap_limit_in_bytes)),
  };
}

function decodeUnified(field: string, from: Record<string, string>): Record<string, string> {
  for (const key of Object.keys(from)) {
    // each key is a file of the container's cgroup and nothing else
    if (!/^[a-z0-9_]+(\.[A-Za-z0-9_]+)+$/.test(key)) refuse(`${field}[${JSON.stringify(key)}]`, 'is not a cgroup file');
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
