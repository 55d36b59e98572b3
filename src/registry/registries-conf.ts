// PURE
// The text of a registries.conf (containers-registries.conf(5), version 2) and its drop-ins as one value.
// Must not read files, nor choose a place: locations.ts. The file is shared with other tools, so keys that
// are not known are told, not refused.
import { parse, TomlError } from 'smol-toml';
import { failedPrecondition } from '../lib/failure.ts';

/** A physical place of a prefix: `host[:port][/path]`, "" for where the name itself leads. */
export interface Place {
  readonly location: string;
  /** TLS with any certificate will do, and plain HTTP where no TLS is spoken. */
  readonly insecure: boolean;
}

/** When a mirror is asked: for every reference, only for those with a digest, only for those without. */
export type MirrorUse = 'all' | 'digest-only' | 'tag-only';

/** A `[[registry.mirror]]`. */
export interface MirrorPlace extends Place {
  readonly use: MirrorUse;
}

/** A `[[registry]]`. */
export interface RegistryRule extends Place {
  /** `host[:port][/path][:tag|@digest]` or `*.domain[/path]`. */
  readonly prefix: string;
  readonly blocked: boolean;
  /** In the order they are tried. */
  readonly mirrors: readonly MirrorPlace[];
  /** Where it was read, for messages. */
  readonly file: string;
}

/** One file, or several put together. */
export interface RegistriesConf {
  readonly rules: readonly RegistryRule[];
  /** What is in the file and has no effect here, as sentences for the log. */
  readonly notes: readonly string[];
}

/** No file. */
export const noRegistriesConf: RegistriesConf = { rules: [], notes: [] };

type Json = Readonly<Record<string, unknown>>;
type Refuse = (why: string) => never;

/** Keys of the format that say nothing about where an image is: short names are Docker's here (docs/registries.md). */
const others = new Set([
  'unqualified-search-registries',
  'short-name-mode',
  'aliases',
  'credential-helpers',
  'additional-layer-store-auth-helper',
]);
const ruleKeys = new Set(['prefix', 'location', 'insecure', 'blocked', 'mirror', 'mirror-by-digest-only']);
const mirrorKeys = new Set(['location', 'insecure', 'pull-from-mirror']);
const mostRules = 10_000;

const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const quote = (text: string): string => JSON.stringify(text.slice(0, 200));

/** Reads one file. Throws failed-precondition naming the file and what is wrong. */
export function parseRegistriesConf(text: string, file: string): RegistriesConf {
  const refuse: Refuse = (why) => {
    throw failedPrecondition(`registries.conf file ${file} is not usable: ${why}`);
  };
  const whole = parseToml(text, refuse);
  if ('registries' in whole) refuse('it has the format of version 1 ([registries.…]), which is no longer read');
  const { registry = [], ...rest } = whole;
  if (!Array.isArray(registry)) return refuse('registry is not a list of tables: write [[registry]]');
  if (registry.length > mostRules) refuse(`it has more than ${mostRules} registries`);
  const notes = Object.keys(rest).flatMap((key) => (others.has(key) ? [] : [`key ${quote(key)} is unknown`]));
  if (Array.isArray(rest['unqualified-search-registries']) && rest['unqualified-search-registries'].length > 0) {
    notes.push('unqualified-search-registries is not used: a short name is of docker.io');
  }
  const rules = registry.map((table: unknown, at) => {
    const where = `[[registry]] number ${at + 1}`;
    if (!isJson(table)) return refuse(`${where} is not a table`);
    return readRule(table, { file, note: (text) => notes.push(`${where}: ${text}`) }, (why) =>
      refuse(`${where}: ${why}`),
    );
  });
  const prefixes = new Set<string>();
  for (const { prefix } of rules) {
    if (prefixes.has(prefix)) refuse(`prefix ${quote(prefix)} is there twice`);
    prefixes.add(prefix);
  }
  return { rules, notes: notes.map((note) => `${file}: ${note}`) };
}

function parseToml(text: string, refuse: Refuse): Json {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof TomlError) return refuse(`line ${error.line}: ${error.message.split('\n')[0]}`);
    throw error;
  }
}

/** Puts files together in the order they are read: of a prefix the last one's table counts, whole. */
export function mergeRegistriesConf(files: readonly RegistriesConf[]): RegistriesConf {
  const byPrefix = new Map<string, RegistryRule>();
  for (const { rules } of files) for (const rule of rules) byPrefix.set(rule.prefix, rule);
  return { rules: [...byPrefix.values()], notes: files.flatMap(({ notes }) => notes) };
}

interface About {
  readonly file: string;
  readonly note: (text: string) => void;
}

function readRule(table: Json, { file, note }: About, refuse: Refuse): RegistryRule {
  const read = reader(table, refuse);
  const location = read.place('location');
  const prefix = read.text('prefix') === '' ? location : read.place('prefix');
  if (prefix === '') refuse('it has neither a prefix nor a location');
  const isWild = prefix.startsWith('*.');
  if (prefix.includes('*') && (!isWild || prefix.lastIndexOf('*') > 0 || prefix === '*.')) {
    refuse(`prefix ${quote(prefix)} has a "*" that does not stand for the first part of a host, as in "*.example.com"`);
  }
  if (location === '' && !isWild) refuse('it has no location, which only a prefix such as "*.example.com" may lack');
  if (location.includes('*')) refuse('location has a "*"');
  const byDigest = read.flag('mirror-by-digest-only');
  for (const key of Object.keys(table)) if (!ruleKeys.has(key)) note(`key ${quote(key)} is unknown`);
  const mirrors = table.mirror ?? [];
  if (!Array.isArray(mirrors)) return refuse('mirror is not a list of tables: write [[registry.mirror]]');
  return {
    prefix,
    location,
    insecure: read.flag('insecure'),
    blocked: read.flag('blocked'),
    mirrors: mirrors.map((mirror: unknown, at) => {
      const wrong: Refuse = (why) => refuse(`mirror number ${at + 1}: ${why}`);
      return isJson(mirror) ? readMirror(mirror, { byDigest, note }, wrong) : wrong('it is not a table');
    }),
    file,
  };
}

function readMirror(table: Json, by: { byDigest: boolean; note: About['note'] }, refuse: Refuse): MirrorPlace {
  const read = reader(table, refuse);
  const location = read.place('location');
  if (location === '') refuse('it has no location');
  if (location.includes('*')) refuse('location has a "*"');
  const use = read.text('pull-from-mirror');
  if (!['', 'all', 'digest-only', 'tag-only'].includes(use)) {
    refuse('pull-from-mirror is none of "all", "digest-only" and "tag-only"');
  }
  if (by.byDigest && use !== '')
    refuse("pull-from-mirror and the registry's mirror-by-digest-only contradict each other");
  for (const key of Object.keys(table)) if (!mirrorKeys.has(key)) by.note(`key ${quote(key)} of a mirror is unknown`);
  const asked = use === '' ? 'all' : (use as MirrorUse);
  return { location, insecure: read.flag('insecure'), use: by.byDigest ? 'digest-only' : asked };
}

/** Typed access to a table's keys. */
function reader(table: Json, refuse: Refuse) {
  const text = (key: string): string => {
    const value = table[key] ?? '';
    return typeof value === 'string' ? value : refuse(`${key} is not a string`);
  };
  return {
    text,
    flag: (key: string): boolean => {
      const value = table[key] ?? false;
      return typeof value === 'boolean' ? value : refuse(`${key} is not true or false`);
    },
    /** A name's beginning: no scheme, no blank, no slash at the end. */
    place: (key: string): string => {
      const value = text(key).replace(/\/+$/, '');
      if (/^[a-z][a-z0-9+.-]*:\/\//i.test(value)) refuse(`${key} ${quote(value)} has a scheme: leave it out`);
      if (!/^[\x21-\x7e]*$/.test(value) || value.startsWith('/')) refuse(`${key} ${quote(value)} is not a name`);
      return value;
    },
  };
}
