// What every parser owes: an answer, or a Failure that blames the right one and can be shown.
import type * as fc from 'fast-check';
import { Failure, type FailureKind } from '../../../src/lib/failure.ts';

/** One parser with what it is given. */
export interface Target {
  readonly name: string;
  readonly property: fc.IAsyncPropertyWithHooks<unknown>;
}

/** A well-formed one. */
export const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;
/** In every secret that is given to a parser, and in no message. */
export const secret = 'S3CR3T';

export function complain(what: string): never {
  throw new Error(what);
}

/** The result, or null for a failure of one of these kinds. Its message must be fit to be shown. */
export function only<T>(kinds: readonly FailureKind[], run: () => T): T | null {
  try {
    return run();
  } catch (error) {
    checkFailure(kinds, error);
    return null;
  }
}

export function checkFailure(kinds: readonly FailureKind[], error: unknown): void {
  if (!(error instanceof Failure)) throw error;
  if (!kinds.includes(error.kind)) complain(`a failure of kind ${error.kind}: ${error.message}`);
  // oxlint-disable-next-line no-control-regex
  if (error.message.length > 4000 || /[\0-\x1f]/.test(error.message))
    complain(`a message unfit to be shown: ${error.message}`);
  const causes = error.cause instanceof Error ? error.cause.message : '';
  if (`${error.message}${causes}`.includes(secret)) complain(`a message with a secret: ${error.message}`);
}

export const bytesOf = (text: string): Uint8Array => Buffer.from(text, 'utf8');
