// PURE
// Where a name is to be looked for: registries.conf turns one name into places in order.
// Must not know how a host is spoken to: hosts.ts.
import { failedPrecondition, permissionDenied } from '../lib/failure.ts';
import { canonicalPlace, canonicalRegistry } from '../lib/registry-host.ts';
import type { Place, RegistriesConf, RegistryRule } from './registries-conf.ts';

/** A name as its user wrote it, in full. */
export interface Name {
  /** `docker.io`, `127.0.0.1:5000`. */
  readonly host: string;
  /** `library/busybox`. */
  readonly path: string;
  readonly tag: string | null;
  readonly digest: string | null;
}

/** One place where it may be. */
export interface Location {
  readonly host: string;
  /** Repository at that host. */
  readonly repository: string;
  readonly insecure: boolean;
  /** Whether the caller takes any certificate of it, whatever the files say. */
  readonly skipVerify: boolean;
  /** Whether host and repository are those of the name. */
  readonly isNamed: boolean;
}

/** The places of a name in the order they are asked. Throws permission-denied for one that is blocked. */
export function locate(conf: RegistriesConf, name: Name): Location[] {
  const own: Location = { host: name.host, repository: name.path, insecure: false, skipVerify: false, isNamed: true };
  const rule = ruleFor(conf.rules, name);
  if (rule === null) return [own];
  if (rule.blocked) {
    const label = `${name.host}/${name.path}`;
    throw permissionDenied(`pulling ${label} is blocked by prefix ${JSON.stringify(rule.prefix)} of ${rule.file}`);
  }
  const use = name.digest === null ? 'tag-only' : 'digest-only';
  const mirrors = rule.mirrors.filter((mirror) => mirror.use === 'all' || mirror.use === use);
  return [...mirrors, rule].map((place) => rewrite(place, rule, name));
}

/** The rule with the longest prefix of a name, or null. */
export function ruleFor(rules: readonly RegistryRule[], name: Name): RegistryRule | null {
  const text = written(name);
  let best: RegistryRule | null = null;
  let longest = 0;
  for (const rule of rules) {
    const prefix = canonicalPlace(rule.prefix);
    if (matchedLength(text, prefix) === null || prefix.length <= longest) continue;
    best = rule;
    longest = prefix.length;
  }
  return best;
}

/** A name in full; its host in the one spelling that prefixes are held against. */
const written = ({ host, path, tag, digest }: Name): string =>
  `${canonicalRegistry(host)}/${path}${tag === null ? '' : `:${tag}`}${digest === null ? '' : `@${digest}`}`;

/** How much of a name a prefix covers, null if it does not match: it must end where a part of the name does. */
function matchedLength(text: string, prefix: string): number | null {
  let length = prefix.length;
  if (prefix.startsWith('*.')) {
    const [hostPart = '', ...rest] = prefix.slice(1).split('/');
    const host = text.slice(0, text.indexOf('/'));
    // the suffix may stand before the port; it must leave something for the star
    const bare = hostPart.includes(':') ? host : host.replace(/:[0-9]+$/, '');
    if (!bare.endsWith(hostPart) || bare.length <= hostPart.length) return null;
    if (rest.length > 0 && bare.length !== host.length) return null;
    const tail = rest.map((part) => `/${part}`).join('');
    if (!text.startsWith(tail, bare.length)) return null;
    length = bare.length + tail.length;
  } else if (!text.startsWith(prefix)) {
    return null;
  }
  return length === text.length || '/:@'.includes(text.charAt(length)) ? length : null;
}

function rewrite(place: Place, rule: RegistryRule, name: Name): Location {
  const { host, path } = name;
  const stays = place.location === '' || place.location === rule.prefix;
  if (stays) return { host, repository: path, insecure: place.insecure, skipVerify: false, isNamed: true };
  const text = `${canonicalRegistry(host)}/${path}`;
  const matched = Math.min(matchedLength(written(name), canonicalPlace(rule.prefix)) ?? 0, text.length);
  const moved = `${withoutTag(place.location)}${text.slice(matched)}`;
  const slash = moved.indexOf('/');
  if (slash <= 0 || slash === moved.length - 1) {
    throw failedPrecondition(
      `location ${JSON.stringify(place.location)} of prefix ${JSON.stringify(rule.prefix)} in ${rule.file} leaves no repository of ${text}`,
    );
  }
  return {
    host: moved.slice(0, slash).toLowerCase(),
    repository: moved.slice(slash + 1),
    insecure: place.insecure,
    skipVerify: false,
    isNamed: moved === text,
  };
}

/** A location may be a whole reference; what is asked for at it is the tag or digest of the name. */
const withoutTag = (location: string): string => location.replace(/@.*$/, '').replace(/(\/[^/:]*):[^/]*$/, '$1');
