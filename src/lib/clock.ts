// Time as a dependency, so that pure code and tests need no real clock.

/** Wall time in unix nanoseconds, as CRI counts it. */
export interface Clock {
  now(): bigint;
}

/** A clock over `Date.now()`-like milliseconds that never repeats or goes back within this process. */
export function monotonicClock(nowMs: () => number): Clock {
  let last = 0n;
  return {
    now() {
      const t = BigInt(Math.floor(nowMs() * 1e6));
      last = t > last ? t : last + 1n;
      return last;
    },
  };
}
