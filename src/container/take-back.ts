// PURE
// What takes an update of limits back in the kernel, when it could not be kept on record.
import type { LinuxResources } from '../sandbox/sandbox.ts';
import { saidByFields } from './field-files.ts';
import type { CgroupResources } from './ports.ts';

/** What was there, and what an update has made of it. */
export interface Updated {
  /** The limits that the kernel had, without files of `unified`. */
  readonly before: CgroupResources;
  readonly recorded: LinuxResources | null;
  readonly update: CgroupResources;
}

export interface TakeBack {
  readonly resources: CgroupResources;
  /** Names of what cannot be taken back: nobody knows what it was. */
  readonly lost: readonly string[];
}

/** What a cgroup has that nobody has given anything (cgroup-v2.rst). */
const usual: Readonly<Record<string, string>> = {
  'cpu.idle': '0',
  'cpu.max.burst': '0',
  'cpu.uclamp.min': '0',
  'cpu.uclamp.max': 'max',
  'cpuset.cpus': '\n',
  'cpuset.mems': '\n',
  'cpuset.cpus.exclusive': '\n',
  'cpuset.cpus.partition': 'member',
  'memory.min': '0',
  'memory.low': '0',
  'memory.high': 'max',
  'memory.oom.group': '0',
  'memory.swap.high': 'max',
  'memory.zswap.max': 'max',
  'memory.zswap.writeback': '1',
};

/** Files with a line for each device: what takes a device's line away. */
const usualByDevice: Readonly<Record<string, string>> = {
  'io.max': 'rbps=max wbps=max riops=max wiops=max',
  'io.latency': 'target=0',
  'io.weight': 'default',
  'io.bfq.weight': 'default',
  'rdma.max': 'hca_handle=max hca_object=max',
  'misc.max': 'max',
  'dmem.max': 'max',
};

/** Lines that take away those of an update: "8:0 50", or a weight for all devices, "default 50" or "50". */
function withoutDevices(gone: string, text: string): string[] {
  const devices = text.split('\n').flatMap((line) => /^\s*(\S+)(?=\s+\S)/.exec(line)?.[1] ?? 'default');
  return [...new Set(devices)].map((device) => (device === 'default' ? 'default 100' : `${device} ${gone}`));
}

/** The text that a file gets back; null when nobody knows it. */
function oldText(file: string, { recorded, update }: Updated): string | null {
  const before = recorded?.unified[file];
  const gone = usualByDevice[file];
  if (gone === undefined) return before ?? usual[file] ?? (/^hugetlb\.[^.]+\.rsvd\.max$/.test(file) ? 'max' : null);
  // a line on record may say less of a device than the update did
  return [...withoutDevices(gone, update.unified[file] ?? ''), ...(before === undefined ? [] : [before])].join('\n');
}

/** The limits to write, so that the kernel has what it had. */
export function takeBack(updated: Updated): TakeBack {
  const { before, recorded, update } = updated;
  const lost: string[] = [];
  const unified: Record<string, string> = {};
  for (const file of Object.keys(update.unified)) {
    const text = saidByFields.test(file) ? undefined : oldText(file, updated);
    if (text === null) lost.push(file);
    else if (text !== undefined) unified[file] = text;
  }
  // an empty set, of v2 alone, is the parent's: in `before` that would leave it alone
  for (const [file, had, given] of [
    ['cpuset.cpus', before.cpusetCpus, update.cpusetCpus],
    ['cpuset.mems', before.cpusetMems, update.cpusetMems],
  ] as const) {
    if (had === '' && given !== '') unified[file] = '\n';
    if (had !== '') delete unified[file];
  }
  const swapNamed = update.memorySwapLimitBytes !== null || 'memory.swap.max' in update.unified;
  // beside memory without a limit no total says what room there was for swap: where it is as it was, it stays so
  const isFree = before.memoryLimitBytes !== null && before.memoryLimitBytes < 0;
  if (isFree && swapNamed && recorded?.memoryLimitBytes === -1 && recorded.memorySwapLimitBytes === null)
    lost.push('memory_swap_limit_in_bytes');
  const memorySwapLimitBytes = isFree && !swapNamed ? null : before.memorySwapLimitBytes;
  return { resources: { ...before, memorySwapLimitBytes, unified }, lost };
}

/** CRI's names of the limits that an update names. */
export function namedLimits(update: CgroupResources): string[] {
  const named: readonly (readonly [string, unknown])[] = [
    ['cpu_shares', update.cpuShares],
    ['cpu_quota', update.cpuQuota],
    ['cpu_period', update.cpuPeriod],
    ['cpuset_cpus', update.cpusetCpus || null],
    ['cpuset_mems', update.cpusetMems || null],
    ['memory_limit_in_bytes', update.memoryLimitBytes],
    ['memory_swap_limit_in_bytes', update.memorySwapLimitBytes],
    ['hugepage_limits', update.hugepageLimits.length > 0 ? true : null],
    ['pids_limit', update.pidsLimit],
  ];
  return [...named.flatMap(([name, value]) => (value === null ? [] : [name])), ...Object.keys(update.unified)];
}
