// PURE
// From what the kernel counts to what CRI reports.

/** A pressure line of the kernel: percentages and microseconds. */
interface PsiLine {
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  readonly totalUs: number;
}
interface Psi {
  readonly some: PsiLine;
  readonly full: PsiLine;
}

/** The parts of a cgroup's statistics that CRI reports. */
export interface CgroupSample {
  readonly timestampNs: number;
  readonly cpu: { readonly usageNs: number } | null;
  readonly memory: {
    readonly usage: number;
    readonly workingSet: number;
    readonly rss: number;
    readonly pageFaults: number;
    readonly majorPageFaults: number;
    readonly available: number | null;
    readonly swapUsage: number | null;
    readonly swapLimit: number | null;
  } | null;
  readonly pids: { readonly current: number } | null;
  readonly psi: { readonly cpu: Psi; readonly memory: Psi; readonly io: Psi } | null;
}

const line = (l: PsiLine) => ({
  totalNanos: BigInt(Math.round(l.totalUs)) * 1000n,
  avg10: l.avg10,
  avg60: l.avg60,
  avg300: l.avg300,
});
const pressure = (psi: Psi | undefined) => (psi ? { some: line(psi.some), full: line(psi.full) } : null);
const whole = (value: number): bigint => BigInt(Math.round(value));

/** CPU, memory, swap and io of a cgroup at `timestamp` (unix nanoseconds). */
export function cgroupUsage(sample: CgroupSample, timestamp: bigint, usageNanoCores: bigint | null) {
  const { cpu, memory, psi } = sample;
  return {
    cpu: cpu && { timestamp, usageCoreNanos: whole(cpu.usageNs), usageNanoCores, pressure: pressure(psi?.cpu) },
    memory: memory && {
      timestamp,
      workingSetBytes: whole(memory.workingSet),
      availableBytes: memory.available === null ? null : whole(memory.available),
      usageBytes: whole(memory.usage),
      rssBytes: whole(memory.rss),
      pageFaults: whole(memory.pageFaults),
      majorPageFaults: whole(memory.majorPageFaults),
      pressure: pressure(psi?.memory),
    },
    swap: memory && memory.swapUsage !== null ? swapUsage(timestamp, memory.swapUsage, memory.swapLimit) : null,
    io: psi ? { timestamp, pressure: pressure(psi.io) } : null,
  };
}

function swapUsage(timestamp: bigint, usage: number, limit: number | null) {
  return {
    timestamp,
    usageBytes: whole(usage),
    availableBytes: limit === null ? null : whole(Math.max(0, limit - usage)),
  };
}

/** A point of a counter. */
export interface CpuPoint {
  readonly timestampNs: number;
  readonly usageNs: number;
}

/** Cores in use between two points, in billionths; null when they are too near to tell. */
export function nanoCores(before: CpuPoint | undefined, now: CpuPoint): bigint | null {
  if (!before) return null;
  const elapsed = now.timestampNs - before.timestampNs;
  const used = now.usageNs - before.usageNs;
  if (elapsed < 1_000_000 || used < 0) return null;
  return whole((used / elapsed) * 1e9);
}
