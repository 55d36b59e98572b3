// The exception form of a native failure.
import type { NativeFailure, Outcome } from './boundary.ts';

/** A failed native call: the hand that made the call turns it into a Failure with its own words. */
export class NativeError extends Error {
  readonly operation: string;
  readonly syscall: string;
  readonly errno: number;
  readonly object: string;

  constructor(failure: NativeFailure) {
    super(failure.message);
    this.name = 'NativeError';
    this.operation = failure.operation;
    this.syscall = failure.syscall;
    this.errno = failure.errno;
    this.object = failure.object;
  }
}

/** The value of an outcome, or its failure thrown. */
export function unwrap<T>(outcome: Outcome<T>): T {
  if ('err' in outcome) throw new NativeError(outcome.err);
  return outcome.ok;
}

/** Errno numbers of Linux that our hands tell apart. */
export const errno = {
  ENOENT: 2,
  ESRCH: 3,
  EIO: 5,
  ENODEV: 19,
  EBUSY: 16,
  EEXIST: 17,
  EINVAL: 22,
  ENOSPC: 28,
  EBADMSG: 74,
  EUCLEAN: 117,
  EDQUOT: 122,
} as const;
