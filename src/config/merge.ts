// PURE
// Layers of settings (files in order, then flags) to one value; every mistake names key, place and what was expected.
import { invalidArgument } from '../lib/failure.ts';
import { entries, entryOf, type Config, type Entry } from './schema.ts';

/** Settings of one file or of the command line. */
export interface Layer {
  /** For messages: a file name, or "the command line". */
  readonly place: string;
  /** By the names that users write. */
  readonly values: ReadonlyMap<string, unknown>;
}

/** The tables of a TOML document as settings by name; a table that is no section is refused. */
export function flatten(place: string, document: Readonly<Record<string, unknown>>): Layer {
  const values = new Map<string, unknown>();
  for (const [key, value] of Object.entries(document)) {
    if (!isTable(value) || entryOf(key)) {
      values.set(known(key, place).name, value);
      continue;
    }
    for (const [inner, innerValue] of Object.entries(value)) {
      values.set(known(`${key}.${inner}`, place).name, innerValue);
    }
  }
  for (const [name, value] of values) read(name, value, place);
  return { place, values };
}

/** One flag or `--set` of the command line as a setting's value. */
export function fromText(name: string, word: string, place: string): readonly [name: string, value: unknown] {
  const { setting } = known(name, place);
  const value = setting.kind.readText(word);
  if (value === undefined) throw wrongKind({ name, expected: setting.kind.expected, got: JSON.stringify(word), place });
  return [name, new Ready(value)];
}

/** A value that was read from text already. */
class Ready {
  readonly value: unknown;
  constructor(value: unknown) {
    this.value = value;
  }
}

/** Defaults, overlaid by each layer in turn: the last to name a key wins. The result is frozen. */
export function merge(layers: readonly Layer[]): Config {
  const config: Record<string, Record<string, unknown>> = {};
  for (const { section, key, name, setting } of entries) {
    const given = layers.filter((layer) => layer.values.has(name));
    const values = given.map((layer) => read(name, layer.values.get(name), layer.place));
    const value =
      values.length > 1 && setting.kind.combine ? setting.kind.combine(values) : (values.at(-1) ?? setting.default);
    (config[section] ??= {})[key] = Array.isArray(value) ? Object.freeze([...value]) : value;
  }
  for (const section of Object.values(config)) Object.freeze(section);
  return Object.freeze(config) as Config;
}

/** The same config with other values for some keys of a section. */
export function override<S extends keyof Config>(config: Config, section: S, values: Partial<Config[S]>): Config {
  return Object.freeze({ ...config, [section]: Object.freeze({ ...config[section], ...values }) });
}

/** Names of the settings that differ. */
export function changes(before: Config, after: Config): readonly Entry[] {
  return entries.filter(({ section, key, setting }) => {
    const show = (config: Config): string => setting.kind.show((config[section] as Record<string, unknown>)[key]);
    return show(before) !== show(after);
  });
}

function read(name: string, raw: unknown, place: string): unknown {
  if (raw instanceof Ready) return raw.value;
  const { setting } = known(name, place);
  const value = setting.kind.read(raw);
  if (value === undefined) throw wrongKind({ name, expected: setting.kind.expected, got: describe(raw), place });
  return value;
}

function wrongKind(mistake: { name: string; expected: string; got: string; place: string }): Error {
  return invalidArgument(`${mistake.place}: ${mistake.name} must be ${mistake.expected}, not ${mistake.got}`);
}

function known(name: string, place: string): Entry {
  const entry = entryOf(name);
  if (entry) return entry;
  if (entries.some(({ section }) => section === name))
    throw invalidArgument(`${place}: ${name} is a section: [${name}]`);
  const near = nearest(
    name,
    entries.map((one) => one.name),
  );
  throw invalidArgument(`${place}: unknown key ${name}${near === undefined ? '' : `, did you mean ${near}?`}`);
}

const isTable = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);

function describe(raw: unknown): string {
  if (Array.isArray(raw)) return `the list ${JSON.stringify(raw)}`;
  if (raw instanceof Date) return `the date ${raw.toISOString()}`;
  if (isTable(raw)) return 'a table';
  return typeof raw === 'bigint' ? String(raw) : JSON.stringify(raw);
}

/** The candidate with the fewest edits to `word`; none when all are more than half of it away. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const scored = candidates.map((candidate) => ({ candidate, edits: distance(word, candidate) }));
  const best = scored.reduce((a, b) => (b.edits < a.edits ? b : a));
  return best.edits <= Math.max(2, word.length / 2) ? best.candidate : undefined;
}

// Levenshtein distance, one row at a time.
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
