// PURE
// Whether the name that a signature was made for is that of the image that was asked for
// (containers-policy.json(5), "signedIdentity").
import { canonicalPlace } from '../lib/registry-host.ts';
import { isTable, onlyKeys, quoted, type Refuse, textOf } from './json.ts';
import { type ImageName, nameText, type ReadName } from './name.ts';

export type IdentityRule =
  | { readonly type: 'matchExact' | 'matchRepoDigestOrExact' | 'matchRepository' }
  | { readonly type: 'exactReference' | 'exactRepository'; readonly name: string }
  | { readonly type: 'remapIdentity'; readonly prefix: string; readonly signedPrefix: string };

const plain = ['matchExact', 'matchRepoDigestOrExact', 'matchRepository'] as const;
const named = { exactReference: 'dockerReference', exactRepository: 'dockerRepository' } as const;

/** Reads a signedIdentity; without one it is matchRepoDigestOrExact. */
export function readIdentity(value: unknown, refuse: Refuse): IdentityRule {
  if (value === undefined) return { type: 'matchRepoDigestOrExact' };
  if (!isTable(value)) return refuse('signedIdentity is not an object');
  const { type } = value;
  const simple = plain.find((one) => one === type);
  if (simple) {
    onlyKeys(value, ['type'], refuse);
    return { type: simple };
  }
  if (type === 'exactReference' || type === 'exactRepository') {
    const key = named[type];
    onlyKeys(value, ['type', key], refuse);
    return { type, name: textOf(value[key], key, refuse) };
  }
  if (type === 'remapIdentity') {
    onlyKeys(value, ['type', 'prefix', 'signedPrefix'], refuse);
    const prefix = textOf(value.prefix, 'prefix', refuse);
    return { type, prefix, signedPrefix: textOf(value.signedPrefix, 'signedPrefix', refuse) };
  }
  return refuse(`signedIdentity has the unknown type ${quoted(type)}`);
}

/** The name without what comes after the repository. */
const repositoryOf = (read: ReadName, text: string): string | null => read(text)?.repository ?? null;

/** Whether a text names tag or digest itself, rather than having `latest` put in. */
const isWhole = (text: string): boolean => text.includes('@') || /:[^/\]]+$/.test(text);

/**
 * Null if the signature's docker-reference fits the image asked for; else what is wrong. A signature of cosign names
 * only the repository, so that only rules about repositories can hold of it.
 */
export function identityMismatch(
  rule: IdentityRule,
  names: { readonly wanted: ImageName; readonly signed: string },
  read: ReadName,
): string | null {
  const { wanted, signed } = names;
  const target = read(signed);
  if (target === null) return `it is for ${JSON.stringify(signed.slice(0, 200))}, which is no reference`;
  const repository = (want: string | null): string | null =>
    target.repository === want ? null : `it is for ${target.repository}, not for ${want ?? 'any repository'}`;
  const exact = (want: ImageName): string | null => {
    if (!isWhole(signed)) {
      return (
        repository(want.repository) ??
        `it names only the repository ${signed}: signedIdentity matchRepository takes that`
      );
    }
    const same = target.repository === want.repository && target.tag === want.tag && target.digest === want.digest;
    return same ? null : `it is for ${signed}, not for ${nameText(want)}`;
  };
  switch (rule.type) {
    case 'matchRepository':
      return repository(wanted.repository);
    case 'matchExact':
      return exact(wanted);
    case 'matchRepoDigestOrExact':
      return wanted.digest === null ? exact(wanted) : repository(wanted.repository);
    case 'exactRepository':
      return repository(repositoryOf(read, rule.name));
    case 'exactReference': {
      const want = read(rule.name);
      return want === null ? `${rule.name} of the policy is no reference` : exact(want);
    }
    case 'remapIdentity':
      return remapped(rule, { wanted, signed }, read);
  }
}

function remapped(
  rule: { readonly prefix: string; readonly signedPrefix: string },
  { wanted, signed }: { readonly wanted: ImageName; readonly signed: string },
  read: ReadName,
): string | null {
  const { repository } = wanted;
  const prefix = canonicalPlace(rule.prefix);
  const inside = repository === prefix || repository.startsWith(`${prefix}/`);
  const moved = inside ? read(`${rule.signedPrefix}${nameText(wanted).slice(prefix.length)}`) : wanted;
  if (moved === null) return `${rule.signedPrefix} of the policy makes no reference`;
  return identityMismatch({ type: 'matchRepoDigestOrExact' }, { wanted: moved, signed }, read);
}
