// Carries events from whoever publishes them to its subscribers. Must not know what an event is, and never wait:
// a subscriber that does not keep up loses its subscription, nobody else's time.
import { type Failure, resourceExhausted } from '../lib/failure.ts';

/** What one subscriber may leave unread. */
export interface QueueLimits {
  readonly events: number;
  readonly bytes: number;
}

export interface EventBusOptions {
  readonly limits: QueueLimits;
  /** Told of each subscriber that was given up, with what it had not read. */
  readonly onOverflow: (unread: { readonly events: number; readonly bytes: number }) => void;
}

/** What is published is given to all who subscribe, in the order in which it was published. */
export class EventBus<E> {
  readonly #options: EventBusOptions;
  readonly #subscriptions = new Set<Subscription<E>>();
  /** Null when nothing is kept any more. */
  #kept: E[] | null = null;
  /** What was kept, for those who subscribe soon. */
  #settled: readonly E[] = [];

  constructor(options: EventBusOptions) {
    this.#options = options;
  }

  /** Whether anybody hears of what is published now. */
  get heard(): boolean {
    return this.#subscriptions.size > 0 || this.#kept !== null;
  }

  get subscribers(): number {
    return this.#subscriptions.size;
  }

  /**
   * From now on events are kept for those who subscribe later, until `stopKeeping`: what is found at a start
   * would otherwise be told to nobody. The newest are kept, as many as a subscriber may leave unread.
   */
  keep(): void {
    this.#kept ??= [];
  }

  /** New events are no longer kept, and those that were are forgotten `afterMs` later. */
  stopKeeping(afterMs: number): void {
    const kept = this.#kept;
    if (kept === null) return;
    this.#settled = kept;
    this.#kept = null;
    setTimeout(() => {
      if (this.#settled === kept) this.#settled = [];
    }, afterMs).unref();
  }

  publish(event: E): void {
    for (const subscription of this.#subscriptions) subscription.push(event);
    if (this.#kept === null) return;
    this.#kept.push(event);
    if (this.#kept.length > this.#options.limits.events) this.#kept.shift();
  }

  /**
   * Everything published from now on, after what is kept. `sizeOf` gives the bytes that an unread event counts for.
   * Iterating past the limits throws resource-exhausted: the subscriber must look at everything anew.
   */
  subscribe(sizeOf: (event: E) => number): AsyncIterableIterator<E, undefined> {
    const { limits, onOverflow } = this.#options;
    const subscription = new Subscription<E>({
      limits,
      sizeOf,
      onOverflow,
      onEnd: () => this.#subscriptions.delete(subscription),
    });
    for (const event of this.#kept ?? this.#settled) subscription.push(event);
    this.#subscriptions.add(subscription);
    return subscription;
  }
}

interface SubscriptionOptions<E> {
  readonly limits: QueueLimits;
  readonly sizeOf: (event: E) => number;
  readonly onOverflow: EventBusOptions['onOverflow'];
  readonly onEnd: () => void;
}

interface Unread<E> {
  readonly event: E;
  readonly bytes: number;
}

/** One reader's place. Read by one reader, one event after the other. */
class Subscription<E> implements AsyncIterableIterator<E, undefined> {
  readonly #options: SubscriptionOptions<E>;
  #unread: Unread<E>[] = [];
  #bytes = 0;
  #waiting: PromiseWithResolvers<IteratorResult<E, undefined>> | null = null;
  #failure: Failure | null = null;
  #ended = false;

  constructor(options: SubscriptionOptions<E>) {
    this.#options = options;
  }

  push(event: E): void {
    if (this.#ended) return;
    if (this.#waiting) {
      this.#waiting.resolve({ done: false, value: event });
      this.#waiting = null;
      return;
    }
    const { limits, sizeOf } = this.#options;
    const bytes = sizeOf(event);
    const fits = this.#unread.length < limits.events && this.#bytes + bytes <= limits.bytes;
    // an event larger than all that may be unread is one all the same
    if (!fits && this.#unread.length > 0) return this.#overflow();
    this.#unread.push({ event, bytes });
    this.#bytes += bytes;
  }

  async next(): Promise<IteratorResult<E, undefined>> {
    const first = this.#unread.shift();
    if (first) {
      this.#bytes -= first.bytes;
      return { done: false, value: first.event };
    }
    if (this.#failure) {
      const failure = this.#failure;
      this.#failure = null;
      throw failure;
    }
    if (this.#ended) return { done: true, value: undefined };
    this.#waiting ??= Promise.withResolvers();
    return this.#waiting.promise;
  }

  async return(): Promise<IteratorResult<E, undefined>> {
    this.#end();
    this.#waiting?.resolve({ done: true, value: undefined });
    this.#waiting = null;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #overflow(): void {
    const unread = { events: this.#unread.length, bytes: this.#bytes };
    this.#failure = resourceExhausted(
      `the subscriber is too slow: ${unread.events} events were unread; list everything and subscribe again`,
    );
    this.#end();
    this.#options.onOverflow(unread);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#unread = [];
    this.#bytes = 0;
    this.#options.onEnd();
  }
}
