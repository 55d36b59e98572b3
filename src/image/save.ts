// Saves images to a file or a directory: what `docker save` writes, or an OCI layout.
// Must not change the store: layers are put together again from what is unpacked.
import { createHash } from 'node:crypto';
import { failedPrecondition, invalidArgument, notFound } from '../lib/failure.ts';
import type { Digest } from '../lib/id.ts';
import { mediaTypes } from '../registry/manifest.ts';
import type { Compression, ExportSink, ExportSource, Written } from '../storage/exports.ts';
import { type ArtifactBlob, artifactBlobs } from './artifact-blobs.ts';
import { blobsOf } from './garbage.ts';
import { findImage, type ImageLayer, type ImageRecord } from './image.ts';
import type { ImageContext } from './ports.ts';
import { parseImageQuery, repoTag } from './reference.ts';
import {
  dockerManifest,
  dockerRepositories,
  layerMediaTypes,
  layoutIndex,
  newManifest,
  ociLayerType,
  ociLayout,
  type SavedBlob,
  type SavedParts,
} from './save-format.ts';

/** What can be written. */
export const saveFormats = ['docker-archive', 'oci-archive', 'oci-dir'] as const;
export type SaveFormat = (typeof saveFormats)[number];

/** What to save, and where to. */
export interface SaveRequest {
  /** Names, digests or ids of images. */
  readonly references: readonly string[];
  /** Absolute, on this host. */
  readonly path: string;
  readonly format: SaveFormat;
  /** For layers whose blobs are not kept; a docker archive has them uncompressed. */
  readonly compression: Compression;
  /** Told how far each blob is. */
  readonly onStep: (step: { what: string; doneBytes: number; totalBytes: number }) => void;
}

/** An image as it was saved. */
export interface SavedImage {
  readonly id: string;
  readonly tags: readonly string[];
  readonly manifestDigest: Digest;
  /** Whether it is the manifest that the image was pulled by; else one was written for the blobs as they are now. */
  readonly sameManifest: boolean;
}

interface Wanted {
  readonly record: ImageRecord;
  readonly tags: string[];
}

/**
 * Saves images. Config digests and diff ids are those of the images in any case; the manifest is where all its blobs
 * are here. Throws not-found, invalid-argument, already-exists, failed-precondition (damaged content).
 */
export async function save(ctx: ImageContext, request: SaveRequest, signal: AbortSignal): Promise<SavedImage[]> {
  const { path, format, references } = request;
  if (references.length === 0) throw invalidArgument('no image to save was named');
  const wanted = wantedImages(ctx, request);
  const release = ctx.leases.hold(wanted.flatMap(({ record }) => [...record.chain, ...blobsOf(record)]));
  try {
    const sink = await (format === 'oci-dir' ? ctx.storage.exports.directory(path) : ctx.storage.exports.archive(path));
    try {
      const job: Job = { sink, request, written: new Map(), signal };
      const parts: SavedParts[] = [];
      for (const one of wanted) parts.push(await (one.record.artifact ? saveArtifact : saveOne)(ctx, job, one));
      await describe(sink, format, parts);
      await sink.commit();
      ctx.log.info({ path, format, images: wanted.map(({ record }) => record.id) }, 'images saved');
      return parts.map(({ manifest, tags }, at) => {
        const { id, manifestDigest } = (wanted[at] as Wanted).record;
        return { id, tags, manifestDigest: manifest.digest, sameManifest: manifest.digest === manifestDigest };
      });
    } catch (error) {
      await sink.discard();
      throw error;
    }
  } finally {
    release();
  }
}

/** Each image once: by the tags it was named by, else by all it has. */
function wantedImages(ctx: ImageContext, { references, format }: SaveRequest): Wanted[] {
  const wanted = new Map<string, Wanted>();
  for (const text of references) {
    const record = findImage(ctx.records.list(), text);
    if (record === null) throw notFound(`image ${JSON.stringify(text)} is not here`);
    if (record.artifact && format === 'docker-archive')
      throw invalidArgument(`${text} is an artifact, which no docker archive can hold: save it in an OCI format`);
    const { reference } = parseImageQuery(text);
    const named = reference && repoTag(reference);
    const tags = named !== null && record.repoTags.includes(named) ? [named] : record.repoTags;
    const before = wanted.get(record.id)?.tags ?? [];
    wanted.set(record.id, { record, tags: [...new Set([...before, ...tags])] });
  }
  return [...wanted.values()];
}

interface Job {
  readonly sink: ExportSink;
  readonly request: SaveRequest;
  /** Layers that are written already, by what they are of and how. */
  readonly written: Map<string, Written>;
  readonly signal: AbortSignal;
}

async function saveOne(ctx: ImageContext, job: Job, { record, tags }: Wanted): Promise<SavedParts> {
  const { content } = ctx.storage;
  const original = await content.read(record.manifestDigest);
  const configBytes = await content.read(record.id as string as Digest);
  if (original === null || configBytes === null) throw missing(record, 'its config or its manifest');
  if (sha256(original) !== record.manifestDigest) throw missing(record, 'an undamaged manifest');
  const config = await document(ctx, job, { digest: record.id as string as Digest, size: configBytes.length });
  const layers: SavedBlob[] = [];
  for (const layer of record.layers) layers.push(await saveLayer(ctx, job, { record, layer }));
  const same =
    job.request.format !== 'docker-archive' && layers.every((layer, at) => layer.digest === record.layers[at]?.digest);
  const manifest = same
    ? await document(ctx, job, { digest: record.manifestDigest, size: original.length })
    : await text(job, newManifest({ ...config, mediaType: '' }, layers, original.toString('utf8')));
  const mediaType = same ? record.mediaType : 'application/vnd.oci.image.manifest.v1+json';
  const saved = { config: { ...config, mediaType: '' }, layers, manifest: { mediaType, ...manifest }, tags };
  if (mediaType !== mediaTypes.dockerManifest) return { ...saved, twin: null };
  const twin = await text(job, newManifest(saved.config, layers, original.toString('utf8')));
  return { ...saved, twin: { mediaType: mediaTypes.ociManifest, ...twin } };
}

/** An artifact is its manifest and the blobs that it names, byte for byte. */
async function saveArtifact(ctx: ImageContext, job: Job, { record, tags }: Wanted): Promise<SavedParts> {
  const { manifest, config, layers } = await artifactBlobs(ctx, record);
  const blob = async ({ digest, size, source }: ArtifactBlob): Promise<SavedBlob> => {
    const step = { key: digest, source, what: `blob ${digest}`, compression: 'none', totalBytes: size } as const;
    return { mediaType: '', ...(await once(job, step)) };
  };
  const saved: SavedBlob[] = [];
  for (const layer of layers) saved.push(await blob(layer));
  const { manifestDigest: digest, mediaType } = record;
  const written = await document(ctx, job, { digest, size: manifest.length });
  return { config: await blob(config), layers: saved, manifest: { mediaType, ...written }, tags, twin: null };
}

const missing = (record: ImageRecord, what: string) =>
  failedPrecondition(`image ${record.repoTags[0] ?? record.id} lacks ${what}: pull it again`);

const sha256 = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** A blob of the content store, once. */
function document(
  ctx: ImageContext,
  job: Job,
  { digest, size }: { readonly digest: Digest; readonly size: number },
): Promise<Written> {
  const source = { type: 'file', path: ctx.storage.content.path(digest), digest, size } as const;
  return once(job, { key: digest, source, what: `blob ${digest}`, compression: 'none' });
}

const text = (job: Job, document: string): Promise<Written> =>
  once(job, { key: document, source: { type: 'text', text: document }, what: 'manifest', compression: 'none' });

async function saveLayer(
  ctx: ImageContext,
  job: Job,
  { record, layer }: { readonly record: ImageRecord; readonly layer: ImageLayer },
): Promise<SavedBlob> {
  const { content, layers } = ctx.storage;
  const { digest, diffId, chainId, blobBytes } = layer;
  const plain = job.request.format === 'docker-archive';
  if (!plain && digest !== diffId && content.has(digest)) {
    const written = await document(ctx, job, { digest, size: blobBytes });
    return { mediaType: ociLayerType(layer.mediaType), ...written };
  }
  if (!layers.has(chainId)) throw missing(record, `layer ${diffId}`);
  // an uncompressed layer is its own blob: put together it is the original's
  const compression = plain || digest === diffId ? 'none' : job.request.compression;
  const source = { type: 'layer', layerDir: layers.layerDir(chainId), diffId } as const;
  const step = { key: `${compression} ${diffId}`, source, what: `layer ${diffId}`, compression };
  const written = await once(job, { ...step, totalBytes: layer.unpackedBytes });
  return { mediaType: layerMediaTypes[compression], ...written };
}

interface Once {
  readonly key: string;
  readonly source: ExportSource;
  readonly what: string;
  readonly compression: Compression;
  readonly totalBytes?: number;
}

async function once({ sink, request, written, signal }: Job, one: Once): Promise<Written> {
  const { key, source, what, compression, totalBytes = 0 } = one;
  const before = written.get(key);
  if (before) return before;
  const onBytes = (doneBytes: number): void => request.onStep({ what, doneBytes, totalBytes });
  onBytes(0);
  const done = await sink.blob({ source, what, compression, onBytes }, signal);
  written.set(key, done);
  return done;
}

async function describe(sink: ExportSink, format: SaveFormat, parts: readonly SavedParts[]): Promise<void> {
  await sink.describe('oci-layout', ociLayout);
  await sink.describe('index.json', layoutIndex(parts));
  if (format !== 'docker-archive') return;
  await sink.describe('repositories', dockerRepositories(parts));
  await sink.describe('manifest.json', dockerManifest(parts));
}
