// So many pieces of work at once; the others wait, and have their turn in the order in which they came.

/** How many may wait, where that is bounded. */
export interface Queue {
  readonly mostWaiting: number;
  /** What the error says that is thrown for one more. */
  readonly whenFull: string;
}

/** Bounds how much of one kind goes on at once. */
export class Slots {
  readonly #waiting: (() => void)[] = [];
  readonly #queue: Queue;
  #free: number;

  /** `limit` pieces at once; any number waits unless a queue is given. */
  constructor(limit: number, queue: Queue = { mostWaiting: Infinity, whenFull: '' }) {
    this.#free = limit;
    this.#queue = queue;
  }

  /** Runs work: at once if there is a slot. Rejects, with nothing run, when too many wait, or the signal fires meanwhile. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await this.#turn(signal);
    try {
      return await work();
    } finally {
      // who waits has this one's slot
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }

  async #turn(signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting.length >= this.#queue.mostWaiting) throw new Error(this.#queue.whenFull);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = (): void => {
      const place = this.#waiting.indexOf(resolve);
      if (place < 0) return; // it is its turn
      this.#waiting.splice(place, 1);
      reject(signal?.reason);
    };
    this.#waiting.push(resolve);
    signal?.addEventListener('abort', leave, { once: true });
    try {
      await promise;
    } finally {
      signal?.removeEventListener('abort', leave);
    }
  }
}
