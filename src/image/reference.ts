// PURE
// What the user wrote for an image: parsed and normalised as Docker and containerd do.
// Must not look anything up.
import { invalidArgument } from '../lib/failure.ts';
import { type Digest, isDigest } from '../lib/id.ts';
import { canonicalRegistry } from '../lib/registry-host.ts';

/** A normalised image reference. At least one of `tag` and `digest` is set. */
export interface Reference {
  /** Registry host as written, with its port if one was: `docker.io`, `[::1]:5000`. Rules see `canonicalName`. */
  readonly domain: string;
  /** Repository within the registry: `library/busybox`. */
  readonly path: string;
  readonly tag: string | null;
  readonly digest: Digest | null;
}

/** What may name an image that is already here: a reference, an id or a unique beginning of one, a digest. */
export interface ImageQuery {
  /** Null when the text cannot be a reference (an id, a bare digest). */
  readonly reference: Reference | null;
  /** Hex beginning of an id or of a manifest digest (4 to 64 digits), or null. */
  readonly hexPrefix: string | null;
}

const defaultDomain = 'docker.io';
const legacyDefaultDomain = 'index.docker.io';
const longestName = 255;
/** Shortest beginning of an id that is looked up: fewer digits are names. */
const shortestIdPrefix = 4;

const domainComponent = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const domainPattern = new RegExp(
  `^(?:${domainComponent}(?:\\.${domainComponent})*|\\[(?:[a-fA-F0-9:]+)\\])(?::[0-9]{1,5})?$`,
);
const pathPattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const hexPattern = /^[0-9a-f]+$/;

/** A text of any length for a message. */
const shown = (text: string): string => JSON.stringify(text.slice(0, 300));

/**
 * Parses and normalises a reference: `busybox` is `docker.io/library/busybox:latest`.
 * Throws invalid-argument naming what is wrong (grammar: distribution/reference).
 */
export function parseReference(text: string): Reference {
  const refuse = (why: string): never => {
    throw invalidArgument(`image reference ${shown(text)} is not valid: ${why}`);
  };
  if (text === '') refuse('it is empty');
  const at = text.indexOf('@');
  const digest = at < 0 ? null : text.slice(at + 1);
  if (digest !== null && !isDigest(digest))
    refuse('after "@" a digest "sha256:<64 lower-case hex digits>" is expected');
  const { name, tag } = splitTag(at < 0 ? text : text.slice(0, at));
  if (tag !== null && !tagPattern.test(tag)) refuse('the tag has characters that are not allowed, or is too long');
  if (name === '') refuse('it has no repository');
  if (/^[0-9a-f]{64}$/.test(name)) refuse('64 hex digits are an image id, not a repository');
  const { domain, path } = splitDomain(name);
  if (!domainPattern.test(domain) || !portInRange(domain)) refuse(`${shown(domain)} is not a registry host`);
  if (path !== path.toLowerCase()) refuse('the repository must be lower case');
  if (!pathPattern.test(path)) refuse(`${shown(path)} is not a repository`);
  if (domain.length + 1 + path.length > longestName) refuse(`host and repository are longer than ${longestName}`);
  return { domain, path, tag: tag ?? (digest === null ? 'latest' : null), digest: digest as Digest | null };
}

/** The last colon begins a tag only if no slash follows it (`localhost:5000/app`). */
function splitTag(text: string): { name: string; tag: string | null } {
  const colon = text.lastIndexOf(':');
  if (colon < 0 || text.indexOf('/', colon) >= 0 || text.indexOf(']', colon) >= 0) return { name: text, tag: null };
  return { name: text.slice(0, colon), tag: text.slice(colon + 1) };
}

/** A first part without dot, colon or upper case that is not `localhost` belongs to the repository. */
function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  const isHost = /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase();
  let domain = isHost ? first : defaultDomain;
  let path = isHost ? name.slice(slash + 1) : name;
  if (domain === legacyDefaultDomain) domain = defaultDomain;
  if (canonicalRegistry(domain) === defaultDomain && path !== '' && !path.includes('/')) path = `library/${path}`;
  return { domain, path };
}

function portInRange(domain: string): boolean {
  const port = /:([0-9]+)$/.exec(domain.replace(/^\[.*\]/, 'v6'))?.[1];
  return port === undefined || (Number(port) > 0 && Number(port) <= 65535);
}

/** `docker.io/library/busybox`. */
export const repositoryName = (reference: Reference): string => `${reference.domain}/${reference.path}`;

/** Host and `host/path` as rules see them, however the host was written: names that people see keep their writing. */
export function canonicalName({ domain, path }: Reference): { readonly host: string; readonly repository: string } {
  const host = canonicalRegistry(domain);
  return { host, repository: `${host}/${path}` };
}

/** The reference written out in full, with tag and digest as far as it has them. */
export const formatReference = (r: Reference): string =>
  `${repositoryName(r)}${r.tag === null ? '' : `:${r.tag}`}${r.digest === null ? '' : `@${r.digest}`}`;

/**
 * The name that a pull of this reference gives to an image, `repository:tag`, or null.
 * With a digest the tag is not used: nobody asked the registry what it points to (as containerd).
 */
export const repoTag = (r: Reference): string | null =>
  r.digest === null && r.tag !== null ? `${repositoryName(r)}:${r.tag}` : null;

/** `repository@digest`. */
export const repoDigest = (r: Reference, digest: Digest): string => `${repositoryName(r)}@${digest}`;

/**
 * Reads what names an image that is already here. Hex digits may be a short id as well as a repository;
 * the caller tries the reference first. Throws invalid-argument for text that can be neither.
 */
export function parseImageQuery(text: string): ImageQuery {
  const hex = text.startsWith('sha256:') ? text.slice(7) : text;
  const isHex = hexPattern.test(hex) && hex.length >= shortestIdPrefix && hex.length <= 64;
  if (text.startsWith('sha256:') && isHex) return { reference: null, hexPrefix: hex };
  if (isHex && hex.length === 64) return { reference: null, hexPrefix: hex };
  return { reference: parseReference(text), hexPrefix: isHex ? hex : null };
}
