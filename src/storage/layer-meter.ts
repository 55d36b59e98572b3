// How much writable layers take: measured together, and again in the background, behind everybody else's work.
// Must not know how a layer is measured.
import type { Clock } from '../lib/clock.ts';
import { Slots } from '../lib/slots.ts';
import type { TreeUsage } from '../native/boundary.ts';

/** What a layer took, and when that was (unix nanoseconds). */
export interface LayerMeasure extends TreeUsage {
  readonly at: bigint;
}

export interface LayerMeterOptions {
  /** Measures layers one after the other; null for one that is gone. Each has its own outcome, in order. */
  readonly measure: (ids: readonly string[]) => Promise<readonly PromiseSettledResult<TreeUsage | null>[]>;
  readonly clock: Clock;
  /** Told of failures that nobody waits for. */
  readonly onError: (error: unknown) => void;
}

interface Known {
  readonly usage: LayerMeasure;
  /** Until when it is told without being measured again. */
  readonly until: bigint;
}

/** What was found of some layers, in order, and when that began. */
interface Measured {
  readonly from: bigint;
  readonly outcomes: readonly PromiseSettledResult<TreeUsage | null>[];
}

/** What there was of a layer when it was asked for. */
interface Seen {
  readonly id: string;
  readonly known: Known | undefined;
  readonly coming: Promise<LayerMeasure> | undefined;
}

/** A measure is told without another for so long: walking a tree costs time. */
const freshNanos = 10_000_000_000n;
/** So much longer it is told while another is made. Who asks every ten seconds never waits. */
const patientNanos = 10_000_000_000n;
/** For an older one another is waited for, so long; then it is told all the same, but for one of a minute. */
const waitMs = 250;
const staleNanos = 50_000_000_000n;
/** A tree that takes long to walk is walked seldom: for this many times as long it is left alone. */
const restFactor = 20n;
/** One with more inodes is measured by itself, so that others do not wait for it. */
const largeInodes = 5000;
/** Those that were never measured may be of any size: so many are measured together, in so many batches at once. */
const unknownBatch = 8;
const unknownBatches = 4;

/** What was measured of the writable layers of this node. */
export class LayerMeter {
  readonly #options: LayerMeterOptions;
  readonly #known = new Map<string, Known>();
  readonly #running = new Map<string, Promise<LayerMeasure>>();
  readonly #unknownSlots = new Slots(unknownBatches);

  constructor(options: LayerMeterOptions) {
    this.#options = options;
  }

  /** The measures of layers, in order; nothing for one that is gone. */
  usages(ids: readonly string[]): Promise<LayerMeasure[]> {
    return this.#ask(ids, { patience: patientNanos, atWorst: staleNanos });
  }

  /** The measure of one layer, waited for if it is not fresh. */
  async usage(id: string): Promise<LayerMeasure> {
    const [usage] = await this.#ask([id], { patience: 0n, atWorst: 0n });
    return usage as LayerMeasure;
  }

  async #ask(
    ids: readonly string[],
    { patience, atWorst }: { readonly patience: bigint; readonly atWorst: bigint },
  ): Promise<LayerMeasure[]> {
    const now = this.#options.clock.now();
    const stale = ids.filter((id) => now >= (this.#known.get(id)?.until ?? 0n));
    this.#begin(stale.filter((id) => !this.#running.has(id)));
    // one may be forgotten while others are waited for
    const seen = ids.map((id) => ({ id, known: this.#known.get(id), coming: this.#running.get(id) }));
    const old = seen.filter(({ known }) => now - patience >= (known?.until ?? 0n));
    if (old.some(({ known }) => known && now - atWorst < known.until)) await briefly(old.map(({ coming }) => coming));
    return Promise.all(seen.map((one) => this.#told(one, now - atWorst)));
  }

  /** What is known, unless it is too old: then what is being measured. */
  async #told({ id, known: before, coming }: Seen, since: bigint): Promise<LayerMeasure> {
    const known = this.#known.get(id) ?? (coming ? undefined : before);
    return known && since < known.until ? known.usage : (coming as Promise<LayerMeasure>);
  }

  /** The sum of what was measured last, without measuring. */
  sum(): TreeUsage {
    let bytes = 0;
    let inodes = 0;
    for (const { usage } of this.#known.values()) {
      bytes += usage.bytes;
      inodes += usage.inodes;
    }
    return { bytes, inodes };
  }

  /** Forgets a layer, also what is being measured of it. */
  forget(id: string): void {
    this.#known.delete(id);
    this.#running.delete(id);
  }

  #begin(ids: readonly string[]): void {
    const unknown: string[] = [];
    const small: string[] = [];
    for (const id of ids) {
      const known = this.#known.get(id);
      if (known === undefined) unknown.push(id);
      else if (known.usage.inodes <= largeInodes) small.push(id);
      else this.#keep([id], this.#measure([id]));
    }
    if (small.length > 0) this.#keep(small, this.#measure(small));
    for (let at = 0; at < unknown.length; at += unknownBatch) {
      const batch = unknown.slice(at, at + unknownBatch);
      this.#keep(
        batch,
        this.#unknownSlots.run(() => this.#measure(batch)),
      );
    }
  }

  async #measure(ids: readonly string[]): Promise<Measured> {
    const { clock, measure } = this.#options;
    const from = clock.now();
    return { from, outcomes: await measure(ids) };
  }

  #keep(ids: readonly string[], all: Promise<Measured>): void {
    const { clock, onError } = this.#options;
    ids.forEach((id, place) => {
      const one = all.then(({ from, outcomes }) => {
        const outcome = outcomes[place];
        if (outcome?.status !== 'fulfilled') throw outcome?.reason;
        const at = clock.now();
        const usage = { bytes: outcome.value?.bytes ?? 0, inodes: outcome.value?.inodes ?? 0, at };
        if (this.#running.get(id) === one) {
          const rest = ids.length === 1 ? (at - from) * restFactor : 0n;
          if (outcome.value === null) this.#known.delete(id);
          else this.#known.set(id, { usage, until: rest > freshNanos ? at + rest : from + freshNanos });
        }
        return usage;
      });
      this.#running.set(id, one);
      const ended = (): void => {
        if (this.#running.get(id) === one) this.#running.delete(id);
      };
      // whoever waits for it has the failure too
      one.then(ended, (error: unknown) => {
        ended();
        onError(error);
      });
    });
  }
}

/** Waits until all have settled, but not for long. */
async function briefly(all: readonly (Promise<unknown> | undefined)[]): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, waitMs);
  await Promise.race([Promise.allSettled(all.map(async (each) => each)), late.promise]);
  clearTimeout(timer);
}
