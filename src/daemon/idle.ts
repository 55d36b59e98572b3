// Gives memory back when the daemon has been idle: V8 collects only when it allocates.
// Must not run while calls come in.

/** How the garbage collector is reached; null when Node was started without --expose-gc. */
type Collect = ((options: { type: 'major'; flavor: 'last-resort'; execution: 'sync' }) => void) | undefined;

const quietMs = 5000;

let lastWork = 0;

/** Tells that a call was served. */
export const noteWork = (): void => {
  lastWork = performance.now();
};

/** Starts watching; after some quiet seconds one full collection runs, and none again before new work. */
export function trimWhenIdle(): { stop: () => void } {
  const collect = (globalThis as { gc?: Collect }).gc;
  let trimmedFor = 0;
  const timer = setInterval(() => {
    if (!collect || lastWork === trimmedFor || performance.now() - lastWork < quietMs) return;
    trimmedFor = lastWork;
    collect({ type: 'major', flavor: 'last-resort', execution: 'sync' });
  }, quietMs).unref();
  return { stop: () => clearInterval(timer) };
}
