// PURE
// Files of cgroup v2 that fields of CRI say in other words: of the two the later one counts.
import type { LinuxResources } from '../sandbox/sandbox.ts';

/** Those files. */
export const saidByFields = /^(cpu\.(weight|weight\.nice|max)|memory\.(max|swap\.max)|pids\.max|hugetlb\.[^.]+\.max)$/;

/** What an update says of limits. */
export interface NewerLimits {
  readonly resources: LinuxResources;
  readonly pidsLimit: number | null;
}

/** Whether an update says anew what a file of `unified` said. */
function saysAnew({ resources: r, pidsLimit }: NewerLimits, file: string): boolean {
  const pages = /^hugetlb\.([^.]+)\.max$/.exec(file)?.[1];
  if (pages !== undefined) return r.hugepageLimits.some(({ pageSize }) => pageSize === pages);
  const newer: Readonly<Record<string, boolean>> = {
    // the nice value and the weight are one: either changes the other
    'cpu.weight': r.cpuShares !== null || 'cpu.weight.nice' in r.unified,
    'cpu.weight.nice': r.cpuShares !== null || 'cpu.weight' in r.unified,
    'cpu.max': r.cpuQuota !== null || r.cpuPeriod !== null,
    'cpuset.cpus': r.cpusetCpus !== '',
    'cpuset.mems': r.cpusetMems !== '',
    'memory.max': r.memoryLimitBytes !== null,
    'memory.swap.max': r.memorySwapLimitBytes !== null,
    'pids.max': pidsLimit !== null,
  };
  return newer[file] ?? false;
}

/** `cpu.max` in fields, as the kernel keeps of quota and period what an update leaves out. */
function bandwidth(text: string): Pick<LinuxResources, 'cpuQuota' | 'cpuPeriod'> {
  const [quota = '', period = ''] = text.trim().split(/\s+/);
  return { cpuQuota: quota === 'max' ? -1 : Number(quota) || null, cpuPeriod: Number(period) || null };
}

/** Limits on record without what an update says anew of them: files would be written after fields, and win. */
export function withoutStale(before: LinuxResources, update: NewerLimits): LinuxResources {
  const stale = Object.keys(before.unified).filter((file) => saysAnew(update, file));
  if (stale.length === 0) return before;
  const unified = Object.fromEntries(Object.entries(before.unified).filter(([file]) => !stale.includes(file)));
  const max = before.unified['cpu.max'];
  if (max === undefined || 'cpu.max' in unified) return { ...before, unified };
  const { cpuQuota, cpuPeriod } = bandwidth(max);
  return { ...before, cpuQuota: cpuQuota ?? before.cpuQuota, cpuPeriod: cpuPeriod ?? before.cpuPeriod, unified };
}
