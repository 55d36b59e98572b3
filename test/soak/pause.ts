/** A pause that ends early when the signal fires. */
export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(ended, ms);
    signal.addEventListener('abort', ended, { once: true });
    function ended(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', ended);
      resolve();
    }
  });
