// Runs work on many items, some at a time. Must not go on after a failure.

/** How many at once, and who may stop it. */
export interface Bounds<T = unknown> {
  readonly limit: number;
  readonly signal: AbortSignal;
  /** The larger, the earlier: what takes longest must not come last. Without it, in the items' order. */
  readonly first?: (item: T) => number;
}

/**
 * The results of `work` on each item, in the items' order. The first failure aborts the signal that the
 * others work under, is awaited with them, and is thrown.
 */
export async function eachBounded<T, R>(
  items: readonly T[],
  { limit, signal, first = () => 0 }: Bounds<T>,
  work: (item: T, signal: AbortSignal) => Promise<R>,
): Promise<R[]> {
  const stop = new AbortController();
  const own = AbortSignal.any([signal, stop.signal]);
  const results = new Map<number, R>();
  const order = items.map((_, at) => at).sort((a, b) => first(items[b] as T) - first(items[a] as T));
  let next = 0;
  const runner = async (): Promise<void> => {
    while (next < order.length) {
      const at = order[next] as number;
      next += 1;
      own.throwIfAborted();
      results.set(at, await work(items[at] as T, own));
    }
  };
  const runners = Array.from({ length: Math.min(limit, items.length) }, () =>
    runner().catch((error: unknown) => {
      stop.abort(error);
      throw error;
    }),
  );
  await Promise.allSettled(runners);
  if (stop.signal.aborted) {
    signal.throwIfAborted();
    throw stop.signal.reason;
  }
  return items.map((_, at) => results.get(at) as R);
}
