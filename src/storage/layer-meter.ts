// How much writable layers take: measured together, and again in the background, behind everybody else's work.
// Must not know how a layer is measured.
import type { Clock } from '../lib/clock.ts';
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

/** A measure is told without another for so long: walking a tree costs time. */
const freshNanos = 10_000_000_000n;
/** So much longer it is told while another is made; an older one is waited for. Who asks every ten seconds never waits. */
const staleNanos = 50_000_000_000n;
/** A tree that takes long to walk is walked seldom: for this many times as long it is left alone. */
const restFactor = 20n;
/** One with more inodes is measured by itself, so that others do not wait for it. */
const largeInodes = 5000;

/** What was measured of the writable layers of this node. */
export class LayerMeter {
  readonly #options: LayerMeterOptions;
  readonly #known = new Map<string, Known>();
  readonly #running = new Map<string, Promise<LayerMeasure>>();

  constructor(options: LayerMeterOptions) {
    this.#options = options;
  }

  /** The measures of layers, in order; nothing for one that is gone. */
  usages(ids: readonly string[]): Promise<LayerMeasure[]> {
    return this.#ask(ids, staleNanos);
  }

  /** The measure of one layer, waited for if it is not fresh. */
  async usage(id: string): Promise<LayerMeasure> {
    const [usage] = await this.#ask([id], 0n);
    return usage as LayerMeasure;
  }

  #ask(ids: readonly string[], patience: bigint): Promise<LayerMeasure[]> {
    const now = this.#options.clock.now();
    const stale = ids.filter((id) => now >= (this.#known.get(id)?.until ?? 0n));
    this.#begin(stale.filter((id) => !this.#running.has(id)));
    return Promise.all(ids.map((id) => this.#told(id, now - patience)));
  }

  /** What is known, unless it is too old: then what is being measured. */
  async #told(id: string, since: bigint): Promise<LayerMeasure> {
    const known = this.#known.get(id);
    return known && since < known.until ? known.usage : (this.#running.get(id) as Promise<LayerMeasure>);
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
    const large = ids.filter((id) => (this.#known.get(id)?.usage.inodes ?? 0) > largeInodes);
    const small = ids.filter((id) => !large.includes(id));
    for (const batch of [...large.map((id) => [id]), ...(small.length > 0 ? [small] : [])]) this.#measure(batch);
  }

  #measure(ids: readonly string[]): void {
    const { clock, measure, onError } = this.#options;
    const from = clock.now();
    const all = measure(ids);
    ids.forEach((id, place) => {
      const one = all.then((outcomes) => {
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
