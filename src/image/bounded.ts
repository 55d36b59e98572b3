// Runs work on many items, some at a time. Must not go on after a failure.

/** How many at once, and who may stop it. */
export interface Bounds {
  readonly limit: number;
  readonly signal: AbortSignal;
}

/**
 * The results of `work` on each item, in the items' order. The first failure aborts the signal that the
 * others work under, is awaited with them, and is thrown.
 */
export async function eachBounded<T, R>(
  items: readonly T[],
  { limit, signal }: Bounds,
  work: (item: T, signal: AbortSignal) => Promise<R>,
): Promise<R[]> {
  const stop = new AbortController();
  const own = AbortSignal.any([signal, stop.signal]);
  const results = new Map<number, R>();
  let next = 0;
  const runner = async (): Promise<void> => {
    while (next < items.length) {
      const at = next;
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
