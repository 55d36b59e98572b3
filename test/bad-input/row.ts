// One row of a table of wrong values, and the values that are wrong wherever a text of some kind is asked for.
import type { status } from '@grpc/grpc-js';

/** Name of a gRPC code. */
export type Code = keyof typeof status;

/** A value of one field and what the call that carries it answers. */
export interface Row {
  /** What is wrong with it, or why it is fine: for the message of a failed assertion. */
  readonly because: string;
  /** The field's value; an array for a repeated field, an object for a map. `undefined` takes the field away. */
  readonly value: unknown;
  /** What the call answers; one of them where the host decides. */
  readonly code: Code | readonly Code[];
  /** Other members of the same message. */
  readonly beside?: object;
  /** Where it holds, as `RPC path.of.the.field`; everywhere without. */
  readonly at?: RegExp;
  /** Only a real host can tell: not asked of a border over fakes. */
  readonly host?: true;
}

/** Rows by `Message.field`. A message's own field may have rows too: for its absence, or two that contradict. */
export type Rows = Readonly<Record<string, readonly Row[]>>;

type More = Partial<Omit<Row, 'because' | 'value'>>;

/** A value that the caller is told about: INVALID_ARGUMENT unless another code is given. */
export const wrong = (because: string, value: unknown, more: More = {}): Row => ({
  because,
  value,
  code: 'INVALID_ARGUMENT',
  ...more,
});

/** A value at the edge that is right. */
export const fine = (because: string, value: unknown, more: More = {}): Row => ({
  because,
  value,
  code: 'OK',
  ...more,
});

const kilobytes256 = 'n'.repeat(256 * 1024);
const huge = new WeakSet<object>();
const asHuge = <T extends object>(value: T): T => {
  huge.add(value);
  return value;
};

/** Whether a value takes its time: once for each field is enough where time is short. */
export const isHuge = (value: unknown): boolean => typeof value === 'object' && value !== null && huge.has(value);

/** 64 Ki entries. */
export const hugeMap = asHuge(Object.fromEntries(Array.from({ length: 65_536 }, (_, i) => [`key-${i}`, 'value'])));
/** 64 Ki items. */
export const hugeList = (item: unknown): unknown[] => asHuge(Array.from({ length: 65_536 }, () => item));

/** Rows of a text of one line that may be empty. */
export const line: readonly Row[] = [
  wrong('a NUL byte', 'a\0b'),
  wrong('a line break', 'a\nb'),
  wrong('256 kB', kilobytes256),
];

/** Rows of a text of one line that must not be empty. */
export const name: readonly Row[] = [wrong('empty', ''), ...line];

/** Rows of a path that may be empty and relative. */
export const anyPath: readonly Row[] = [
  wrong('a NUL byte', '/a\0b'),
  wrong('longer than PATH_MAX', '/a'.repeat(2100)),
  wrong('a name longer than NAME_MAX', `/tmp/${'n'.repeat(256)}`),
  wrong('256 kB', `/${kilobytes256}`),
];

/** Rows of a path that must be there and absolute. */
export const absolutePath: readonly Row[] = [wrong('empty', ''), wrong('relative', 'a/b'), ...anyPath];

/** Rows of labels, annotations and other maps of texts. */
export const textMap: readonly Row[] = [
  wrong('an empty key', { '': 'v' }),
  wrong('a NUL byte in a key', { 'a\0b': 'v' }),
  wrong('a line break in a key', { 'a\nb': 'v' }),
  wrong('a key of 256 kB', { [kilobytes256]: 'v' }),
  wrong('64 Ki entries', hugeMap),
  wrong('1 MiB of text', { key: kilobytes256.repeat(4) }),
];

/** Rows of the words of a command line. */
export const words: readonly Row[] = [
  wrong('a NUL byte', ['true', 'a\0b']),
  wrong('a word longer than MAX_ARG_STRLEN', ['true', kilobytes256]),
  wrong('64 Ki words', hugeList('true')),
];

/** Rows of the id of an object that must be there. */
export const objectId: readonly Row[] = [
  ...name,
  wrong('nobody has it', 'f'.repeat(64), { code: 'NOT_FOUND', host: true }),
];

/** Rows of the id of an object that is to be gone: that it is not there is success. */
export const goneId: readonly Row[] = [...name, fine('nobody has it', 'f'.repeat(64))];

/** The rows of a field in which any text is right. Say why. */
export const anything = (because: string): readonly Row[] => [fine(because, 'any \n text')];

/** Rows of an int64 that is a time or an amount: never negative. */
export const notNegative: readonly Row[] = [wrong('negative', '-1'), wrong('the least int64', '-9223372036854775808')];
