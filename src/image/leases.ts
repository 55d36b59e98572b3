// What running work relies on and no record names yet. Lives in memory: after a crash the work is gone too.
// Must not be held longer than a call.

/** Counts of holders by key (chain ids, digests). */
export class Leases {
  readonly #counts = new Map<string, number>();
  readonly #onFree: (keys: readonly string[]) => void;

  /** `onFree` is told the keys that nobody holds any more. */
  constructor(onFree: (keys: readonly string[]) => void = () => undefined) {
    this.#onFree = onFree;
  }

  /** Holds keys until the returned function is called (more calls do nothing). */
  hold(keys: Iterable<string>): () => void {
    const held = [...keys];
    for (const key of held) this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    let released = false;
    return () => {
      if (released) return;
      released = true;
      const free: string[] = [];
      for (const key of held) {
        const left = (this.#counts.get(key) ?? 0) - 1;
        if (left > 0) this.#counts.set(key, left);
        else if (this.#counts.delete(key)) free.push(key);
      }
      this.#onFree(free);
    };
  }

  has(key: string): boolean {
    return this.#counts.has(key);
  }
}
