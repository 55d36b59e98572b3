// What every creation has in common: who waits for it, and how a failed one is undone and told.
import { Failure, failureChain } from './failure.ts';

/** Who waits for the answer. */
export interface Caller {
  readonly signal: AbortSignal;
  /** Runs `then` once a success was handed out; never when the caller had gone. */
  readonly onDelivered: (then: () => void) => void;
}

/**
 * Builds; when that fails, tears down and throws its failure. A teardown that fails too leaves the record
 * for recovery, and both are told. `object` is what is made: "sandbox 3f2a…".
 */
export async function buildOrClearAway<T>(
  object: string,
  { build, teardown }: { readonly build: () => Promise<T>; readonly teardown: () => Promise<void> },
): Promise<T> {
  try {
    return await build();
  } catch (failure) {
    await teardown().catch((error: unknown) => {
      const { kind, details } = failure instanceof Failure ? failure : { kind: 'internal' as const, details: {} };
      const both = `${failureChain(failure)}; and clearing ${object} away failed: ${failureChain(error)}`;
      // causes without words of their own: the message has both chains already
      const told = new Failure(kind, both, { details, cause: new AggregateError([failure, error]) });
      if (failure instanceof Error && failure.stack !== undefined) told.stack = failure.stack;
      throw told;
    });
    throw failure;
  }
}
