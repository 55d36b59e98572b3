// Decides whether an image may be used in a namespace: policies, signatures, verifier programs put together.
// Must not fetch signatures or keep decisions: both are handed in and out.
import { createHash } from 'node:crypto';
import { failureChain } from '../lib/failure.ts';
import { identityMismatch } from './identity.ts';
import { type ImageName, nameText, type ReadName } from './name.ts';
import { type KeySource, type Requirement, rulingFor } from './policy.ts';
import {
  allPolicies,
  type NamedPolicy,
  policyOf,
  type PolicySettings,
  policyTrouble,
  readSmallFile,
} from './policy-files.ts';
import { isSignedBy, type PublicKey, readClaim, readPublicKey, type Signature } from './signature.ts';
import { judge, programsOf, type VerifierSubject } from './verifier.ts';

/** What is to be decided. */
export interface Question {
  /** Of the pod; null for none. */
  readonly namespace: string | null;
  /** What the image was asked for by; where that is an id, all its names, one of which must do. */
  readonly names: readonly ImageName[];
  /** What the reference points to: an index or the manifest. */
  readonly target: VerifierSubject['descriptor'];
  /** What references that the image was pulled by pointed to: a signature of any of them is one of the image. */
  readonly targetDigests: readonly string[];
  /** The manifest of this platform. */
  readonly manifestDigest: string;
  /** Null where none were ever looked for. */
  readonly signatures: readonly Signature[] | null;
  /** Verdicts of verifiers that were kept with the image. */
  readonly verdicts: readonly string[];
}

/** The answer. */
export interface Decision {
  readonly accepted: boolean;
  /** Policy and scope that decided, "" where no policy holds. */
  readonly by: string;
  /** Why not; "" if accepted. */
  readonly reason: string;
  /** Verdicts to keep with the image: with them the same question needs no verifier. */
  readonly verdicts: readonly string[];
}

export interface VerificationOptions {
  /** Read anew at each use. */
  readonly settings: () => PolicySettings;
  readonly readName: ReadName;
}

/** Port: the policies of this node. */
export interface Verification {
  /** Whether there is any policy. */
  isOn(): boolean;
  /** What is wrong with policies, a sentence for each that cannot be used. */
  trouble(): Promise<readonly string[]>;
  /** Whether signatures of an image must be had for this namespace, would be of use to another one, or neither. */
  signaturesOf(name: ImageName, namespace: string | null): Promise<'needed' | 'useful' | 'unused'>;
  /** Those signatures that a key of any policy made. */
  ownSignatures(signatures: readonly Signature[]): Promise<readonly Signature[]>;
  /** Decides; never throws for a policy, key or program that fails: that is a no. */
  decide(question: Question, signal: AbortSignal): Promise<Decision>;
}

/** Puts the room together. */
export function createVerification({ settings, readName }: VerificationOptions): Verification {
  const isOn = (): boolean => settings().policyFile !== '' || settings().policyDir !== '';
  return {
    isOn,
    trouble: () => policyTrouble(settings()),
    async signaturesOf(name, namespace) {
      if (!isOn()) return 'unused';
      const wants = (policy: NamedPolicy['policy']): boolean =>
        rulingFor(policy, name).requirements.some((one) => one.type === 'signed');
      const own = await policyOf(settings(), namespace).catch(() => null);
      if (own && wants(own.policy)) return 'needed';
      return (await allPolicies(settings())).some(wants) ? 'useful' : 'unused';
    },
    async ownSignatures(signatures) {
      const keys = await Promise.all(keysOf(await allPolicies(settings())).map(keyOf));
      return signatures.filter((one) => keys.some((key) => typeof key !== 'string' && isSignedBy(key, one)));
    },
    async decide(question, signal) {
      if (!isOn()) return { accepted: true, by: '', reason: '', verdicts: [] };
      let found: NamedPolicy | null;
      try {
        found = await policyOf(settings(), question.namespace);
      } catch (error) {
        return { accepted: false, by: '', reason: failureChain(error), verdicts: [] };
      }
      if (found === null) return { accepted: true, by: '', reason: '', verdicts: [] };
      return decideByNames({ question, found, readName }, signal);
    },
  };
}

/** The keys of all requirements of policies, each once. */
function keysOf(policies: readonly NamedPolicy['policy'][]): KeySource[] {
  const all = policies.flatMap(({ fallback, scopes }) => [fallback, ...scopes.values()].flat());
  const keys = all.flatMap((one) => (one.type === 'signed' ? one.keys : []));
  return [...new Map(keys.map((key) => [JSON.stringify(key), key])).values()];
}

interface Case {
  readonly question: Question;
  readonly found: NamedPolicy;
  readonly readName: ReadName;
}

async function decideByNames(at: Case, signal: AbortSignal): Promise<Decision> {
  const names = at.question.names.length === 0 ? [null] : at.question.names;
  let answer: Decision | null = null;
  for (const name of names) {
    answer = await decideByName(at, name, signal);
    if (answer.accepted) break;
  }
  return answer as Decision;
}

async function decideByName(at: Case, name: ImageName | null, signal: AbortSignal): Promise<Decision> {
  const { scope, requirements } = rulingFor(at.found.policy, name);
  const by = `${at.found.label} (${scope})`;
  const verdicts: string[] = [];
  for (const requirement of requirements) {
    const said = await check(requirement, { ...at, name }, signal);
    if (said.reason !== null) return { accepted: false, by, reason: said.reason, verdicts: [] };
    if (said.verdict !== null) verdicts.push(said.verdict);
  }
  return { accepted: true, by, reason: '', verdicts };
}

interface Said {
  /** Null if the requirement holds. */
  readonly reason: string | null;
  readonly verdict: string | null;
}

const holds: Said = { reason: null, verdict: null };
const no = (reason: string): Said => ({ reason, verdict: null });

async function check(
  requirement: Requirement,
  at: Case & { name: ImageName | null },
  signal: AbortSignal,
): Promise<Said> {
  switch (requirement.type) {
    case 'accept':
      return holds;
    case 'reject':
      return no('images of this scope are rejected');
    case 'unsupported':
      return no(`podwright does not check ${requirement.what}`);
    case 'signed': {
      const reason =
        at.name === null ? 'the image has no name to be signed for' : await checkSigned(requirement, at, at.name);
      return { reason, verdict: null };
    }
    case 'verifier':
      return askVerifier(requirement, at, signal);
  }
}

async function checkSigned(
  { keys, identity }: Extract<Requirement, { type: 'signed' }>,
  { question, readName }: Case,
  wanted: ImageName,
): Promise<string | null> {
  const { signatures, targetDigests, manifestDigest } = question;
  if (signatures === null) {
    return 'its signatures are not known here: they are looked for when it is pulled while a policy asks for them';
  }
  if (signatures.length === 0) return 'it has no signature';
  const read = await Promise.all(keys.map(keyOf));
  const usable = read.filter((key): key is PublicKey => typeof key !== 'string');
  const trouble = read.filter((key): key is string => typeof key === 'string');
  if (usable.length === 0) return trouble.join('; ');
  const reasons = new Set<string>();
  for (const signature of signatures) {
    if (!usable.some((key) => isSignedBy(key, signature))) {
      reasons.add('no key of the policy made its signature');
      continue;
    }
    const claim = readClaim(signature);
    if (typeof claim === 'string') reasons.add(claim);
    else if (![...targetDigests, manifestDigest].includes(claim.digest)) {
      reasons.add(`the signature is of ${claim.digest.slice(0, 80)}`);
    } else {
      const mismatch = identityMismatch(identity, { wanted, signed: claim.reference }, readName);
      if (mismatch === null) return null;
      reasons.add(`the signature does not fit: ${mismatch}`);
    }
  }
  return [...[...reasons].slice(0, 4), ...trouble].join('; ');
}

async function keyOf(source: KeySource): Promise<PublicKey | string> {
  if ('pem' in source) {
    const key = readPublicKey(source.pem);
    return typeof key === 'string' ? `key in the policy: ${key}` : key;
  }
  try {
    const text = await readSmallFile(source.path);
    const key = text === null ? 'it does not exist' : readPublicKey(text);
    return typeof key === 'string' ? `key ${source.path}: ${key}` : key;
  } catch (error) {
    return `key ${source.path}: ${failureChain(error)}`;
  }
}

async function askVerifier(
  { path, timeoutMs }: Extract<Requirement, { type: 'verifier' }>,
  { question, name }: Case & { name: ImageName | null },
  signal: AbortSignal,
): Promise<Said> {
  const text = name === null ? question.target.digest : nameText(name);
  const programs = await programsOf(path);
  if (typeof programs === 'string') return no(`a verifier refused it: ${programs}`);
  const keyOf = (digest: string): string => verdictKey([programs, text, digest]);
  const known = question.targetDigests.map(keyOf).find((one) => question.verdicts.includes(one));
  if (known !== undefined) return { reason: null, verdict: known };
  const { ok, reason } = await judge({ path, timeoutMs }, { name: text, descriptor: question.target }, signal);
  return ok ? { reason: null, verdict: keyOf(question.target.digest) } : no(`a verifier refused it: ${reason}`);
}

/** What is remembered of a yes: which programs, as they were then, said it of which image. */
const verdictKey = (parts: readonly unknown[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
