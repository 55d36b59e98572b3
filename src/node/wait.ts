// Waiting with a signal. Must not know for what.

/** Sleeps; rejects with the signal's reason when that fires. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const give = (): void => {
    clearTimeout(timer);
    reject(signal.reason as Error);
  };
  const timer = setTimeout(() => {
    signal.removeEventListener('abort', give);
    resolve();
  }, ms);
  if (signal.aborted) give();
  else signal.addEventListener('abort', give, { once: true });
  return promise;
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

/** Asks until the answer is null; the last complaint, or error, is that of the failure when the signal fires first. */
export async function until(
  ask: () => Promise<string | null>,
  { signal, everyMs, failure }: { signal: AbortSignal; everyMs: number; failure: (complaint: string) => Error },
): Promise<void> {
  let complaint = '';
  for (;;) {
    try {
      const answer = await orAborted(ask(), signal);
      if (answer === null) return;
      complaint = answer;
    } catch (error) {
      if (signal.aborted) throw failure(complaint);
      complaint = error instanceof Error ? error.message : String(error);
    }
    try {
      await pause(everyMs, signal);
    } catch {
      throw failure(complaint);
    }
  }
}
