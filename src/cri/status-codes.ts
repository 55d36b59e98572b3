// PURE
// Failure kind → gRPC code and CRI message prefix, in one total table. Must not decide anything else.
import { exhaustionIn } from '../lib/exhaustion.ts';
import { Failure, failureChain, type FailureKind } from '../lib/failure.ts';

/** The gRPC codes we send, by name (google.rpc.Code). */
export const grpcCodes = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
} as const;

/** Name of a gRPC code we send. */
export type GrpcCode = keyof typeof grpcCodes;

interface StatusRule {
  readonly code: GrpcCode;
  /** What the kubelet looks for at the start of the message (k8s.io/cri-api/pkg/errors). */
  readonly prefix: string;
}

const plain = (code: GrpcCode): StatusRule => ({ code, prefix: '' });

/**
 * Total: a new failure kind does not compile until it has a code. The CRI four are UNKNOWN, as the
 * kubelet gets them from every Go runtime: it reads the prefix, not the code.
 */
export const statusRules: Readonly<Record<FailureKind, StatusRule>> = {
  'invalid-argument': plain('INVALID_ARGUMENT'),
  'not-found': plain('NOT_FOUND'),
  'already-exists': plain('ALREADY_EXISTS'),
  'failed-precondition': plain('FAILED_PRECONDITION'),
  unavailable: plain('UNAVAILABLE'),
  'deadline-exceeded': plain('DEADLINE_EXCEEDED'),
  cancelled: plain('CANCELLED'),
  'resource-exhausted': plain('RESOURCE_EXHAUSTED'),
  'permission-denied': plain('PERMISSION_DENIED'),
  unimplemented: plain('UNIMPLEMENTED'),
  internal: plain('INTERNAL'),
  'registry-unavailable': { code: 'UNKNOWN', prefix: 'RegistryUnavailable: ' },
  'signature-validation-failed': { code: 'UNKNOWN', prefix: 'SignatureValidationFailed: ' },
  'image-volume-mount-failed': { code: 'UNKNOWN', prefix: 'ImageVolumeMountFailed: ' },
  'rro-unsupported': { code: 'UNKNOWN', prefix: 'RROUnsupported: ' },
};

/** A status to send. */
export interface RpcStatus {
  readonly code: GrpcCode;
  readonly message: string;
}

/** Longest message sent: it travels in one HTTP/2 header, percent-encoded. */
const longestMessage = 4096;

/** Kinds of failures whose reason may be that something has run out: then that is what the caller is told. */
const mayLack: ReadonlySet<FailureKind> = new Set([
  'internal',
  'unavailable',
  'failed-precondition',
  'registry-unavailable',
  'resource-exhausted',
]);

/** The status of any thrown value; what is not a Failure is a bug and INTERNAL, unless it says that something has run out. */
export function statusOf(error: unknown): RpcStatus {
  const kind = error instanceof Failure ? error.kind : 'internal';
  const lacks = mayLack.has(kind) ? exhaustionIn(error) : null;
  const rule = statusRules[lacks === null ? kind : 'resource-exhausted'];
  const limit = lacks === null || lacks.what === '' ? '' : `; there are no more ${lacks.what}`;
  const text = `${rule.prefix}${failureChain(error)}${limit}`;
  const short = text.length <= longestMessage ? text : `${text.slice(0, longestMessage - 1)}…`;
  // a lone surrogate makes grpc-js throw while it encodes the header
  return { code: rule.code, message: short.toWellFormed() };
}
