// PURE
// Which steps of a life are still to be told, from facts. Must not know whose life it is.

/** A step of a life, in its order. CRI ContainerEventType. */
export type LifeStep = 'created' | 'started' | 'stopped' | 'deleted';

/** What is so now. */
export interface LifeFacts {
  /** It exists for its callers. */
  readonly made: boolean;
  readonly started: boolean;
  readonly ended: boolean;
  readonly gone: boolean;
}

const order: readonly LifeStep[] = ['created', 'started', 'stopped', 'deleted'];

/**
 * The steps that follow the last one told (null: none) and have been reached, in order. A life that was never
 * told of, and does not exist for its callers, has none. A step that was passed over is not made up for: one that
 * never started has only its end told.
 */
export function stepsAfter(last: LifeStep | null, facts: LifeFacts): LifeStep[] {
  if (last === null && !facts.made) return [];
  const reached = { created: true, started: facts.started, stopped: facts.ended, deleted: facts.gone };
  const told = last === null ? -1 : order.indexOf(last);
  return order.filter((step, at) => at > told && reached[step]);
}

/** The steps that were told of each life, by id. Forgets a life when its end was told. */
export class LifeSteps {
  readonly #last = new Map<string, LifeStep>();

  /** The steps to tell now; they count as told. */
  advance(id: string, facts: LifeFacts): LifeStep[] {
    const steps = stepsAfter(this.#last.get(id) ?? null, facts);
    const last = steps.at(-1);
    if (last === 'deleted' || facts.gone) this.#last.delete(id);
    else if (last !== undefined) this.#last.set(id, last);
    return steps;
  }
}
