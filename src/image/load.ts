// Loads images from an archive on disk: a docker archive, or an OCI layout (directory or tar).
// Must not trust a name of a file: everything with a digest is checked against it.
import { createHash } from 'node:crypto';
import { dirname } from 'node:path';
import { failedPrecondition, invalidArgument, notFound, unimplemented } from '../lib/failure.ts';
import { type Digest, isDigest } from '../lib/id.ts';
import {
  type Descriptor,
  type ImageManifest,
  type IndexEntry,
  mediaTypes,
  parseManifest,
} from '../registry/manifest.ts';
import { choosePlatform, platformText } from '../registry/platform.ts';
import type { Archive } from '../storage/archives.ts';
import { type DockerArchiveImage, layoutPath, layoutTags, readDockerManifest } from './archive.ts';
import { eachBounded } from './bounded.ts';
import { type Blob, commitImage, imageLayer } from './commit.ts';
import { chainIds, type Image, type ImageLayer, imageView } from './image.ts';
import { parseImageConfig } from './image-config.ts';
import type { ImageContext } from './ports.ts';
import { parseReference, repositoryName, repoTag } from './reference.ts';

/** One image to load: its documents, and where its layers are. */
interface Found {
  readonly config: Blob;
  /** Null in a docker archive: it is written anew. */
  readonly manifest: (Blob & { readonly mediaType: string }) | null;
  readonly target: Blob | null;
  readonly layers: readonly { readonly entry: string; readonly digest: Digest | null; readonly mediaType: string }[];
  readonly tags: readonly string[];
}

/** What to load. */
export interface LoadRequest {
  /** Absolute, on this host. */
  readonly path: string;
  /** Name of the image if the archive gives it none; "" for no name. */
  readonly reference: string;
  /** Told when a layer begins and when it is done. */
  readonly onStep: (step: LoadStep) => void;
}

/** How far a load has come. */
export interface LoadStep {
  /** "layer sha256:…". */
  readonly what: string;
  /** Of the layer as it is in the archive. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

const deepestIndex = 4;

/**
 * Loads every image of an archive for this platform. Throws failed-precondition for content that is not
 * what its digests say, not-found if there is nothing for this platform.
 */
export async function load(ctx: ImageContext, request: LoadRequest, signal: AbortSignal): Promise<Image[]> {
  const { path } = request;
  const name = request.reference === '' ? null : wantedTag(request.reference);
  const archive = await ctx.storage.archives.open(path);
  try {
    const found = await findImages(ctx, archive, path);
    const nameless = found.filter((one) => one.tags.length === 0);
    if (name !== null && nameless.length > 1) {
      throw invalidArgument(`image archive ${path} has ${nameless.length} images without a name, for one reference`);
    }
    const images: Image[] = [];
    for (const one of found) {
      const tags = one.tags.length === 0 && name !== null ? [name] : one.tags;
      images.push(await loadOne(ctx, { archive, request, found: { ...one, tags } }, signal));
    }
    return images;
  } finally {
    await archive.close();
  }
}

function wantedTag(reference: string): string {
  const tag = repoTag(parseReference(reference));
  if (tag === null)
    throw invalidArgument(`reference ${JSON.stringify(reference)} for a loaded image must have a tag, not a digest`);
  return tag;
}

async function findImages(ctx: ImageContext, archive: Archive, path: string): Promise<Found[]> {
  const { files } = archive;
  const docker = files['manifest.json'] === undefined ? [] : readDockerManifest(files['manifest.json'], path);
  if (files['index.json'] !== undefined && files['oci-layout'] !== undefined) {
    const found = await fromLayout(ctx, archive, { index: files['index.json'], path });
    // newer `docker save` writes both: the names are in manifest.json, the true manifests in the layout
    const tagsOf = (config: string): readonly string[] =>
      docker.find((d) => d.config === layoutPath(config))?.tags ?? [];
    return found.map((one) => ({ ...one, tags: [...new Set([...one.tags, ...tagsOf(one.config.digest)])] }));
  }
  if (docker.length === 0) throw failedPrecondition(`${path} is neither a docker archive nor an OCI layout`);
  return Promise.all(docker.map((one) => fromDocker(archive, one)));
}

async function fromDocker(archive: Archive, image: DockerArchiveImage): Promise<Found> {
  const bytes = await archive.read(image.config);
  const layers = image.layers.map((entry) => {
    const digest = `sha256:${/^blobs\/sha256\/([0-9a-f]{64})$/.exec(entry)?.[1] ?? ''}`;
    return { entry, digest: isDigest(digest) ? digest : null, mediaType: mediaTypes.dockerLayer };
  });
  return { config: { digest: sha256(bytes), bytes }, manifest: null, target: null, layers, tags: image.tags };
}

interface Layout {
  readonly index: string;
  readonly path: string;
}

async function fromLayout(ctx: ImageContext, archive: Archive, { index, path }: Layout): Promise<Found[]> {
  const top = parseManifest(Buffer.from(index, 'utf8'), mediaTypes.ociIndex, path);
  if (top.type !== 'index') throw failedPrecondition(`index.json of image archive ${path} is not an index`);
  const groups = Map.groupBy(top.manifests, (entry) => layoutTags(entry.annotations).join(' '));
  const found: Found[] = [];
  for (const entries of groups.values()) {
    for (const entry of withoutPlatform(entries) ?? choosePlatform(ctx.platform, entries).slice(0, 1)) {
      const image = await descend(ctx, archive, { entry, path, depth: 0 });
      // an image may be there twice: by a manifest of Docker's type, and by an OCI one for those who know no other
      if (image && !found.some((one) => isSame(one, image, entry)))
        found.push({ ...image, tags: layoutTags(entry.annotations) });
    }
  }
  if (found.length === 0) throw notFound(`image archive ${path} has nothing for ${platformText(ctx.platform)}`);
  return found;
}

const isSame = ({ config, tags }: Found, image: Omit<Found, 'tags'>, { annotations }: IndexEntry): boolean =>
  config.digest === image.config.digest && tags.join(' ') === layoutTags(annotations).join(' ');

/** Entries that all say nothing of a platform are images of their own; null if one does. */
const withoutPlatform = (entries: readonly IndexEntry[]): readonly IndexEntry[] | null =>
  entries.every((entry) => entry.platform === null) ? entries : null;

interface Step {
  readonly entry: Descriptor;
  readonly path: string;
  readonly depth: number;
}

async function descend(ctx: ImageContext, archive: Archive, at: Step): Promise<Omit<Found, 'tags'> | null> {
  const { entry, path, depth } = at;
  if (depth > deepestIndex)
    throw failedPrecondition(`indexes of image archive ${path} are nested more than ${deepestIndex} deep`);
  const target = await readBlob(archive, entry.digest, path);
  const document = parseManifest(target.bytes, entry.mediaType, path);
  if (document.type === 'manifest') return fromManifest(archive, { target, document, path });
  for (const inner of choosePlatform(ctx.platform, document.manifests)) {
    const image = await descend(ctx, archive, { entry: inner, path, depth: depth + 1 });
    if (image) return { ...image, target };
  }
  return null;
}

async function fromManifest(
  archive: Archive,
  { target, document, path }: { target: Blob; document: ImageManifest; path: string },
): Promise<Omit<Found, 'tags'>> {
  if (document.artifactType !== null) {
    throw unimplemented(
      `image archive ${path} has an artifact of type ${document.artifactType}: only images are loaded`,
    );
  }
  const layers = document.layers.map(({ digest, mediaType }) => ({ entry: layoutPath(digest), digest, mediaType }));
  const config = await readBlob(archive, document.config.digest, path);
  return { config, manifest: { ...target, mediaType: document.mediaType }, target, layers };
}

async function readBlob(archive: Archive, digest: Digest, path: string): Promise<Blob> {
  const bytes = await archive.read(layoutPath(digest));
  if (sha256(bytes) !== digest) throw failedPrecondition(`blob ${digest} of image archive ${path} has another digest`);
  return { digest, bytes };
}

const sha256 = (bytes: Uint8Array): Digest =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}` as string as Digest;

interface Job {
  readonly archive: Archive;
  readonly request: LoadRequest;
  readonly found: Found;
}

async function loadOne(ctx: ImageContext, { archive, request, found }: Job, signal: AbortSignal): Promise<Image> {
  const { path } = request;
  const parsed = parseImageConfig(found.config.bytes, `image archive ${path}`);
  const { diffIds } = parsed;
  if (diffIds.length !== found.layers.length) {
    throw failedPrecondition(
      `image archive ${path} has ${found.layers.length} layers, its config names ${diffIds.length}`,
    );
  }
  const chain = chainIds(diffIds);
  const known = ctx.records.get(found.config.digest);
  const release = ctx.leases.hold([...chain, ...found.layers.flatMap(({ digest }) => digest ?? [])]);
  try {
    const { maxParallelDownloads: limit, keepBlobs } = ctx.config();
    const jobs = found.layers.map((layer, at) => ({ ...layer, chainId: chain[at], diffId: diffIds[at] }) as LayerJob);
    // of a layer without a digest of its own nobody could say that it is the same
    const keep = (keepBlobs || known?.blobsKept === true) && jobs.every(({ digest }) => digest !== null);
    const layers = await eachBounded(jobs, { limit, signal }, (job, own) =>
      bring(ctx, { archive, request, job, keep }, own),
    );
    const manifest = found.manifest ?? writeManifest(found.config, layers);
    const target = found.target ?? manifest;
    const releaseDocuments = ctx.leases.hold([found.config.digest, manifest.digest, target.digest]);
    try {
      const digests = found.manifest === null ? [] : digestsOf(found.tags, target.digest);
      const names = {
        tags: found.tags,
        digests,
        askedDigests: [],
        userSpecifiedImage: '',
        annotations: {},
        proof: null,
      };
      const config = { ...found.config, parsed };
      const record = await commitImage(ctx, { config, manifest, target, layers, blobsKept: keep, names });
      ctx.log.info({ path, id: record.id, tags: found.tags }, 'image loaded');
      return imageView(record, ctx.config().pinned);
    } finally {
      releaseDocuments();
    }
  } finally {
    release();
  }
}

const digestsOf = (tags: readonly string[], digest: Digest): string[] => [
  ...new Set(tags.map((tag) => `${repositoryName(parseReference(tag))}@${digest}`)),
];

type LayerJob = Found['layers'][number] & Pick<ImageLayer, 'chainId' | 'diffId'>;

interface Bring {
  readonly archive: Archive;
  readonly request: LoadRequest;
  readonly job: LayerJob;
  /** Whether the blob is kept too. */
  readonly keep: boolean;
}

/** A layer, and its blob where that is to be kept: as it is unpacked, or copied if the layer was here before. */
async function bring(
  ctx: ImageContext,
  { archive, request, job, keep }: Bring,
  signal: AbortSignal,
): Promise<ImageLayer> {
  const { content, exports } = ctx.storage;
  const { digest } = job;
  if (!keep || digest === null || content.has(digest))
    return unpack(ctx, { archive, request, job, keepAt: null }, signal);
  const claim = await content.claim(digest);
  try {
    const layer = await unpack(ctx, { archive, request, job, keepAt: claim.path }, signal);
    const entry = archive.entry(job.entry);
    if (entry === null)
      throw failedPrecondition(`image archive ${request.path} has no file ${JSON.stringify(job.entry)}`);
    const source = { type: 'entry', path: archive.path, entry, digest } as const;
    const copy = { source, what: `blob ${digest}`, compression: 'none', onBytes: () => undefined } as const;
    if (!(await content.isAt(claim.path))) await exports.into(dirname(claim.path), copy, signal);
    content.adopt(digest, entry.size);
    return layer;
  } finally {
    await claim.end();
  }
}

interface Unpack extends Omit<Bring, 'keep'> {
  /** Where the blob is put when the layer is unpacked, null for nowhere. */
  readonly keepAt: string | null;
}

async function unpack(
  ctx: ImageContext,
  { archive, request, job, keepAt }: Unpack,
  signal: AbortSignal,
): Promise<ImageLayer> {
  const entry = archive.entry(job.entry);
  const size = entry?.size ?? 0;
  const step = (doneBytes: number): void =>
    request.onStep({ what: `layer ${job.digest ?? job.diffId}`, doneBytes, totalBytes: size });
  step(0);
  const blob = { ...job, digest: job.digest ?? job.diffId, size };
  const layer = await ctx.storage.layers.ensure(blob, signal, (from) => {
    if (entry === null)
      throw failedPrecondition(`image archive ${request.path} has no file ${JSON.stringify(job.entry)}`);
    return from({
      type: 'archive',
      path: archive.path,
      entry,
      verifyDigest: job.digest !== null,
      keepBlobPath: keepAt,
    });
  });
  step(size);
  // without a digest of its own the blob is what it was when it was unpacked, here or at an earlier pull
  const known =
    job.digest === null || entry === null
      ? { digest: layer.blobDigest, size: layer.blobBytes }
      : { digest: job.digest, size };
  return imageLayer(layer, { ...known, mediaType: job.digest === null ? layer.mediaType : job.mediaType });
}

/** A docker archive has no manifest: one is written that tells the truth of what was there. */
function writeManifest(config: Blob, layers: readonly ImageLayer[]): Blob & { mediaType: string } {
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.dockerManifest,
    config: { mediaType: mediaTypes.dockerConfig, size: config.bytes.length, digest: config.digest },
    layers: layers.map((layer) => ({ mediaType: layer.mediaType, size: layer.blobBytes, digest: layer.digest })),
  };
  const bytes = Buffer.from(JSON.stringify(manifest), 'utf8');
  return { digest: sha256(bytes), bytes, mediaType: mediaTypes.dockerManifest };
}
