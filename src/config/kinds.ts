// PURE
// What kinds of value a setting can have: how each is read from TOML, printed, and described.
import { limitNames } from '../lib/limit-names.ts';

/** How values of one kind are read and shown. */
export interface Kind<T> {
  /** What a user is told to write: "a duration such as \"30s\"". */
  readonly expected: string;
  /** The value, or undefined when the text is not of this kind. */
  read(raw: unknown): T | undefined;
  /** The value of a flag's text; a kind that a flag cannot hold answers undefined. */
  readText(text: string): T | undefined;
  /** The value as TOML source. */
  show(value: T): string;
  /** Puts the values of several layers together, the last one winning; without it the last layer's value counts alone. */
  combine?(values: readonly T[]): T;
  /** For the chart's values schema: a JSON schema fragment. */
  readonly jsonSchema: Readonly<Record<string, unknown>>;
}

/** A resource limit of a process: getrlimit(2) name without RLIMIT_, in lower case. */
export interface Ulimit {
  readonly name: string;
  readonly soft: number;
  readonly hard: number;
}

const quote = (text: string): string => JSON.stringify(text);

/** Any text; `pattern` limits it, and `expected` then says how. */
export function text(pattern = /^/, expected = 'a string'): Kind<string> {
  const read = (raw: unknown): string | undefined => (typeof raw === 'string' && pattern.test(raw) ? raw : undefined);
  return { expected, read, readText: read, show: quote, jsonSchema: { type: 'string', pattern: pattern.source } };
}

/** An absolute path; with `allowEmpty` also "". */
export function path(allowEmpty = false): Kind<string> {
  return text(allowEmpty ? /^$|^\// : /^\//, allowEmpty ? 'an absolute path or ""' : 'an absolute path');
}

/** One of a few words. */
export function choice<const T extends string>(...words: readonly T[]): Kind<T> {
  const read = (raw: unknown): T | undefined => words.find((word) => word === raw);
  const expected = `one of ${words.map(quote).join(', ')}`;
  return { expected, read, readText: read, show: quote, jsonSchema: { enum: words } };
}

/** true or false. */
export const flag: Kind<boolean> = {
  expected: 'true or false',
  read: (raw) => (typeof raw === 'boolean' ? raw : undefined),
  readText: (word) => (word === 'true' ? true : word === 'false' ? false : undefined),
  show: String,
  jsonSchema: { type: 'boolean' },
};

/** A whole number within bounds, both included. */
export function integer(minimum: number, maximum: number): Kind<number> {
  const read = (raw: unknown): number | undefined =>
    typeof raw === 'number' && Number.isInteger(raw) && raw >= minimum && raw <= maximum ? raw : undefined;
  return {
    expected: `a whole number from ${minimum} to ${maximum}`,
    read,
    readText: (word) => (/^-?\d+$/.test(word) ? read(Number(word)) : undefined),
    show: String,
    jsonSchema: { type: 'integer', minimum, maximum },
  };
}

const durationUnits = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** A length of time, in milliseconds: "500ms", "30s", "5m", "1h". */
export const duration: Kind<number> = {
  expected: 'a duration such as "500ms", "30s", "5m" or "1h"',
  read: (raw) => (typeof raw === 'string' ? readUnits(raw, durationUnits) : undefined),
  readText: (word) => readUnits(word, durationUnits),
  show: (value) => quote(showUnits(value, durationUnits)),
  jsonSchema: { type: 'string', pattern: '^[0-9]+(ms|s|m|h)$' },
};

const sizeUnits = { '': 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;

const mostCpus = 8192;

/** A number of bytes: 4096, "64MiB", "8GiB". */
export const size: Kind<number> = {
  expected: 'a number of bytes, or a size such as "64MiB" or "8GiB"',
  read: (raw) => {
    if (typeof raw === 'string') return readUnits(raw, sizeUnits);
    return typeof raw === 'number' && Number.isSafeInteger(raw) && raw >= 0 ? raw : undefined;
  },
  readText: (word) => readUnits(word, sizeUnits),
  show: (value) => {
    const shown = showUnits(value, sizeUnits);
    return /^\d+$/.test(shown) ? shown : quote(shown);
  },
  jsonSchema: { type: ['integer', 'string'], minimum: 0, pattern: '^[0-9]+([KMGT]iB)?$' },
};

/** A number of processors, in thousandths at the finest: 2, 0.5. */
export const cpus: Kind<number> = {
  expected: 'a number of processors such as 2 or 0.5',
  read: (raw) => (typeof raw === 'number' ? readCpus(raw) : undefined),
  readText: (word) => (/^\d+(\.\d+)?$/.test(word) ? readCpus(Number(word)) : undefined),
  show: String,
  jsonSchema: { type: 'number', minimum: 0, maximum: mostCpus, multipleOf: 0.001 },
};

function readCpus(value: number): number | undefined {
  const thousandths = Math.round(value * 1000);
  // below a hundredth the kernel's shortest quota (1 ms of 100 ms) would be more than what was asked for
  const fits = value === 0 || (value >= 0.01 && value <= mostCpus);
  return fits && Math.abs(thousandths - value * 1000) < 1e-6 ? value : undefined;
}

/** A list; in a flag its items are separated by commas. */
export function list<T>(item: Kind<T>, items: string): Kind<readonly T[]> {
  const all = <R>(raw: readonly R[], read: (one: R) => T | undefined): readonly T[] | undefined => {
    const values = raw.map((one) => read(one)).filter((one) => one !== undefined);
    return values.length === raw.length ? values : undefined;
  };
  return {
    expected: `a list of ${items}`,
    read: (raw) => (Array.isArray(raw) ? all(raw, (one) => item.read(one)) : undefined),
    readText: (words) => (words === '' ? [] : all(words.split(','), (one) => item.readText(one))),
    show: (values) => `[${values.map((one) => item.show(one)).join(', ')}]`,
    jsonSchema: { type: 'array', items: item.jsonSchema },
  };
}

/** A resource limit: "nofile=1024:524288", soft then hard; one number sets both. */
export const ulimit: Kind<Ulimit> = {
  expected: 'a limit such as "nofile=1024:524288"',
  read: (raw) => (typeof raw === 'string' ? readUlimit(raw) : undefined),
  readText: (word) => readUlimit(word),
  show: ({ name, soft, hard }) => quote(`${name}=${soft}:${hard}`),
  jsonSchema: { type: 'string', pattern: '^[a-z]+=[0-9]+(:[0-9]+)?$' },
};

function readUlimit(word: string): Ulimit | undefined {
  const [, name, softText, hardText] = /^([a-z]+)=(\d+)(?::(\d+))?$/.exec(word) ?? [];
  if (name === undefined || softText === undefined || !limitNames.includes(name)) return undefined;
  const soft = Number(softText);
  const hard = hardText === undefined ? soft : Number(hardText);
  return soft <= hard && Number.isSafeInteger(hard) ? { name, soft, hard } : undefined;
}

type Units = Readonly<Record<string, number>>;

function readUnits(word: string, units: Units): number | undefined {
  const [, digits, unit] = /^(\d+)([A-Za-z]*)$/.exec(word) ?? [];
  const factor = unit === undefined ? undefined : units[unit];
  if (digits === undefined || factor === undefined) return undefined;
  const value = Number(digits) * factor;
  return Number.isSafeInteger(value) ? value : undefined;
}

// The greatest unit that divides the value, so that nothing is rounded.
function showUnits(value: number, units: Units): string {
  const [unit, factor] = Object.entries(units).reduce((best, next) =>
    value > 0 && value % next[1] === 0 && next[1] > best[1] ? next : best,
  );
  return `${value / factor}${unit}`;
}
