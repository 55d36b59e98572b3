// Pushes an image that is here to a registry: what it has is left, the rest is sent as it is kept, or made anew from the layers.
// Must not change the store, nor know HTTP.
import { createHash } from 'node:crypto';
import { failedPrecondition, invalidArgument, notFound } from '../lib/failure.ts';
import type { Digest, ImageId } from '../lib/id.ts';
import { canonicalRegistry } from '../lib/registry-host.ts';
import { mediaTypes } from '../registry/manifest.ts';
import type { AuthConfig } from '../registry/credentials.ts';
import type { PushRepository } from '../registry/push-repository.ts';
import type { Compression } from '../storage/exports.ts';
import type { OutgoingBlob } from '../storage/outgoing.ts';
import { type ArtifactBlob, artifactBlobs } from './artifact-blobs.ts';
import { eachBounded } from './bounded.ts';
import { blobsOf } from './garbage.ts';
import { findImage, type ImageLayer, type ImageRecord } from './image.ts';
import type { ImageContext } from './ports.ts';
import { PushProgress, type PushedBlob } from './push-progress.ts';
import { formatReference, parseImageQuery, parseReference, type Reference } from './reference.ts';
import { layerMediaTypes, newManifest, ociLayerType, type SavedBlob } from './save-format.ts';

/** What to push, and where to. */
export interface PushRequest {
  /** Name, digest or id of the image. */
  readonly reference: string;
  /** Name with tag at the registry; "" for the image's own. */
  readonly target: string;
  /** For layers whose blobs are neither kept nor at the registry. */
  readonly compression: Compression;
  readonly auth: AuthConfig | null;
  /** auth.json or config.json in place of the node's own, absolute. */
  readonly authFile: string | null;
  /** Takes any certificate of the registry. */
  readonly skipVerify: boolean;
  readonly onProgress: (blobs: readonly PushedBlob[]) => void;
}

/** An image as it was pushed. */
export interface PushedImage {
  readonly id: ImageId;
  /** The target written out in full. */
  readonly reference: string;
  readonly manifestDigest: Digest;
  /** Bytes of the manifest. */
  readonly size: number;
  /** Whether it is the manifest that the image was pulled by; else one was written for the blobs as they are there. */
  readonly sameManifest: boolean;
}

/**
 * Pushes an image under a tag. Config digest and diff ids are those of the image in any case; the manifest is where all
 * its blobs are kept or at the registry. Throws not-found, invalid-argument, failed-precondition (damaged or missing
 * content), and what the registry's refusals mean.
 */
export async function push(ctx: ImageContext, request: PushRequest, signal: AbortSignal): Promise<PushedImage> {
  const record = findImage(ctx.records.list(), request.reference);
  if (record === null) throw notFound(`image ${JSON.stringify(request.reference)} is not here`);
  const target = targetOf(request);
  const label = formatReference(target);
  const release = ctx.leases.hold([...record.chain, ...blobsOf(record), ...record.layers.map(({ digest }) => digest)]);
  try {
    const { domain: host, path, tag } = target;
    const { auth, authFile, skipVerify } = request;
    const repository = await ctx.registry.openPush({
      host,
      path,
      tag,
      digest: null,
      label,
      auth,
      authFile,
      skipVerify,
    });
    const job: Job = { ctx, record, target, repository, request, signal };
    const manifest = await (record.artifact ? sendArtifact(job) : sendImage(job));
    await repository.putManifest({ name: tag ?? 'latest', ...manifest }, signal);
    const manifestDigest = sha256(manifest.bytes);
    ctx.log.info({ image: label, id: record.id, manifest: manifestDigest }, 'image pushed');
    const size = manifest.bytes.length;
    return {
      id: record.id,
      reference: label,
      manifestDigest,
      size,
      sameManifest: manifestDigest === record.manifestDigest,
    };
  } finally {
    release();
  }
}

interface Job {
  readonly ctx: ImageContext;
  readonly record: ImageRecord;
  readonly target: Reference;
  readonly repository: PushRepository;
  readonly request: PushRequest;
  readonly signal: AbortSignal;
}

interface Manifest {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/** The name to push to: that of the image where none was given, if it was named by one. */
function targetOf({ reference, target }: PushRequest): Reference {
  const named = target === '' ? parseImageQuery(reference).reference : parseReference(target);
  if (named === null)
    throw invalidArgument(`image ${JSON.stringify(reference)} is not named by a tag: say where it is to be pushed to`);
  if (named.digest !== null)
    throw invalidArgument(`${JSON.stringify(target || reference)} has a digest: an image is pushed to a tag`);
  return named;
}

async function sendImage(job: Job): Promise<Manifest> {
  const { ctx, record, request, signal } = job;
  const { content } = ctx.storage;
  const configDigest = record.id as string as Digest;
  const original = await content.read(record.manifestDigest);
  const size = content.size(configDigest);
  if (original === null || size === null) throw lacks(record, 'its config or its manifest');
  if (sha256(original) !== record.manifestDigest) throw lacks(record, 'an undamaged manifest');
  const wanted = new Map(record.layers.map((layer) => [layer.digest, layer]));
  const listed = [...wanted.values()].map(({ digest, blobBytes }) => ({ digest, size: blobBytes }));
  const progress = new PushProgress([...listed, { digest: configDigest, size }], request.onProgress);
  const sent = new Map<Digest, SavedBlob>();
  const limit = ctx.config().maxParallelDownloads;
  await eachBounded(
    [...wanted.values()],
    { limit, signal, first: ({ blobBytes }) => blobBytes },
    async (layer, own) => {
      sent.set(layer.digest, await sendLayer({ ...job, signal: own }, layer, progress));
    },
  );
  const config = { digest: configDigest, size, path: content.path(configDigest) };
  await sendFile(job, { blob: config, shown: configDigest, progress });
  const layers = record.layers.map((layer) => sent.get(layer.digest) as SavedBlob);
  if (isOwn(record) && layers.every(({ digest }, at) => digest === record.layers[at]?.digest))
    return { mediaType: record.mediaType, bytes: original };
  const typed = layers.map((layer) => ({ ...layer, mediaType: ociLayerType(layer.mediaType) }));
  const text = newManifest({ mediaType: '', digest: configDigest, size }, typed, original.toString('utf8'));
  return { mediaType: mediaTypes.ociManifest, bytes: Buffer.from(text) };
}

/** Whether its manifest came with it: that of a docker archive is ours, and has its layers uncompressed. */
const isOwn = ({ repoDigests }: ImageRecord): boolean => repoDigests.length > 0;

const lacks = (record: ImageRecord, what: string) =>
  failedPrecondition(`image ${record.repoTags[0] ?? record.id} lacks ${what}: pull it again`);

const sha256 = (bytes: Uint8Array): Digest =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}` as string as Digest;

/** The blob that the image came with where that is there or kept, else one made of the layer. */
async function sendLayer(job: Job, layer: ImageLayer, progress: PushProgress): Promise<SavedBlob> {
  const { ctx, record, request, signal } = job;
  const { content, layers, outgoing } = ctx.storage;
  const { digest, diffId, blobBytes: size } = layer;
  const shown = digest;
  if (isOwn(record) || digest !== diffId) {
    const own = { mediaType: layer.mediaType, digest, size };
    if (await isThere(job, { digest, shown, progress })) return own;
    if (content.has(digest)) {
      await sendBytes(job, { blob: { digest, size, path: content.path(digest) }, shown, progress });
      return own;
    }
  }
  if (!layers.has(layer.chainId)) throw lacks(record, `layer ${diffId}`);
  const compression = isOwn(record) && digest === diffId ? 'none' : request.compression;
  progress.at(shown, { stage: 'compressing', bytes: 0, totalBytes: layer.unpackedBytes });
  const source = { type: 'layer', layerDir: layers.layerDir(layer.chainId), diffId } as const;
  const onBytes = (bytes: number): void => progress.at(shown, { bytes });
  return outgoing.made({ source, what: `layer ${diffId}`, compression, onBytes }, signal, async (blob) => {
    progress.at(shown, { totalBytes: blob.size, bytes: 0 });
    await sendFile({ ...job, signal }, { blob, shown, progress });
    return { mediaType: layerMediaTypes[compression], digest: blob.digest, size: blob.size };
  });
}

interface Sending {
  readonly blob: OutgoingBlob;
  /** By which the progress knows it. */
  readonly shown: Digest;
  readonly progress: PushProgress;
}

/** Sends a blob unless it is there. */
async function sendFile(job: Job, sending: Sending): Promise<void> {
  const { blob, shown, progress } = sending;
  if (!(await isThere(job, { digest: blob.digest, shown, progress }))) await sendBytes(job, sending);
}

async function sendBytes({ ctx, repository, signal }: Job, { blob, shown, progress }: Sending): Promise<void> {
  progress.at(shown, { stage: 'uploading', bytes: 0, totalBytes: blob.size });
  const onBytes = (bytes: number): void => progress.at(shown, { bytes });
  const { digest, size } = blob;
  await repository.upload(
    {
      digest,
      size,
      send: async (target, part) => {
        const answer = await ctx.storage.outgoing.send({ ...target, ...part }, { file: blob, onBytes }, signal);
        return { ...answer, body: Buffer.from(answer.body, 'base64') };
      },
    },
    signal,
  );
  progress.at(shown, { stage: 'done', bytes: blob.size });
}

interface Looked {
  readonly digest: Digest;
  readonly shown: Digest;
  readonly progress: PushProgress;
}

/** Whether the repository has a blob, or takes it over from another one of its registry. */
async function isThere(job: Job, { digest, shown, progress }: Looked): Promise<boolean> {
  const { repository, signal } = job;
  progress.at(shown, { stage: 'checking' });
  if (await repository.has(digest, signal)) {
    progress.at(shown, { stage: 'present' });
    return true;
  }
  for (const from of neighbours(job, digest)) {
    if (!(await repository.mount(digest, from, signal))) continue;
    progress.at(shown, { stage: 'mounted' });
    return true;
  }
  return false;
}

const mostNeighbours = 3;

/** Repositories of the target's registry from which images with this layer came. */
function neighbours({ ctx, record, target }: Job, digest: Digest): string[] {
  const registry = canonicalRegistry(target.domain);
  const others = ctx.records.list().filter(({ id }) => id !== record.id);
  const found = [record, ...others]
    .filter(({ layers }) => layers.some((layer) => layer.digest === digest))
    .flatMap(({ repoDigests }) => repoDigests.map(parseReference))
    .filter(({ domain, path }) => canonicalRegistry(domain) === registry && path !== target.path);
  return [...new Set(found.map(({ path }) => path))].slice(0, mostNeighbours);
}

async function sendArtifact(job: Job): Promise<Manifest> {
  const { ctx, record, request, signal } = job;
  const { manifest, config, layers } = await artifactBlobs(ctx, record);
  const wanted = [...new Map([...layers, config].map((blob) => [blob.digest, blob])).values()];
  const progress = new PushProgress(wanted, request.onProgress);
  const limit = ctx.config().maxParallelDownloads;
  await eachBounded(wanted, { limit, signal, first: ({ size }) => size }, (blob, own) =>
    sendArtifactBlob({ ...job, signal: own }, blob, progress),
  );
  return { mediaType: record.mediaType, bytes: manifest };
}

async function sendArtifactBlob(
  job: Job,
  { digest, size, source }: ArtifactBlob,
  progress: PushProgress,
): Promise<void> {
  if (await isThere(job, { digest, shown: digest, progress })) return;
  if (source.type === 'file')
    return sendBytes(job, { blob: { digest, size, path: source.path }, shown: digest, progress });
  const making = { source, what: `blob ${digest}`, compression: 'none' as const, onBytes: () => undefined };
  await job.ctx.storage.outgoing.made(making, job.signal, (blob) => sendBytes(job, { blob, shown: digest, progress }));
}
