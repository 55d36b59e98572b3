// PURE
// Limits of podwright's own processes (the section `own` of the configuration) as limits of cgroups.
import { failedPrecondition } from '../lib/failure.ts';
import type { CgroupResources, CgroupVersion } from '../native/boundary.ts';

/** Limits of one cgroup of ours. 0: none, or left alone. */
export interface OwnLimits {
  readonly memoryBytes: number;
  /** Processors. */
  readonly cpus: number;
  /** Of cgroup v2: 1 to 10000, others have 100. */
  readonly cpuWeight: number;
  readonly pids: number;
  readonly ioWeight: number;
  /** Bytes a second, of one disk. */
  readonly readRate: number;
  readonly writeRate: number;
}

/** No limit. */
export const noLimits: OwnLimits = {
  memoryBytes: 0,
  cpus: 0,
  cpuWeight: 0,
  pids: 0,
  ioWeight: 0,
  readRate: 0,
  writeRate: 0,
};

/** Whether there is any. */
export const isLimited = (limits: OwnLimits): boolean => Object.values(limits).some((value) => value > 0);

/** What limits are made for. */
export interface LimitsHost {
  readonly version: CgroupVersion;
  /** The disk that rates are of, as "major:minor"; null when it is no disk. */
  readonly disk: string | null;
}

/** The kernel's default period, in microseconds. */
const periodUs = 100_000;
/** Weight and shares of a cgroup that nobody has given any (cgroup-v2.rst, sched-design-CFS.rst). */
const usual = { weight: 100, shares: 1024 };
/** Weight 100 of cgroup v2 when it is read: the smallest shares that make it. */
const usualReadOnV2 = 1012;

const isUsual = (shares: number, version: CgroupVersion): boolean =>
  version === 'v2' ? shares >= usualReadOnV2 && shares <= usual.shares : shares === usual.shares;

const nothing: CgroupResources = {
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

/**
 * The limits as the kernel takes them; null for none.
 *
 * @throws failed-precondition for limits of the disk on a host that cannot have them.
 */
export function ownResources(limits: OwnLimits, host: LimitsHost): CgroupResources | null {
  if (!isLimited(limits)) return null;
  const { memoryBytes, cpus, cpuWeight, pids } = limits;
  const v2 = host.version === 'v2';
  const shares = Math.max(2, Math.round((cpuWeight * usual.shares) / usual.weight));
  return {
    ...nothing,
    memoryLimitBytes: memoryBytes || null,
    cpuQuota: cpus > 0 ? Math.round(cpus * periodUs) : null,
    cpuPeriod: cpus > 0 ? periodUs : null,
    cpuShares: cpuWeight > 0 && !v2 ? shares : null,
    pidsLimit: pids || null,
    unified: { ...(cpuWeight > 0 && v2 && { 'cpu.weight': String(cpuWeight) }), ...diskLimits(limits, host) },
  };
}

function diskLimits({ ioWeight, readRate, writeRate }: OwnLimits, { version, disk }: LimitsHost) {
  if (ioWeight + readRate + writeRate === 0) return {};
  if (version !== 'v2') {
    throw failedPrecondition(
      'own.work_io_weight, own.work_read_rate and own.work_write_rate need cgroup v2: writes through the file cache cannot be limited with v1',
    );
  }
  const rates = [readRate > 0 && `rbps=${readRate}`, writeRate > 0 && `wbps=${writeRate}`].filter(Boolean).join(' ');
  if (rates !== '' && disk === null)
    throw failedPrecondition(
      'own.work_read_rate and own.work_write_rate: the file system of root is on no single disk',
    );
  return {
    ...(ioWeight > 0 && { 'io.weight': `default ${ioWeight}` }),
    ...(rates !== '' && { 'io.max': `${disk} ${rates}` }),
  };
}

/**
 * What takes limits away that a cgroup still has from an earlier configuration, and puts those in force that are wanted
 * now; null when there is nothing to do.
 */
export function changesTo(
  wanted: CgroupResources | null,
  now: CgroupResources,
  version: CgroupVersion,
): CgroupResources | null {
  const target = wanted ?? nothing;
  const finite = (value: number | null): boolean => value !== null && value >= 0;
  const lifted = {
    memoryLimitBytes: target.memoryLimitBytes ?? (finite(now.memoryLimitBytes) ? -1 : null),
    cpuQuota: target.cpuQuota ?? (finite(now.cpuQuota) ? -1 : null),
    pidsLimit: target.pidsLimit ?? (finite(now.pidsLimit) ? -1 : null),
  };
  const asksWeight = target.cpuShares !== null || 'cpu.weight' in target.unified;
  const cpuShares =
    asksWeight || now.cpuShares === null || isUsual(now.cpuShares, version) ? target.cpuShares : usual.shares;
  const changes = { ...target, ...lifted, cpuShares };
  const isNothing = wanted === null && cpuShares === null && Object.values(lifted).every((value) => value === null);
  return isNothing ? null : changes;
}
