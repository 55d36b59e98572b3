// Many pieces of work of one kind at once, or one of another kind alone.

/** Shared work waits for the lone work that came before it, and lone work for all that is under way. */
export class SharedTurns {
  readonly #shared = new Set<Promise<unknown>>();
  #alone: Promise<unknown> = Promise.resolve();

  /** Runs beside other shared work. */
  async shared<T>(work: () => Promise<T>): Promise<T> {
    for (let before = null as Promise<unknown> | null; before !== this.#alone;) {
      before = this.#alone;
      await before;
    }
    const running = work();
    const settled = running.catch(() => undefined);
    this.#shared.add(settled);
    try {
      return await running;
    } finally {
      this.#shared.delete(settled);
    }
  }

  /** Runs alone, in turn. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#alone;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#alone = promise;
    try {
      await before;
      await Promise.all(this.#shared);
      return await work();
    } finally {
      resolve();
    }
  }
}
