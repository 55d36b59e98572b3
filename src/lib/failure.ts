// The one error type of the house. Must not know gRPC, errno tables or logging.

/** Every way a call can fail. `cri/status-codes.ts` has a gRPC code for each. */
export type FailureKind =
  | 'invalid-argument'
  | 'not-found'
  | 'already-exists'
  | 'failed-precondition'
  | 'unavailable'
  | 'deadline-exceeded'
  | 'cancelled'
  | 'resource-exhausted'
  | 'permission-denied'
  | 'unimplemented'
  | 'internal'
  | 'registry-unavailable'
  | 'signature-validation-failed'
  | 'image-volume-mount-failed'
  | 'rro-unsupported';

/** Facts for the log and for callers that must tell cases apart; never secrets. */
export type FailureDetails = Readonly<Record<string, string | number | boolean>>;

/**
 * A failure with a kind. Messages are lower case, without a full stop, say what was
 * attempted on which object, and do not repeat their cause.
 */
export class Failure extends Error {
  readonly kind: FailureKind;
  readonly details: FailureDetails;

  constructor(kind: FailureKind, message: string, options: { cause?: unknown; details?: FailureDetails } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Failure';
    this.kind = kind;
    this.details = options.details ?? {};
  }
}

type Make = (message: string, cause?: unknown, details?: FailureDetails) => Failure;

const maker =
  (kind: FailureKind): Make =>
  (message, cause, details) =>
    new Failure(kind, message, { cause, ...(details ? { details } : {}) });

export const invalidArgument = maker('invalid-argument');
export const notFound = maker('not-found');
export const alreadyExists = maker('already-exists');
export const failedPrecondition = maker('failed-precondition');
export const unavailable = maker('unavailable');
export const deadlineExceeded = maker('deadline-exceeded');
export const cancelled = maker('cancelled');
export const resourceExhausted = maker('resource-exhausted');
export const permissionDenied = maker('permission-denied');
export const unimplemented = maker('unimplemented');
export const internal = maker('internal');
export const registryUnavailable = maker('registry-unavailable');
export const signatureValidationFailed = maker('signature-validation-failed');
export const imageVolumeMountFailed = maker('image-volume-mount-failed');
export const rroUnsupported = maker('rro-unsupported');

/** The message and those of its causes, outermost first, joined by ": ". */
export function failureChain(error: unknown): string {
  const parts: string[] = [];
  let at: unknown = error;
  while (at instanceof Error && parts.length < 16) {
    if (at.message !== '' && parts.at(-1) !== at.message) parts.push(at.message);
    at = at.cause;
  }
  if (parts.length === 0) parts.push(String(error));
  return parts.join(': ');
}

/** Throws `cancelled` or `deadline-exceeded` when the signal has fired, naming what was under way. */
export function throwIfAborted(signal: AbortSignal, doing: string): void {
  if (!signal.aborted) return;
  if (signal.reason instanceof Failure) throw signal.reason;
  throw cancelled(`${doing} was cancelled`, signal.reason);
}
