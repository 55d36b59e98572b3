// Waiting with a signal. Must not know for what.

/** Sleeps; rejects with the signal's reason when that fires. A timer that is `quiet` does not keep the process alive. */
export async function pause(ms: number, signal: AbortSignal, { quiet = false } = {}): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  if (quiet) timer.unref();
  const give = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', give, { once: true });
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', give);
  }
}

/** The work, or the signal's reason: what it was doing then goes on to its own end. */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const give = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', give, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', give);
  }
}

/**
 * Calls `then` once so much time has passed and what came meanwhile has been heard: after a time without the processor a
 * timer comes before what waits in sockets. Answers what calls it off.
 */
export function whenSilentFor(ms: number, then: () => void): () => void {
  let immediate: NodeJS.Immediate | null = null;
  const timer = setTimeout(() => (immediate = setImmediate(then)), ms);
  return () => {
    clearTimeout(timer);
    if (immediate) clearImmediate(immediate);
  };
}
