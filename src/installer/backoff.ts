// PURE
// When what was refused, or could not be begun, is tried again.
// Must not know what it is.

/** First pause, and the longest: each is twice the one before. */
const firstMs = 20_000;
const longestMs = 300_000;

/** How a node is looked at: `held` until the pause is over; then `due` until something was begun; `first` without either. */
export type Trial = 'first' | 'held' | 'due';

/** Pauses between the trials of one attempt. Kept in memory only: a new pod tries at once. */
export class Backoff {
  #attempt = '';
  #trials = 0;
  #atMs: number | null = null;

  /** How to look now; another attempt begins without a pause. */
  trial(attempt: string, nowMs: number): Trial {
    if (attempt !== this.#attempt) {
      this.#attempt = attempt;
      this.#trials = 0;
      this.#atMs = null;
    }
    if (this.#atMs === null) return 'first';
    return nowMs >= this.#atMs ? 'due' : 'held';
  }

  /** Takes what a look came to. */
  looked(next: string, trial: Trial, nowMs: number): void {
    if (next === 'refused' && trial !== 'held') {
      this.#atMs = nowMs + Math.min(firstMs * 2 ** this.#trials, longestMs);
      this.#trials += 1;
    }
    if (next === 'begin') this.#atMs = null;
    if (next === 'done' || next === 'failed') {
      this.#atMs = null;
      this.#trials = 0;
    }
  }
}
