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

/** What a clock is read from. */
export interface ClockSources {
  /** The wall clock in whole milliseconds, as `Date.now()`. */
  readonly wallMs: () => number;
  /** A steady counter in milliseconds with a fraction, as `performance.now()`. */
  readonly elapsedMs: () => number;
  /** Wall time now, with a fraction. */
  readonly startMs: number;
}

/**
 * Wall time in milliseconds with a fraction, which `Date.now()` has not. It follows every correction of the wall
 * clock, which `performance.timeOrigin` does not: a daemon lives for months, and may start before the time is set.
 */
export function followingClock({ wallMs, elapsedMs, startMs }: ClockSources): () => number {
  let offset = startMs - elapsedMs();
  return () => {
    const elapsed = elapsedMs();
    const wall = wallMs();
    // the wall clock has cut the fraction off: the time is within the millisecond that it tells
    offset = Math.min(Math.max(offset + elapsed, wall), wall + 1) - elapsed;
    return offset + elapsed;
  };
}
