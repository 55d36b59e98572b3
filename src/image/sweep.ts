// Carries out what garbage.ts says, in the background.
// Must not run beside itself, and must not take what somebody holds.
import type { Clock } from '../lib/clock.ts';
import type { ChainId } from '../lib/id.ts';
import { ResultList } from '../lib/result-list.ts';
import type { Storage } from '../storage/storage.ts';
import { garbage } from './garbage.ts';
import type { Leases } from './leases.ts';
import type { ImageLog, ImageRecordIndex } from './ports.ts';

export interface SweeperOptions {
  readonly storage: Pick<Storage, 'layers' | 'content'>;
  readonly records: Pick<ImageRecordIndex, 'list'>;
  readonly leases: Leases;
  readonly clock: Clock;
  readonly log: ImageLog;
  /** Chain ids that containers stand on. */
  readonly inUseChains: () => Iterable<string>;
  readonly graceMs: number;
}

/** What one sweep took. */
export interface SweepReport {
  readonly layers: number;
  readonly blobs: number;
}

/** Sweeps when told, soon after an image is removed, and some time after a pull failed. */
export class Sweeper {
  readonly #options: SweeperOptions;
  readonly #released = new Set<string>();
  /** What the last sweep would have taken but for its holders. */
  #held: ReadonlySet<string> = new Set();
  #stopped = false;
  #timer: NodeJS.Timeout | null = null;
  #dueAt = 0;
  #running: Promise<SweepReport> = Promise.resolve({ layers: 0, blobs: 0 });

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  /** An image was removed: its layers go as soon as nothing else needs them. */
  release(chain: readonly ChainId[]): void {
    for (const id of chain) this.#released.add(id);
    this.schedule(0);
  }

  /** Nobody holds these any more: a sweep follows if one left any of them for that reason. */
  freed(keys: readonly string[]): void {
    if (keys.some((key) => this.#held.has(key))) this.schedule(0);
  }

  /** A pull failed: what it brought stays for a retry, then goes. */
  scheduleForRetry(): void {
    this.schedule(this.#options.graceMs + 1000);
  }

  /** A sweep within this time; an earlier one that is due serves as well. */
  schedule(delayMs: number): void {
    if (this.#stopped) return;
    const at = Date.now() + delayMs;
    if (this.#timer && this.#dueAt <= at) return;
    if (this.#timer) clearTimeout(this.#timer);
    this.#dueAt = at;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.sweep().catch((error: unknown) => this.#options.log.warn({ error }, 'image sweep failed'));
    }, delayMs).unref();
  }

  /** Sweeps now, after a sweep that runs. Goes on after a failure and throws one for all at the end. */
  sweep(): Promise<SweepReport> {
    const next = this.#running.then(
      () => this.#sweepOnce(),
      () => this.#sweepOnce(),
    );
    this.#running = next;
    return next;
  }

  /** Ends the timer and waits for a sweep that runs. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    await this.#running.catch(() => undefined); // was logged by whoever started it
  }

  async #sweepOnce(): Promise<SweepReport> {
    const { storage, records, leases, clock, log, inUseChains, graceMs } = this.#options;
    const found = garbage({
      layers: storage.layers.list(),
      blobs: storage.content.list(),
      records: records.list(),
      inUse: inUseChains(),
      held: (key) => leases.has(key),
      released: this.#released,
      now: clock.now(),
      graceNanos: BigInt(graceMs) * 1_000_000n,
    });
    this.#held = found.held;
    const results = new ResultList();
    // no await before all are out of the index: a pull that starts meanwhile must not count on them
    const work = [
      ...found.layers.map((id) => results.attempt(`layer ${id}`, () => storage.layers.remove(id))),
      ...found.blobs.map((digest) => results.attempt(`blob ${digest}`, () => storage.content.remove(digest))),
    ];
    for (const id of this.#released) if (!storage.layers.has(id as ChainId)) this.#released.delete(id);
    if (found.waiting) this.scheduleForRetry();
    await Promise.all(work);
    const report = { layers: found.layers.length, blobs: found.blobs.length };
    if (report.layers + report.blobs > 0) log.info({ ...report }, 'image content swept');
    results.throwIfAny('sweep image content');
    return report;
  }
}
