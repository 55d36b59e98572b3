// PURE
// Single values of a request, checked: whatever is wrong is refused naming the field.
// Must not put request values into messages that may be secret (environment, credentials).
import { invalidArgument } from '../../lib/failure.ts';

/** Fails with invalid-argument: "<field> <why>". */
export function refuse(field: string, why: string): never {
  throw invalidArgument(`${field} ${why}`);
}

/** A message that must be there. */
export function required<T>(field: string, value: T | null | undefined): T {
  if (value === null || value === undefined) return refuse(field, 'is missing');
  return value;
}

/** A text that must not be empty. */
export function nonEmpty(field: string, value: string): string {
  return value === '' ? refuse(field, 'is empty') : noNul(field, value);
}

/** A text that the kernel will see as a C string. */
export function noNul(field: string, value: string): string {
  return value.includes('\0') ? refuse(field, 'contains a NUL byte') : value;
}

/** An absolute path. */
export function absolutePath(field: string, value: string): string {
  nonEmpty(field, value);
  return value.startsWith('/') ? value : refuse(field, `${JSON.stringify(value)} is not an absolute path`);
}

/** An int64 that a number holds exactly. */
export function integer(field: string, text: string): number {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : refuse(field, `${text} is out of range`);
}

/** An integer within bounds, both included. */
export function integerIn(field: string, text: string | number, [low, high]: readonly [number, number]): number {
  const value = typeof text === 'number' ? text : integer(field, text);
  return value >= low && value <= high ? value : refuse(field, `${value} is not between ${low} and ${high}`);
}

/** A uid or gid. 2^32 - 1 is excluded: it means "leave as it is" to chown(2) and setresuid(2). */
export const userNumber = (field: string, text: string): number => integerIn(field, text, [0, 0xffff_fffe]);

/**
 * A number of bytes. Beyond 2^53 it is rounded down to whole pages, which a number holds exactly and
 * which the kernel does anyway: 2^63 - 1 is a usual way to say "unlimited".
 */
export function byteCount(field: string, text: string): number {
  const value = BigInt(text);
  if (value < -1n) return refuse(field, `${text} is negative`);
  return Number(value > BigInt(Number.MAX_SAFE_INTEGER) ? value - (value % 4096n) : value);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes as text. The OCI spec that carries them on is JSON, so bytes that are not UTF-8 are refused. */
export function utf8Text(field: string, bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return refuse(field, 'is not valid UTF-8');
  }
}

/**
 * The domain's word for an enum's name. A number that this version of the proto has no name for
 * arrives as a number and is refused.
 */
export function known<T>(field: string, table: Readonly<Record<string, T>>, name: string | number): T {
  const value = Object.hasOwn(table, name) ? table[name] : undefined;
  return value === undefined ? refuse(field, `has the unknown value ${name}`) : value;
}

/** A runtime handler: "" (the default) or `podwright`. */
export function decodeHandler(field: string, name: string): string {
  return name === '' || name === 'podwright'
    ? name
    : refuse(field, `${JSON.stringify(name)} is not a runtime handler here`);
}
