// Holds images against the policies: before anything of one is unpacked, and again when a container is made from it.
// Must not know policies: verification decides, this brings what it decides on.
import { Failure, failureChain, notFound, signatureValidationFailed } from '../lib/failure.ts';
import { type Digest, isDigest } from '../lib/id.ts';
import { mediaTypes } from '../registry/manifest.ts';
import type { Repository } from '../registry/repository.ts';
import type { ImageName } from '../verification/name.ts';
import type { Decision } from '../verification/verification.ts';
import type { ImageProof, ImageRecord } from './image.ts';
import type { ImageContext, PullRequest } from './ports.ts';
import { canonicalName, parseReference, type Reference } from './reference.ts';

/** An image that is to be pulled, or of which a name is to be noted. */
export interface PullSubject {
  readonly reference: Reference;
  readonly label: string;
  readonly request: Pick<PullRequest, 'namespace'>;
  readonly repository: Repository;
  /** What the reference points to. */
  readonly target: TargetDocument;
  readonly manifestDigest: Digest;
  /** What an image that is here was held against before. */
  readonly before: ImageProof | null;
}

/** An index or manifest by its descriptor. */
export interface TargetDocument {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: { readonly length: number };
}

/** An image that a container is to be made from. */
export interface ImageUse {
  readonly namespace: string;
  readonly imageId: string;
  /** What the pod's author wrote (CRI user_specified_image), or "". */
  readonly userSpecified: string;
  /** What the caller named it by. */
  readonly requested: string;
}

/** Most of one image's proof that is kept: a record is read whole at each start. */
const longestProof = 128 * 1024;
const mostVerdicts = 64;

/** A reference for a policy. */
const nameOf = (reference: Reference): ImageName => ({
  ...canonicalName(reference),
  tag: reference.digest === null ? reference.tag : null,
  digest: reference.digest,
});

/** Reads a name that a policy or a signature has; null for what is none. */
export function readImageName(text: string): ImageName | null {
  try {
    return nameOf(parseReference(text));
  } catch {
    return null;
  }
}

/** What a record's target is, from the document that is kept. */
export async function targetOf(ctx: ImageContext, record: ImageRecord): Promise<TargetDocument> {
  const digest = record.targetDigest;
  const bytes = (await ctx.storage.content.read(digest)) ?? Buffer.alloc(0);
  const mediaType = digest === record.manifestDigest ? record.mediaType : (typeIn(bytes) ?? mediaTypes.ociIndex);
  return { digest, mediaType, bytes };
}

function typeIn(bytes: Buffer): string | null {
  try {
    const { mediaType } = JSON.parse(bytes.toString('utf8')) as { mediaType?: unknown };
    return typeof mediaType === 'string' ? mediaType : null;
  } catch {
    return null;
  }
}

/**
 * Decides on a pull; returns what is to be kept of it with the image, null where there is no policy. Throws
 * signature-validation-failed for a no, and what the registry failed with where signatures are needed.
 */
export async function admitPull(
  ctx: ImageContext,
  subject: PullSubject,
  signal: AbortSignal,
): Promise<ImageProof | null> {
  const { verification } = ctx;
  if (!verification.isOn()) return null;
  const { target, manifestDigest, request, before } = subject;
  const signatures = await signaturesFor(ctx, subject, signal);
  const decision = await verification.decide(
    {
      namespace: request.namespace,
      names: [nameOf(subject.reference)],
      target: descriptorOf(target),
      targetDigests: [target.digest],
      manifestDigest,
      signatures,
      verdicts: before?.verdicts ?? [],
    },
    signal,
  );
  settle(ctx, decision, { at: 'pull', image: subject.label, namespace: request.namespace });
  return { signatures, verdicts: decision.verdicts };
}

const descriptorOf = ({ digest, mediaType, bytes }: TargetDocument) => ({ digest, mediaType, size: bytes.length });

/** Signatures of the index and of the manifest, as far as a policy cares; null: nobody looked. */
async function signaturesFor(
  ctx: ImageContext,
  { repository, reference, target, manifestDigest, request, label }: PullSubject,
  signal: AbortSignal,
): Promise<ImageProof['signatures']> {
  const use = await ctx.verification.signaturesOf(nameOf(reference), request.namespace);
  if (use === 'unused') return null;
  try {
    const lists: Awaited<ReturnType<Repository['signatures']>>[] = [];
    for (const digest of new Set([target.digest, manifestDigest]))
      lists.push(await repository.signatures(digest, signal));
    return lists.flat();
  } catch (error) {
    if (use === 'needed' || !(error instanceof Failure)) throw error;
    signal.throwIfAborted();
    ctx.log.warn(
      { image: label, error: failureChain(error) },
      'signatures could not be had; namespaces whose policy wants them cannot use the image until it is pulled again',
    );
    return null;
  }
}

interface Judged {
  readonly at: 'pull' | 'create';
  readonly image: string;
  readonly namespace: string | null;
}

function settle(ctx: ImageContext, { accepted, by, reason }: Decision, judged: Judged): void {
  if (accepted && by === '') return;
  ctx.onVerdict({ at: judged.at, accepted });
  if (accepted) {
    ctx.log.debug({ ...judged, by }, 'image accepted by policy');
    return;
  }
  ctx.log.warn({ ...judged, by, reason }, 'image rejected by policy');
  const policy = by === '' ? '' : ` by policy ${by}`;
  const where = judged.namespace === null ? '' : ` in namespace ${judged.namespace}`;
  throw signatureValidationFailed(`image ${judged.image} is not allowed${where}${policy}: ${reason}`);
}

/**
 * Decides on a container's image by what was kept of its pull: no registry is asked. Throws
 * signature-validation-failed for a no, not-found for an image that was removed.
 */
export async function admitUse(ctx: ImageContext, use: ImageUse, signal: AbortSignal): Promise<void> {
  if (!ctx.verification.isOn()) return;
  const record = ctx.records.get(use.imageId);
  // its layers may be held all the same: what cannot be judged is not let in
  if (!record) throw notFound(`image ${use.userSpecified || use.requested} was removed meanwhile: pull it again`);
  const target = await targetOf(ctx, record);
  const proof = record.proof ?? null;
  const decision = await ctx.verification.decide(
    {
      namespace: use.namespace,
      names: namesOfUse(record, use),
      target: descriptorOf(target),
      targetDigests: targetsOf(record),
      manifestDigest: record.manifestDigest,
      signatures: proof?.signatures ?? null,
      verdicts: proof?.verdicts ?? [],
    },
    signal,
  );
  settle(ctx, decision, { at: 'create', image: use.userSpecified || use.requested, namespace: use.namespace });
  await keepVerdicts(ctx, record, decision.verdicts);
}

/** What the references it was pulled by pointed to, the latest first: pulling it by another index takes none away. */
const targetsOf = ({ targetDigest, repoDigests }: ImageRecord): string[] => [
  ...new Set([targetDigest as string, ...repoDigests.map((name) => name.slice(name.indexOf('@') + 1))]),
];

/** The name that was asked for, if the image has been pulled from that repository; else all that it has. */
function namesOfUse(record: ImageRecord, { userSpecified, requested }: ImageUse): ImageName[] {
  const own = [...record.repoTags, ...record.repoDigests].flatMap((text) => readImageName(text) ?? []);
  const known = new Set(own.map((name) => name.repository));
  const asked = [userSpecified, requested].flatMap((text) => (isDigest(text) ? [] : (readImageName(text) ?? [])));
  const named = asked.find((name) => known.has(name.repository));
  return named ? [named] : own;
}

async function keepVerdicts(ctx: ImageContext, record: ImageRecord, verdicts: readonly string[]): Promise<void> {
  if (verdicts.every((verdict) => record.proof?.verdicts.includes(verdict))) return;
  await ctx.lock.run('images', new AbortController().signal, async () => {
    const now = ctx.records.get(record.id);
    if (!now) return;
    const proof = await joinProofs(ctx, { signatures: null, verdicts }, now.proof ?? null);
    await ctx.records.put({ ...now, proof });
  });
}

/** Both proofs of one image as one, the newer first, as much as may be kept. */
export async function joinProofs(
  ctx: Pick<ImageContext, 'verification'>,
  newer: ImageProof | null,
  older: ImageProof | null,
): Promise<ImageProof | null> {
  if (newer === null) return older;
  const all = [...(newer.signatures ?? []), ...(older?.signatures ?? [])];
  const signatures = [...new Map(all.map((one) => [`${one.signature} ${one.payload}`, one])).values()];
  const looked = newer.signatures !== null || (older?.signatures ?? null) !== null;
  return {
    signatures: looked ? await bounded(ctx, signatures) : null,
    verdicts: [...new Set([...newer.verdicts, ...(older?.verdicts ?? [])])].slice(0, mostVerdicts),
  };
}

type Signatures = NonNullable<ImageProof['signatures']>;

const sizeOf = ({ payload, signature }: Signatures[number]): number => payload.length + signature.length;

/**
 * As many signatures as there is room for. Anybody may put some beside an image that a namespace lets in unseen: those
 * that a key of a policy made come first, the small ones before the large ones.
 */
async function bounded(ctx: Pick<ImageContext, 'verification'>, signatures: Signatures): Promise<Signatures> {
  if (signatures.reduce((sum, one) => sum + sizeOf(one), 0) <= longestProof) return signatures;
  const own = new Set(await ctx.verification.ownSignatures(signatures));
  const ranked = [...[...own].sort((a, b) => sizeOf(a) - sizeOf(b)), ...signatures.filter((one) => !own.has(one))];
  let room = longestProof;
  const kept: Signatures[number][] = [];
  for (const one of ranked) {
    if (sizeOf(one) > room) continue;
    kept.push(one);
    room -= sizeOf(one);
  }
  return kept;
}
