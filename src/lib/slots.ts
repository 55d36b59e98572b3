// So many pieces of work at once; the others wait, and have their turn in the order in which they came.

/** Bounds how much of one kind goes on at once. */
export class Slots {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  /** `limit` pieces at once. */
  constructor(limit: number) {
    this.#free = limit;
  }

  /** Runs work: at once if there is a slot. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      // who waits has this one's slot
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}
