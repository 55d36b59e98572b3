// What running work relies on and no record names yet. Lives in memory: after a crash the work is gone too.
// Must not be held longer than a call.

/** Counts of holders by key (chain ids, digests). */
export class Leases {
  readonly #counts = new Map<string, number>();

  /** Holds keys until the returned function is called (more calls do nothing). */
  hold(keys: Iterable<string>): () => void {
    const held = [...keys];
    for (const key of held) this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    let released = false;
    return () => {
      if (released) return;
      released = true;
      for (const key of held) {
        const left = (this.#counts.get(key) ?? 0) - 1;
        if (left > 0) this.#counts.set(key, left);
        else this.#counts.delete(key);
      }
    };
  }

  has(key: string): boolean {
    return this.#counts.has(key);
  }
}
