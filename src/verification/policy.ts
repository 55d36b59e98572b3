// PURE
// Who may bring which image: policies in the format of containers-policy.json(5), and which requirements hold for a name.
// Must not read files, ask registries or run programs.
import { failedPrecondition } from '../lib/failure.ts';
import { canonicalPlace } from '../lib/registry-host.ts';
import { type IdentityRule, readIdentity } from './identity.ts';
import { isTable, onlyKeys, quoted, type Refuse, type Table, textOf } from './json.ts';
import { type ImageName, nameText } from './name.ts';

/** Where a public key is: a PEM file, or the PEM text itself. */
export type KeySource = { readonly path: string } | { readonly pem: string };

/** One thing that must hold of an image. */
export type Requirement =
  | { readonly type: 'accept' }
  | { readonly type: 'reject' }
  /** A kind that podwright does not check: whatever it applies to is rejected, naming it. */
  | { readonly type: 'unsupported'; readonly what: string }
  /** A signature of one of the keys (cosign, sigstore with keys). */
  | { readonly type: 'signed'; readonly keys: readonly KeySource[]; readonly identity: IdentityRule }
  /** A program, or all programs of a directory, must agree. */
  | { readonly type: 'verifier'; readonly path: string; readonly timeoutMs: number };

/** One policy file. All requirements of a list must hold. */
export interface Policy {
  readonly fallback: readonly Requirement[];
  /** By scope of the transport "docker"; "" is for every registry. */
  readonly scopes: ReadonlyMap<string, readonly Requirement[]>;
}

/** Requirements and where in the policy they stand. */
export interface Ruling {
  readonly scope: string;
  readonly requirements: readonly Requirement[];
}

const mostKeys = 32;
const longestTimeoutSeconds = 600;
const usualTimeoutSeconds = 10;

/**
 * Reads a policy. `label` names it in failures. Throws failed-precondition for anything that is not understood: a
 * policy with a slip of the pen must not let images in.
 */
export function parsePolicy(text: string, label: string): Policy {
  const refuse: Refuse = (why) => {
    throw failedPrecondition(`image policy ${label} is not usable: ${why}`);
  };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    refuse('it is not JSON');
  }
  if (!isTable(json)) return refuse('it is not a JSON object');
  onlyKeys(json, ['default', 'transports'], refuse);
  const fallback = readRequirements(json.default, 'default', refuse);
  const transports = json.transports ?? {};
  if (!isTable(transports)) return refuse('transports is not an object');
  const docker = transports.docker ?? {};
  if (!isTable(docker)) return refuse('transports.docker is not an object');
  return { fallback, scopes: readScopes(docker, refuse) };
}

/** Scopes by the one spelling of their host; two that are the same must not contradict each other. */
function readScopes(docker: Table, refuse: Refuse): Policy['scopes'] {
  const scopes = new Map<string, readonly Requirement[]>();
  for (const [written, list] of Object.entries(docker)) {
    const requirements = readRequirements(list, `scope ${quoted(written)}`, refuse);
    const scope = canonicalPlace(written);
    const before = scopes.get(scope);
    if (before && JSON.stringify(before) !== JSON.stringify(requirements))
      refuse(`scope ${quoted(scope)} is there twice, differently written and with different requirements`);
    scopes.set(scope, requirements);
  }
  return scopes;
}

function readRequirements(value: unknown, where: string, refuse: Refuse): readonly Requirement[] {
  if (!Array.isArray(value) || value.length === 0) return refuse(`${where} is not a list of at least one requirement`);
  return value.map((one: unknown, at) => readRequirement(one, (why) => refuse(`${where}[${at}]: ${why}`)));
}

function readRequirement(value: unknown, refuse: Refuse): Requirement {
  if (!isTable(value)) return refuse('it is not an object');
  switch (value.type) {
    case 'insecureAcceptAnything':
      onlyKeys(value, ['type'], refuse);
      return { type: 'accept' };
    case 'reject':
      onlyKeys(value, ['type'], refuse);
      return { type: 'reject' };
    case 'sigstoreSigned':
      return readSigned(value, refuse);
    case 'podwrightVerifier':
      return readVerifier(value, refuse);
    case 'signedBy':
      return { type: 'unsupported', what: 'signedBy (GPG signatures)' };
    default:
      return refuse(`unknown type ${quoted(value.type)}`);
  }
}

const keyFields = ['keyPath', 'keyPaths', 'keyData', 'keyDatas'];
const otherTrust = [
  'fulcio',
  'pki',
  'rekorPublicKeyPath',
  'rekorPublicKeyPaths',
  'rekorPublicKeyData',
  'rekorPublicKeyDatas',
];

function readSigned(value: Table, refuse: Refuse): Requirement {
  onlyKeys(value, ['type', 'signedIdentity', ...keyFields, ...otherTrust], refuse);
  const identity = readIdentity(value.signedIdentity, refuse);
  const foreign = otherTrust.find((key) => key in value);
  if (foreign !== undefined) return { type: 'unsupported', what: `sigstoreSigned with ${foreign}` };
  const given = keyFields.filter((key) => key in value);
  const [field] = given;
  if (field === undefined || given.length > 1) return refuse(`exactly one of ${keyFields.join(', ')} is needed`);
  const raw = value[field];
  const items: readonly unknown[] = Array.isArray(raw) ? raw : [raw];
  if (Array.isArray(raw) !== field.endsWith('s') || items.length === 0 || items.length > mostKeys)
    refuse(`${field} is not ${field.endsWith('s') ? `a list of 1 to ${mostKeys} texts` : 'a text'}`);
  const keys = items.map((one) => readKey(textOf(one, field, refuse), field, refuse));
  return { type: 'signed', keys, identity };
}

function readKey(text: string, field: string, refuse: Refuse): KeySource {
  if (field.startsWith('keyPath')) return text.startsWith('/') ? { path: text } : refuse(`${field} is not absolute`);
  return { pem: Buffer.from(text, 'base64').toString('utf8') };
}

function readVerifier(value: Table, refuse: Refuse): Requirement {
  onlyKeys(value, ['type', 'path', 'timeoutSeconds'], refuse);
  const { path, timeoutSeconds = usualTimeoutSeconds } = value;
  if (typeof path !== 'string' || !path.startsWith('/')) return refuse('path is not absolute');
  if (typeof timeoutSeconds !== 'number' || !(timeoutSeconds > 0 && timeoutSeconds <= longestTimeoutSeconds))
    return refuse(`timeoutSeconds is not a number up to ${longestTimeoutSeconds}`);
  return { type: 'verifier', path, timeoutMs: timeoutSeconds * 1000 };
}

/** The scopes that a name is in, narrowest first (containers-policy.json(5), "docker:"). */
export function scopesOf(name: ImageName): readonly string[] {
  const { host, repository } = name;
  const parts = repository.split('/');
  const prefixes = parts.map((_, at) => parts.slice(0, parts.length - at).join('/'));
  // a star stands for hosts at any port, as with containers/image
  const labels = host.startsWith('[')
    ? []
    : host
        .replace(/:[0-9]+$/, '')
        .split('.')
        .slice(1);
  const wild = labels.map((_, at) => `*.${labels.slice(at).join('.')}`);
  return [nameText(name), ...prefixes, ...wild, ''];
}

/** What holds for a name; for an image without one, what holds for everything. */
export function rulingFor(policy: Policy, name: ImageName | null): Ruling {
  for (const scope of name === null ? [] : scopesOf(name)) {
    const requirements = policy.scopes.get(scope);
    if (requirements) return { scope: scope === '' ? 'docker' : scope, requirements };
  }
  return { scope: 'default', requirements: policy.fallback };
}
