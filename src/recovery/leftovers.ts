// PURE. What a start took away that nobody had any more, and what it could not. Must not end anything.
import type { Owed } from './owed.ts';
import type { Action } from './reconcile.ts';
import type { FailedAction } from './recover.ts';

const short = (id: string): string => id.slice(0, 13);

/** What an action takes away that nobody has any more, in words; null for all else. */
function leftoverOf(action: Action): string | null {
  if (action.type === 'end-orphan') return `sandbox ${short(action.sandboxId)} without a record`;
  if (action.type === 'forget-container') return `container ${short(action.containerId)} without a record`;
  if (action.type === 'remove-snapshot') return `writable layer ${short(action.containerId)} without a container`;
  if (action.type === 'remove-bundle') return `bundle ${short(action.containerId)} without a container`;
  return null;
}

/** What it is about where no record tells of it later: what else fails is on record, and owed by that. */
function subjectOf(action: Action): string | null {
  // as long as its end is not on record it counts as running, and nobody removes it
  return action.type === 'lose-container' ? `container ${short(action.containerId)}` : leftoverOf(action);
}

/** So long it is told of what was taken away, in milliseconds: then nothing is wrong any more. */
export const sweptMs = 3_600_000;

/** The leftovers that one start found. */
export class Leftovers {
  readonly #elapsedMs: () => number;
  readonly #swept: { readonly what: string; readonly atMs: number }[] = [];
  readonly #listeners = new Set<(what: string) => void>();
  readonly #failed = new Set<FailedAction>();

  /** `elapsedMs`: milliseconds of a steady counter. */
  constructor(elapsedMs: () => number) {
    this.#elapsedMs = elapsedMs;
  }

  /** An action was done. */
  done(action: Action): void {
    const what = leftoverOf(action);
    if (what === null) return;
    this.#swept.push({ what, atMs: this.#elapsedMs() });
    for (const listener of this.#listeners) listener(what);
  }

  /** What was taken away in the last hour, in words. */
  swept(): string[] {
    const sinceMs = this.#elapsedMs() - sweptMs;
    return this.#swept.filter(({ atMs }) => atMs > sinceMs).map(({ what }) => what);
  }

  /** From now on `listener` is told of what is taken away, until the answer is called. It must not throw. */
  onSwept(listener: (what: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** An action has failed. */
  failed(one: FailedAction): void {
    if (subjectOf(one.action) !== null) this.#failed.add(one);
  }

  /** What could not be taken away so far. */
  owed(): Owed[] {
    return [...this.#failed].map((failed) => {
      const { action } = failed;
      return {
        key: `${action.type} ${action.sandboxId} ${'containerId' in action ? action.containerId : ''}`,
        subject: subjectOf(action) ?? '',
        problem: 'the start could not end it',
        isBusy: failed.isRunning(),
        again: async () => {
          await failed.again();
          this.#failed.delete(failed);
        },
      };
    });
  }
}
