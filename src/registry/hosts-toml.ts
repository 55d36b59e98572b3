// PURE
// The text of a hosts.toml, containerd's format, as a value (containerd docs/hosts.md).
// Must not read files. Unknown keys are refused: a misspelt one would silently change where images come from.
import { parse, TomlError } from 'smol-toml';
import { failedPrecondition } from '../lib/failure.ts';

/** What a host may be asked for. Referrers are read, but nobody asks for them. */
export type Capability = 'pull' | 'resolve' | 'push' | 'referrers';

/** A certificate of ours and its key: the same file where it holds both. */
export interface ClientFiles {
  readonly cert: string;
  readonly key: string;
}

/** The settings of one host in the file. File names as written. */
export interface HostEntry {
  /** `https://host[:port][/path]`. */
  readonly url: string;
  readonly capabilities: readonly Capability[];
  readonly ca: readonly string[];
  /** Certificates of ours, to be tried in their order. */
  readonly clients: readonly ClientFiles[];
  readonly skipVerify: boolean;
  readonly overridePath: boolean;
  readonly headers: readonly (readonly [string, string])[];
  readonly dialTimeoutMs: number | null;
  /** Ours: who this host's credentials come from. */
  readonly credentialsFrom: 'none' | 'origin';
  /** Ours: a proxy for this host; "" for none, null for the environment's. */
  readonly proxy: string | null;
}

/** A hosts.toml: mirrors in the order they are tried, then the server. */
export interface HostsFile {
  readonly mirrors: readonly HostEntry[];
  /** Null: the registry by its own name. Its `url` is "" if only its settings are given. */
  readonly server: HostEntry | null;
}

type Json = Readonly<Record<string, unknown>>;
type Refuse = (why: string) => never;

const hostKeys = new Set([
  'capabilities',
  'ca',
  'client',
  'skip_verify',
  'override_path',
  'header',
  'dial_timeout',
  'credentials_from',
  'proxy',
]);

const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Reads a hosts.toml. Throws failed-precondition naming the file and what is wrong. */
export function parseHostsFile(text: string, file: string): HostsFile {
  const refuse: Refuse = (why) => {
    throw failedPrecondition(`registry hosts file ${file} is not usable: ${why}`);
  };
  let whole: Json;
  try {
    whole = parse(text);
  } catch (error) {
    if (error instanceof TomlError) refuse(`line ${error.line}: ${error.message.split('\n')[0]}`);
    throw error;
  }
  const { server, host, ...settings } = whole;
  if (server !== undefined && typeof server !== 'string') refuse('server is not a string');
  if (host !== undefined && !isJson(host)) refuse('host is not a table');
  const url = typeof server === 'string' ? server : '';
  const hasServer = url !== '' || Object.keys(settings).length > 0;
  const mirrors = Object.entries((host ?? {}) as Json).map(([name, table]) =>
    isJson(table) ? readEntry(name, table, refuse) : refuse(`host.${JSON.stringify(name)} is not a table`),
  );
  return { mirrors, server: hasServer ? readEntry(url, settings, refuse) : null };
}

function readEntry(url: string, table: Json, refuseFile: Refuse): HostEntry {
  const where = url === '' ? 'the server' : JSON.stringify(url);
  const refuse: Refuse = (why) => refuseFile(`${where}: ${why}`);
  const unknown = Object.keys(table).find((key) => !hostKeys.has(key));
  if (unknown !== undefined) refuse(`key ${JSON.stringify(unknown)} is unknown`);
  const flag = (key: string): boolean => {
    const value = table[key] ?? false;
    return typeof value === 'boolean' ? value : refuse(`${key} is not true or false`);
  };
  const from = table.credentials_from ?? 'none';
  if (from !== 'none' && from !== 'origin') refuse('credentials_from is neither "none" nor "origin"');
  return {
    url,
    capabilities: readCapabilities(table.capabilities, refuse),
    ca: readStrings(table.ca, 'ca', refuse),
    clients: readClients(table.client, refuse),
    skipVerify: flag('skip_verify'),
    overridePath: flag('override_path'),
    headers: readHeaders(table.header, refuse),
    dialTimeoutMs: table.dial_timeout === undefined ? null : readDuration(table.dial_timeout, refuse),
    credentialsFrom: from as 'none' | 'origin',
    proxy: readProxy(table.proxy, refuse),
  };
}

function readStrings(value: unknown, key: string, refuse: Refuse): string[] {
  if (value === undefined) return [];
  if (typeof value === 'string') return [value];
  if (Array.isArray(value) && value.every((v) => typeof v === 'string')) return value;
  return refuse(`${key} is neither a string nor a list of strings`);
}

const capabilities: readonly string[] = ['pull', 'resolve', 'push', 'referrers'] satisfies Capability[];
const mostClients = 8;

function readCapabilities(value: unknown, refuse: Refuse): HostEntry['capabilities'] {
  if (value === undefined) return ['pull', 'resolve', 'push'];
  const names = readStrings(value, 'capabilities', refuse);
  const strange = names.find((name) => !capabilities.includes(name));
  if (strange !== undefined) refuse(`capability ${JSON.stringify(strange)} is unknown`);
  return names as HostEntry['capabilities'];
}

/** `"file with both"`, `["one with both", "another"]` or `[["cert", "key"], ["file with both", ""]]`. */
function readClients(value: unknown, refuse: Refuse): ClientFiles[] {
  if (value === undefined) return [];
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (list.length > mostClients) refuse(`client names more than ${mostClients} certificates`);
  return list.map((one) => {
    const [cert, key = '', ...more] = Array.isArray(one) ? (one as unknown[]) : [one];
    if (typeof cert !== 'string' || cert === '') return refuse('client has no certificate file');
    if (typeof key !== 'string' || more.length > 0) return refuse('client is not "file" nor [["cert", "key"]]');
    return { cert, key: key === '' ? cert : key };
  });
}

/** An HTTP proxy, "" for none at all, null for the environment's. */
function readProxy(value: unknown, refuse: Refuse): string | null {
  if (value === undefined) return null;
  if (typeof value !== 'string') return refuse('proxy is not a string');
  if (value === '') return '';
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`);
  if (url === null || url.hostname === '') return refuse('proxy is not a URL');
  if (!/^https?:$/.test(url.protocol))
    return refuse(`proxy has scheme ${url.protocol.slice(0, -1)}: only http and https are spoken`);
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '')
    return refuse('proxy has more than scheme, host and port');
  return value;
}

function readHeaders(value: unknown, refuse: Refuse): [string, string][] {
  if (value === undefined) return [];
  if (!isJson(value)) return refuse('header is not a table');
  return Object.entries(value).flatMap(([name, values]) => {
    if (!/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(name)) refuse(`header ${JSON.stringify(name)} is not a header's name`);
    return readStrings(values, `header ${name}`, refuse).map((text): [string, string] => {
      if (!/^[\x20-\x7e]*$/.test(text)) refuse(`header ${name} has characters that no header may have`);
      return [name, text];
    });
  });
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A duration as Go writes it ("30s", "1m30s"), or nanoseconds as a number. */
function readDuration(value: unknown, refuse: Refuse): number {
  if (typeof value === 'number' && value > 0) return Math.max(1, Math.round(value / 1e6));
  if (typeof value !== 'string' || !/^(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))+$/.test(value)) {
    return refuse('dial_timeout is not a duration such as "10s"');
  }
  let total = 0;
  for (const [, count, unit] of value.matchAll(/([0-9.]+)(ms|s|m|h)/g))
    total += Number(count) * (unitMs[unit ?? ''] ?? 0);
  return Math.max(1, Math.round(total));
}
