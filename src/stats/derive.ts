// PURE
// From what the kernel counts to what CRI reports.
import type { CgroupUsage, PressureSample, PressureSamples } from '../cgroup/usage-record.ts';

const line = ({ totalUs, avg10, avg60, avg300 }: PressureSample) => ({
  totalNanos: totalUs * 1000n,
  avg10,
  avg60,
  avg300,
});
const pressure = (psi: PressureSamples | undefined) => (psi ? { some: line(psi.some), full: line(psi.full) } : null);

/** CPU, memory, swap and io of a cgroup at `timestamp` (unix nanoseconds). */
export function cgroupUsage(sample: CgroupUsage, timestamp: bigint, usageNanoCores: bigint | null) {
  const { cpu, memory, psi } = sample;
  return {
    cpu: cpu && { timestamp, usageCoreNanos: cpu.usageNs, usageNanoCores, pressure: pressure(psi?.cpu) },
    memory: memory && {
      timestamp,
      workingSetBytes: memory.workingSet,
      availableBytes: memory.available,
      usageBytes: memory.usage,
      rssBytes: memory.rss,
      pageFaults: memory.pageFaults,
      majorPageFaults: memory.majorPageFaults,
      pressure: pressure(psi?.memory),
    },
    swap: memory && memory.swapUsage !== null ? swapUsage(timestamp, memory.swapUsage, memory.swapLimit) : null,
    io: psi ? { timestamp, pressure: pressure(psi.io) } : null,
  };
}

function swapUsage(timestamp: bigint, usageBytes: bigint, limit: bigint | null) {
  return {
    timestamp,
    usageBytes,
    availableBytes: limit === null ? null : limit > usageBytes ? limit - usageBytes : 0n,
  };
}

/** A point of a counter. */
export interface CpuPoint {
  readonly timestampNs: bigint;
  readonly usageNs: bigint;
}

/** Cores in use between two points, in billionths; null when they are too near to tell. */
export function nanoCores(before: CpuPoint | undefined, now: CpuPoint): bigint | null {
  if (!before) return null;
  const elapsed = now.timestampNs - before.timestampNs;
  const used = now.usageNs - before.usageNs;
  if (elapsed < 1_000_000n || used < 0n) return null;
  return (used * 1_000_000_000n) / elapsed;
}
