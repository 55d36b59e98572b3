// CPU rates: the last point of each cgroup, and the rate since then. Must not keep anything else of a sample.
import type { CgroupUsage } from '../cgroup/cgroup.ts';
import { type CpuPoint, nanoCores } from './derive.ts';
import type { StatsPorts } from './ports.ts';

/** The rates of one daemon's cgroups. */
export function cpuRates({ containers, sandboxes }: Pick<StatsPorts, 'containers' | 'sandboxes'>) {
  const points = new Map<string, CpuPoint>();
  return {
    /** Cores in use since the last sample of this cgroup, in billionths; null at the first, or too soon after. */
    of(path: string, sample: CgroupUsage): bigint | null {
      if (!sample.cpu) return null;
      const now = { timestampNs: sample.timestampNs, usageNs: sample.cpu.usageNs };
      const cores = nanoCores(points.get(path), now);
      if (cores !== null || !points.has(path)) points.set(path, now);
      return cores;
    },
    /** Forgets the points of what is gone. */
    prune(): void {
      const live = new Set([...containers.list(), ...sandboxes.list()].map(({ identity }) => identity.cgroupPath));
      for (const path of points.keys()) if (!live.has(path)) points.delete(path);
    },
  };
}

export type CpuRates = ReturnType<typeof cpuRates>;
