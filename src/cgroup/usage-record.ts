// PURE
// Reads what the addon says of cgroups' usage in words (native/crates/cgroups/src/stats/record.rs has the same table).

/** A line of a pressure file; percentages and microseconds. */
export interface PressureSample {
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  readonly totalUs: bigint;
}

/** A pressure file. */
export interface PressureSamples {
  readonly some: PressureSample;
  readonly full: PressureSample;
}

/** The parts of a cgroup's statistics that CRI reports; null where this host does not count them. Bytes. */
export interface CgroupUsage {
  /** Unix nanoseconds when the CPU time was read. */
  readonly timestampNs: bigint;
  readonly cpu: { readonly usageNs: bigint } | null;
  readonly memory: {
    readonly usage: bigint;
    readonly workingSet: bigint;
    readonly rss: bigint;
    readonly pageFaults: bigint;
    readonly majorPageFaults: bigint;
    /** Null without a limit. */
    readonly available: bigint | null;
    readonly swapUsage: bigint | null;
    /** Null without a limit. */
    readonly swapLimit: bigint | null;
  } | null;
  readonly pids: { readonly current: bigint } | null;
  readonly psi: {
    readonly cpu: PressureSamples;
    readonly memory: PressureSamples;
    readonly io: PressureSamples;
  } | null;
}

const wordsOfRecord = 36;
const there = {
  group: 1n,
  cpu: 1n << 1n,
  memory: 1n << 2n,
  pids: 1n << 3n,
  psi: 1n << 4n,
  available: 1n << 5n,
  swap: 1n << 6n,
  swapLimit: 1n << 7n,
} as const;

/** One record of words. */
class Record {
  readonly #whole: BigUint64Array;
  readonly #fractions: Float64Array;
  readonly #from: number;

  constructor(room: ArrayBuffer, from: number) {
    this.#whole = new BigUint64Array(room);
    this.#fractions = new Float64Array(room);
    this.#from = from;
  }

  has(bit: bigint): boolean {
    return (this.count(0) & bit) !== 0n;
  }

  count(at: number): bigint {
    return this.#whole[this.#from + at] ?? 0n;
  }

  countIf(bit: bigint, at: number): bigint | null {
    return this.has(bit) ? this.count(at) : null;
  }

  #fraction(at: number): number {
    return this.#fractions[this.#from + at] ?? 0;
  }

  pressure(at: number): PressureSamples {
    return { some: this.#line(at), full: this.#line(at + 4) };
  }

  #line(at: number): PressureSample {
    return {
      avg10: this.#fraction(at),
      avg60: this.#fraction(at + 1),
      avg300: this.#fraction(at + 2),
      totalUs: this.count(at + 3),
    };
  }
}

const memoryOf = (record: Record) => ({
  usage: record.count(3),
  workingSet: record.count(4),
  rss: record.count(5),
  pageFaults: record.count(6),
  majorPageFaults: record.count(7),
  available: record.countIf(there.available, 8),
  swapUsage: record.countIf(there.swap, 9),
  swapLimit: record.countIf(there.swapLimit, 10),
});

const usageOf = (record: Record): CgroupUsage => ({
  timestampNs: record.count(1),
  cpu: record.has(there.cpu) ? { usageNs: record.count(2) } : null,
  memory: record.has(there.memory) ? memoryOf(record) : null,
  pids: record.has(there.pids) ? { current: record.count(11) } : null,
  psi: record.has(there.psi)
    ? { cpu: record.pressure(12), memory: record.pressure(20), io: record.pressure(28) }
    : null,
});

/** Usage by cgroup, in order, out of base64 of the records; null for a cgroup that does not exist. */
export function readUsageRecords(base64: string): (CgroupUsage | null)[] {
  const bytes = Buffer.from(base64, 'base64');
  const room = new ArrayBuffer(bytes.byteLength); // words are read where they are aligned
  new Uint8Array(room).set(bytes);
  const records = Array.from(
    { length: Math.floor(bytes.byteLength / 8 / wordsOfRecord) },
    (_, at) => new Record(room, at * wordsOfRecord),
  );
  return records.map((record) => (record.has(there.group) ? usageOf(record) : null));
}
