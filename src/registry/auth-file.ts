// PURE
// The text of an auth.json (containers-auth.json(5)) or of Docker's config.json, and what it has for a repository.
// Must not read files or run programs. No message shows any part of the text: it is full of secrets.
import { failedPrecondition } from '../lib/failure.ts';
import { canonicalHost, type Credentials, decodeBasic, headerSafe } from './credentials.ts';

/** What of a file counts. */
export interface AuthFile {
  /** By `host[:port][/namespace…]`, hosts as `canonicalHost` writes them. */
  readonly auths: ReadonlyMap<string, Credentials>;
  /** `credHelpers`: by host, the program's name after `docker-credential-`, and the key as it was written. */
  readonly helpers: ReadonlyMap<string, Helper>;
  /** `credsStore`: the same for all other hosts, "" for none. */
  readonly store: string;
}

/** A credential helper and the name under which it knows a server. */
export interface Helper {
  readonly program: string;
  readonly server: string;
}

type Json = Readonly<Record<string, unknown>>;

const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const programName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,100}$/;

/** Reads a file. Throws failed-precondition naming the file and what is wrong, never what is in it. */
export function parseAuthFile(text: string, file: string): AuthFile {
  const refuse = (why: string): never => {
    throw failedPrecondition(`registry credentials file ${file} is not usable: ${why}`);
  };
  const whole = parseJson(text) ?? refuse('it is not a JSON object');
  const table = (key: string): Json => {
    const value = whole[key] ?? {};
    return isJson(value) ? value : refuse(`${key} is not an object`);
  };
  const store = whole.credsStore ?? '';
  if (typeof store !== 'string' || (store !== '' && !programName.test(store))) {
    return refuse('credsStore is not the name of a credential helper');
  }
  const auths = new Map<string, Credentials>();
  for (const [key, entry] of Object.entries(table('auths'))) {
    const credentials = isJson(entry) ? readEntry(entry) : null;
    if (credentials === null) return refuse(`the entry of auths for ${keyText(key)} is not readable`);
    // an entry without credentials says that a helper has them
    if (credentials.type !== 'anonymous') auths.set(canonicalKey(key), credentials);
  }
  const helpers = new Map<string, Helper>();
  for (const [key, program] of Object.entries(table('credHelpers'))) {
    if (typeof program !== 'string' || !programName.test(program)) {
      return refuse(`the helper of credHelpers for ${keyText(key)} is not the name of a credential helper`);
    }
    helpers.set(canonicalHost(key), { program, server: key });
  }
  return { auths, helpers, store };
}

/** What a file has for a repository of a host: a helper to ask, credentials, the store to ask, or nothing. */
export function findInFile(
  file: AuthFile,
  address: string,
  repository: string,
): { readonly helper: Helper | null; readonly credentials: Credentials | null } {
  const host = canonicalHost(address);
  const helper = file.helpers.get(host);
  if (helper) return { helper, credentials: null };
  const parts = repository.split('/');
  for (let count = parts.length; count >= 0; count -= 1) {
    const credentials = file.auths.get([host, ...parts.slice(0, count)].join('/'));
    if (credentials) return { helper: null, credentials };
  }
  // a store knows the Docker Hub by the name that docker login gives it
  const server = host === 'docker.io' ? 'https://index.docker.io/v1/' : host;
  return { helper: file.store === '' ? null : { program: file.store, server }, credentials: null };
}

function parseJson(text: string): Json | null {
  try {
    const value: unknown = JSON.parse(text);
    return isJson(value) ? value : null;
  } catch {
    return null; // the parser's own words have a piece of the text in them
  }
}

function readEntry(entry: Json): Credentials | null {
  const text = (key: string): string | null => {
    const value = entry[key] ?? '';
    return typeof value === 'string' ? value : null;
  };
  const [auth, username, password] = [text('auth'), text('username'), text('password')];
  const [identity, registry] = [text('identitytoken'), text('registrytoken')];
  if (auth === null || username === null || password === null || identity === null || registry === null) return null;
  if (registry !== '') return headerSafe(registry) ? { type: 'bearer', token: registry } : null;
  if (identity !== '') return { type: 'identity', token: identity };
  if (username !== '' || password !== '') return { type: 'basic', username, password };
  if (auth === '') return { type: 'anonymous' };
  const pair = decodeBasic(auth);
  return pair && { type: 'basic', ...pair };
}

/** Docker writes URLs (`https://index.docker.io/v1/`), others names with or without a namespace. */
function canonicalKey(key: string): string {
  const [, scheme = '', host = '', path = ''] = /^(https?:\/\/)?([^/]*)(.*)$/is.exec(key.trim()) ?? [];
  const namespace = path.replace(/\/+$/, '').replace(/^\/v[12]$/, '');
  return `${canonicalHost(`${scheme}${host}`)}${namespace}`;
}

/** A key for a message: it should be a host, and nothing long or strange is shown. */
const keyText = (key: string): string =>
  /^[\w./:[\]-]{1,100}$/.test(key) ? JSON.stringify(key) : 'a key that is no host';
