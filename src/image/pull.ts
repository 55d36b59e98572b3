// PullImage: a reference becomes an image that is complete here.
// Must not move bytes or know HTTP: the registry and the storage do.
import { createHash } from 'node:crypto';
import { Failure, type FailureKind, failedPrecondition, failureChain, notFound } from '../lib/failure.ts';
import { type Digest, digestHex, type ImageId } from '../lib/id.ts';
import { isFor, platformText } from '../registry/platform.ts';
import type { Repository, ResolvedImage } from '../registry/repository.ts';
import type { Layer, LayerSource } from '../storage/layers.ts';
import type { LayerBlob } from '../storage/ports.ts';
import { buildArtifact } from './artifact.ts';
import { eachBounded } from './bounded.ts';
import { commitImage, imageLayer, nameImage, type Names } from './commit.ts';
import { blobsOf } from './garbage.ts';
import { chainIds, findImage, type ImageLayer, type ImageProof, type ImageRecord } from './image.ts';
import { type ParsedConfig, parseImageConfig } from './image-config.ts';
import type { ImageContext, PullRequest } from './ports.ts';
import { PullProgress } from './progress.ts';
import { tellProgress } from './progress-log.ts';
import { formatReference, parseReference, type Reference, repoDigest, repoTag } from './reference.ts';
import { admitPull, targetOf } from './verify.ts';

/** One pull under way. */
interface Pull {
  readonly reference: Reference;
  readonly label: string;
  readonly request: PullRequest;
  readonly progress: PullProgress;
}

/**
 * Pulls an image and returns its id. Calls for the same reference with the same credentials share one
 * pull; an image that is here is asked for at its registry all the same, with the caller's credentials.
 * Throws not-found, permission-denied, registry-unavailable, resource-exhausted, failed-precondition (bad
 * content), unimplemented (not an image), invalid-argument (bad reference).
 */
export async function pull(ctx: ImageContext, request: PullRequest, signal: AbortSignal): Promise<ImageId> {
  const reference = parseReference(request.reference);
  const label = formatReference(reference);
  const key = callerKey(request, ctx.verification.isOn() ? request.namespace : null);
  return ctx.flights.run(`${label} ${key}`, signal, async (own) => {
    const progress = new PullProgress(label, ctx.clock.now());
    ctx.active.add(progress);
    const toldEnough = tellProgress(progress, { ...ctx, running: () => ctx.storage.progress() });
    try {
      const record = await pullOnce(ctx, { reference, label, request, progress }, own);
      report(ctx, progress, 'ok');
      ctx.log.info({ image: label, id: record.id, bytes: progress.bytes }, 'image pulled');
      return record.id;
    } catch (error) {
      const failure = named(error, label);
      report(ctx, progress, failure instanceof Failure ? failure.kind : 'internal');
      ctx.sweeper.scheduleForRetry();
      throw failure;
    } finally {
      toldEnough();
      ctx.active.delete(progress);
    }
  });
}

/**
 * Callers with other credentials must prove themselves, and namespaces may have policies of their own: the key tells
 * them apart without showing a secret.
 */
const callerKey = (request: PullRequest, namespace: string | null): string =>
  createHash('sha256')
    .update(
      JSON.stringify([
        request.auth,
        request.authFile,
        request.skipVerify,
        request.platform,
        request.runtimeHandler,
        request.userSpecifiedImage,
        request.annotations,
        namespace,
      ]),
    )
    .digest('hex');

function report(ctx: ImageContext, progress: PullProgress, outcome: 'ok' | FailureKind): void {
  const durationMs = Number(ctx.clock.now() - progress.startedAt) / 1e6;
  ctx.onPull({ reference: progress.reference, outcome, durationMs, bytes: progress.bytes });
}

/** A failure that says which image it is about. */
function named(error: unknown, label: string): unknown {
  if (!(error instanceof Failure) || failureChain(error).includes(label)) return error;
  return new Failure(error.kind, `pull image ${label}`, { cause: error, details: error.details });
}

async function pullOnce(ctx: ImageContext, job: Pull, signal: AbortSignal): Promise<ImageRecord> {
  const { reference, label, request } = job;
  const repository = await ctx.registry.open({
    host: reference.domain,
    path: reference.path,
    tag: reference.tag,
    digest: reference.digest,
    label,
    auth: request.auth,
    authFile: request.authFile,
    skipVerify: request.skipVerify,
  });
  const known = findImage(ctx.records.list(), label);
  if (known && isComplete(ctx, known) && suits(ctx, known, request)) {
    const digest = await repository.probe(signal);
    const kept = digest === known.targetDigest ? await keepKnown(ctx, { known, job, repository }, signal) : null;
    if (kept !== null) return kept;
  }
  const resolved = await repository.resolve(request.platform ?? ctx.platform, signal);
  const subject = { target: resolved.target, manifestDigest: resolved.manifest.digest };
  const proof = await admitPull(ctx, { ...job, ...subject, repository, before: null }, signal);
  const names = namesOf(job, { target: resolved.target.digest, manifest: resolved.manifest.digest }, proof);
  const { platform } = request;
  const same = ctx.records
    .list()
    .find((r) => r.manifestDigest === resolved.manifest.digest && (platform === null || isFor(platform, r.platform)));
  const kept = same ? await keepAs(ctx, same, { names, target: resolved.target }) : null;
  if (kept !== null) return kept;
  const make = resolved.manifest.artifactType === null ? build : buildArtifact;
  return make(ctx, { ...job, repository, resolved, names }, signal);
}

interface Known {
  readonly known: ImageRecord;
  readonly job: Pull;
  readonly repository: Repository;
}

/** Keeps an image that is here and that the reference still points to, if the policy allows it. */
async function keepKnown(ctx: ImageContext, { known, job, repository }: Known, signal: AbortSignal) {
  const target = await targetOf(ctx, known);
  const { manifestDigest, proof: before = null } = known;
  const proof = await admitPull(ctx, { ...job, target, manifestDigest, repository, before }, signal);
  return keepAs(ctx, known, {
    names: namesOf(job, { target: known.targetDigest, manifest: manifestDigest }, proof),
    target: null,
  });
}

interface Keep {
  readonly names: Names;
  /** What the reference points to now, null if that is known. */
  readonly target: ResolvedImage['target'] | null;
}

/** Names an image that is here, if all of it still is when nobody can take it any more. */
async function keepAs(ctx: ImageContext, image: ImageRecord, as: Keep): Promise<ImageRecord | null> {
  const { names, target } = as;
  const targetDigest = target?.digest ?? image.targetDigest;
  const release = ctx.leases.hold([...image.chain, ...blobsOf(image), targetDigest]);
  try {
    if (!isComplete(ctx, image)) return null;
    if (target) await ctx.storage.content.put(target.digest, target.bytes);
    return await nameImage(ctx, { ...image, targetDigest }, names);
  } finally {
    release();
  }
}

/** Whether all of an image is still here, the compressed layers too if they are to be kept, or its record says they are. */
const isComplete = (ctx: ImageContext, record: ImageRecord): boolean =>
  record.chain.every((id) => ctx.storage.layers.has(id)) &&
  ctx.storage.content.has(record.manifestDigest) &&
  (Boolean(record.artifact) || ctx.storage.content.has(record.id as string as Digest)) &&
  ctx.storage.content.has(record.targetDigest) &&
  (!(ctx.config().keepBlobs || record.blobsKept) ||
    record.layers.every((layer) => ctx.storage.content.has(layer.digest)));

/** Whether an image that is here is for the platform that is wanted. What comes without an index may be for any. */
function suits(
  ctx: ImageContext,
  { platform, targetDigest, manifestDigest }: ImageRecord,
  asked: PullRequest,
): boolean {
  if (asked.platform === null && targetDigest === manifestDigest) return true;
  return isFor(asked.platform ?? ctx.platform, platform);
}

interface Digests {
  readonly target: Digest;
  readonly manifest: Digest;
}

const namesOf = ({ reference, request }: Pull, { target, manifest }: Digests, proof: ImageProof | null): Names => {
  const tag = repoTag(reference);
  return {
    tags: tag === null ? [] : [tag],
    // whoever asks for an index by its digest means this machine's part of it
    digests: [repoDigest(reference, request.platform === null ? target : manifest)],
    askedDigests: reference.digest === null ? [] : [repoDigest(reference, reference.digest)],
    userSpecifiedImage: request.userSpecifiedImage,
    annotations: request.annotations,
    proof,
  };
};

interface Build extends Pull {
  readonly repository: Repository;
  readonly resolved: ResolvedImage;
  readonly names: Names;
}

async function build(ctx: ImageContext, job: Build, signal: AbortSignal): Promise<ImageRecord> {
  const { repository, label } = job;
  const { manifest, target } = job.resolved;
  const bytes = await repository.config(manifest.config, signal);
  const parsed = parseImageConfig(bytes, label);
  const blobs = layerBlobs(job, parsed);
  // a signature is of the manifest, which only kept blobs can be saved or pushed with
  const signed = (job.names.proof?.signatures ?? []).length > 0;
  // those of an image that is here stay kept
  const known = ctx.records.get(manifest.config.digest);
  const keep = ctx.config().keepBlobs || signed || known?.blobsKept === true;
  const documents = [manifest.config.digest, manifest.digest, target.digest];
  // from here on garbage collection must leave them, though no record names them
  const release = ctx.leases.hold([...blobs.flatMap((b) => [b.chainId as string, b.digest]), ...documents]);
  try {
    job.progress.expect(blobs);
    const limit = ctx.config().maxParallelDownloads;
    const layers = await eachBounded(blobs, { limit, signal, first: (blob) => blob.size }, (blob, own) =>
      bring(ctx, { job, blob, keep }, own),
    );
    signal.throwIfAborted();
    return await commitImage(ctx, {
      config: { digest: manifest.config.digest, bytes, parsed },
      manifest,
      target,
      layers,
      blobsKept: keep,
      names: job.names,
    });
  } finally {
    release();
  }
}

/** What must come, bottom first; the manifest and the config must agree on it. */
function layerBlobs({ label, resolved, request }: Build, parsed: ParsedConfig): LayerBlob[] {
  const { layers } = resolved.manifest;
  const { diffIds, platform } = parsed;
  if (platform.os !== '' && platform.os !== 'linux') {
    throw failedPrecondition(`image ${label} is for ${platform.os}, not for linux`);
  }
  if (request.platform !== null && !isFor(request.platform, platform)) {
    throw notFound(`image ${label} is for ${platformText(platform)} only, not for ${platformText(request.platform)}`);
  }
  if (layers.length !== diffIds.length) {
    throw failedPrecondition(
      `image ${label} has ${layers.length} layers in its manifest but ${diffIds.length} in its config`,
    );
  }
  const chain = chainIds(diffIds);
  return layers.map((layer, at) => ({ ...layer, diffId: diffIds[at], chainId: chain[at] }) as LayerBlob);
}

interface Bring {
  readonly job: Build;
  readonly blob: LayerBlob;
  readonly keep: boolean;
}

async function bring(ctx: ImageContext, { job, blob, keep }: Bring, signal: AbortSignal): Promise<ImageLayer> {
  const { layers, content } = ctx.storage;
  const before = ctx.clock.now();
  const present = layers.has(blob.chainId);
  const claim = keep && !content.has(blob.digest) ? await content.claim(blob.digest) : null;
  let work: Promise<Layer> | null = null;
  const fetch = (unpack: (source: LayerSource) => Promise<Layer>, own: AbortSignal): Promise<Layer> => {
    const keepBlobPath = claim?.path ?? null;
    work = job.repository.blob(blob.digest, own, (from) => unpack({ type: 'registry', from, keepBlobPath }));
    return work;
  };
  let layer: Layer;
  try {
    layer = await layers.ensure(blob, signal, fetch).catch((error: unknown) => {
      // another pull's attempt failed, perhaps at another registry: try by ourselves
      signal.throwIfAborted();
      if (work !== null) throw error;
      return layers.ensure(blob, signal, fetch);
    });
    if (claim !== null) {
      if (work !== null) content.adopt(blob.digest, blob.size);
      else await job.repository.blob(blob.digest, signal, (from) => content.fetch(blob, from, signal));
    }
  } finally {
    if (claim !== null) void endClaim(ctx, { blob, work, claim });
  }
  job.progress.arrived(blob.chainId, present ? 'present' : 'done');
  if (!present) {
    const durationMs = Number(ctx.clock.now() - before) / 1e6;
    const layerHex = digestHex(blob.digest).slice(0, 12);
    ctx.log.debug(
      { image: job.label, layer: layerHex, bytes: blob.size, unpacked: layer.bytes, durationMs },
      'layer unpacked',
    );
  }
  return imageLayer(layer, blob);
}

interface Claimed {
  readonly blob: LayerBlob;
  /** Goes on when its callers have left, or for others. */
  readonly work: Promise<unknown> | null;
  readonly claim: { readonly end: () => Promise<void> };
}

/** A kept blob that nobody took note of must not stay: nothing would count it or take it away. */
async function endClaim(ctx: ImageContext, { blob, work, claim }: Claimed): Promise<void> {
  try {
    await Promise.allSettled([work]);
    await claim.end();
  } catch (error) {
    ctx.log.warn({ digest: blob.digest, error }, 'the blob of a pull that failed cannot be removed');
  }
}
