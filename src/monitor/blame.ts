// PURE
// Whose fault a system call's failure is: a path, a program or a value that the caller chose is the caller's.
// Must not look at texts that people read: an operation and an errno decide.
import { exhaustionOf } from '../lib/exhaustion.ts';
import type { FailureKind } from '../lib/failure.ts';

/** Operations of the monitor on what a request names (native/crates/container). Their errnos tell about that. */
const onCallersObjects: readonly RegExp[] = [
  /^(open|take|look at) mount source$/,
  /^mount \//,
  /^(make the directory|make the file|make|open)$/,
  /^(open|look at) log$/,
  /^(resolve device|resolve devices below|make device)$/,
  /^(enter|look at) working directory$/,
  /^exec$/,
  /^set sysctl$/,
];

/** It is not there, or not what it would have to be (errno(3)). */
const unfit: ReadonlySet<number> = new Set([
  1, // EPERM
  2, // ENOENT
  6, // ENXIO
  8, // ENOEXEC
  13, // EACCES
  17, // EEXIST
  19, // ENODEV
  20, // ENOTDIR
  21, // EISDIR
  26, // ETXTBSY
  30, // EROFS
  40, // ELOOP
  107, // ENOTCONN
  116, // ESTALE
]);

/** It could be right nowhere. */
const senseless: ReadonlySet<number> = new Set([
  7, // E2BIG
  22, // EINVAL
  36, // ENAMETOOLONG
]);

/** ESRCH: the process that it was about has ended meanwhile. */
const ended = 3;
/** ENOENT: of a file below /proc/PID it says the same. */
const missing = 2;

/** What a monitor tells of a failed call. */
export interface FailedCall {
  readonly operation: string;
  readonly syscall: string;
  readonly errno: number;
  readonly object: string;
}

/** The kind of a failed call of which the monitor itself says only that the kernel refused. */
export function blame({ operation, syscall, errno, object }: FailedCall): FailureKind {
  if (exhaustionOf(errno, syscall) !== null) return 'resource-exhausted';
  if (errno === ended || (errno === missing && /^\/proc\/\d+(\/|$)/.test(object))) return 'failed-precondition';
  if (!onCallersObjects.some((each) => each.test(operation))) return 'internal';
  if (unfit.has(errno)) return 'failed-precondition';
  return senseless.has(errno) ? 'invalid-argument' : 'internal';
}
