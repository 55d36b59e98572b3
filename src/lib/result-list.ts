// Teardown goes on after a failure and reports all of them at the end.
import { Failure, failureChain } from './failure.ts';

/** Collects failures of steps that must all be tried. */
export class ResultList {
  readonly #failures: { step: string; error: unknown }[] = [];

  /** Tries one step; its failure is kept, not thrown. */
  async attempt(step: string, work: () => Promise<unknown> | void): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#failures.push({ step, error });
    }
  }

  /** Whether every step so far succeeded. */
  get ok(): boolean {
    return this.#failures.length === 0;
  }

  /** Throws one failure that names every failed step; nothing when all succeeded. */
  throwIfAny(attempted: string): void {
    const [first] = this.#failures;
    if (!first) return;
    const kind = first.error instanceof Failure ? first.error.kind : 'internal';
    const text = this.#failures.map(({ step, error }) => `${step}: ${failureChain(error)}`).join('; ');
    throw new Failure(kind, `${attempted}: ${text}`, {
      cause: new AggregateError(this.#failures.map((f) => f.error)), // without words of its own: those are in the text
    });
  }
}

/**
 * All results, as Promise.all gives them; a failure is thrown only when every piece of work has ended,
 * so that whoever clears away after it does not race with work that still goes on.
 */
export async function allEnded<T extends readonly unknown[]>(
  work: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(work);
  return Promise.all(work);
}
