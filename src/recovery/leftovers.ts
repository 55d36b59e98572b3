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

/** The leftovers that one start found. */
export class Leftovers {
  /** What was taken away, in words. */
  readonly swept: string[] = [];
  readonly #failed = new Set<FailedAction>();

  /** An action was done. */
  done(action: Action): void {
    const leftover = leftoverOf(action);
    if (leftover !== null) this.swept.push(leftover);
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
