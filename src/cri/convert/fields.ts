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

// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const control = /[\u0000-\u001f\u007f]/u;

/** Longest name of an object, in bytes: four times the longest that Kubernetes has (RFC 1123 subdomain, 253). */
const longestName = 1024;

/** A text of one line, "" included: names go into logs, files of lines and answers that people read. */
export function oneLine(field: string, value: string): string {
  if (value.length > longestName || Buffer.byteLength(value) > longestName)
    refuse(field, `is longer than ${longestName} bytes`);
  return control.test(value) ? refuse(field, 'contains a control character') : value;
}

/** A name of something: one line, not empty. */
export const name = (field: string, value: string): string =>
  value === '' ? refuse(field, 'is empty') : oneLine(field, value);

/** PATH_MAX with its NUL, and NAME_MAX (path_resolution(7)). */
const longestPath = 4095;
const longestPart = 255;

/** A path, absolute or not, "" included, that the kernel can look up at all. */
export function path(field: string, value: string): string {
  noNul(field, value);
  if (Buffer.byteLength(value) > longestPath) refuse(field, `is longer than ${longestPath} bytes`);
  if (value.length > longestPart && value.split('/').some((part) => Buffer.byteLength(part) > longestPart))
    refuse(field, `has a name longer than ${longestPart} bytes in it`);
  return value;
}

/** An absolute path. */
export function absolutePath(field: string, value: string): string {
  if (value === '') refuse(field, 'is empty');
  path(field, value);
  return value.startsWith('/') ? value : refuse(field, `${JSON.stringify(value)} is not an absolute path`);
}

/** An absolute path without a step back: what is below it stays below it. */
export function straightPath(field: string, value: string): string {
  absolutePath(field, value);
  return value.split('/').includes('..') ? refuse(field, `${JSON.stringify(value)} has a ".." in it`) : value;
}

/** MAX_ARG_STRLEN without the NUL (execve(2)). */
const longestArgument = 131_071;

/** A word of a command line or of an environment. */
export function argument(field: string, value: string): string {
  if (Buffer.byteLength(value) > longestArgument)
    refuse(field, `is longer than ${longestArgument} bytes, which no program can be given`);
  return noNul(field, value);
}

/** Words behind a program's name. */
export const argumentList = (field: string, words: readonly string[]): readonly string[] =>
  items(field, words, argument);

/** A program and its arguments, or nothing. */
export const commandLine = (field: string, words: readonly string[]): readonly string[] =>
  words[0] === '' ? refuse(`${field}[0]`, 'is empty') : argumentList(field, words);

/** Most items of a list: far above what a pod has, far below what a request of 16 MiB could hold. */
const mostItems = 10_000;

/** A list, each item read by `read`; the field's name goes on with its index. */
export function items<T, R>(field: string, list: readonly T[], read: (field: string, item: T) => R): R[] {
  if (list.length > mostItems) refuse(field, `has ${list.length} items, more than ${mostItems}`);
  return list.map((item, i) => read(`${field}[${i}]`, item));
}

/**
 * Most bytes of a map of texts. Kubernetes allows 256 KiB of annotations (`TotalAnnotationSizeLimitB`), and the
 * kubelet adds some of its own; without a limit one pod could make every list longer than a message may be.
 */
const mostTextBytes = 512 * 1024;

/** Labels, annotations and the like: names that are lines, values that are anything. */
export function textMap(field: string, map: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  let bytes = 0;
  for (const [key, value] of Object.entries(map)) {
    name(`${field} key`, key);
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  return bytes > mostTextBytes ? refuse(field, `has ${bytes} bytes, more than ${mostTextBytes}`) : map;
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

const largestInt64 = 2n ** 63n - 1n;

/**
 * A number of bytes. Beyond 2^53 it is rounded down to whole pages, which a number holds exactly and
 * which the kernel does anyway: 2^63 - 1 is a usual way to say "unlimited".
 */
export function byteCount(field: string, text: string): number {
  const value = BigInt(text);
  if (value < -1n) return refuse(field, `${text} is negative`);
  if (value > largestInt64) return refuse(field, `${text} is out of range`);
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

/** A runtime handler, "" for the default. Which there are is checked by field-check.ts. */
export function decodeHandler(field: string, handler: string): string {
  oneLine(field, handler);
  return handler;
}
