// PURE
// MCS levels of pods: two categories of sensitivity s0 each, never the same two for two pods.

/** How many levels a range of categories has: c0 to c(range-1), two at a time. */
export const levelCount = (range: number): number => (range * (range - 1)) / 2;

/** The n-th of all levels, from 0 on. */
export function nthLevel(n: number): string {
  const high = Math.floor((1 + Math.sqrt(1 + 8 * n)) / 2);
  return `s0:c${n - (high * (high - 1)) / 2},c${high}`;
}

/** One spelling for levels that are the same: categories in order, once. Only lists of them are looked into. */
export function sameSpelling(level: string): string {
  const [, sensitivity, categories] = /^(s\d+):(c\d+(?:,c\d+)*)$/.exec(level) ?? [];
  if (sensitivity === undefined || categories === undefined) return level;
  const numbers = [...new Set(categories.split(',').map((c) => Number(c.slice(1))))].toSorted((a, b) => a - b);
  return `${sensitivity}:${numbers.map((n) => `c${n}`).join(',')}`;
}

export interface FreeLevelInput {
  /** Levels that pods have, in any spelling. */
  readonly used: Iterable<string>;
  /** Hexadecimal id of the pod: where the search begins, so that a level is not soon used again. */
  readonly id: string;
  /** How many categories there are. */
  readonly range: number;
}

/** A level that no pod has; null when there is none. */
export function freeLevel({ used, id, range }: FreeLevelInput): string | null {
  const taken = new Set([...used].map(sameSpelling));
  const count = levelCount(range);
  const first = Number.parseInt(id.slice(0, 12), 16) % count;
  for (let step = 0; step < count; step += 1) {
    const level = nthLevel((first + step) % count);
    if (!taken.has(level)) return level;
  }
  return null;
}
