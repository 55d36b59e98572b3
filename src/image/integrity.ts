// Holds what images are made of against their digests: layers by their tars, documents and kept blobs as they are.
// Must not change anything, and must leave the disk to those who are in a hurry.
import { createHash } from 'node:crypto';
import { failedPrecondition, failureChain, notFound } from '../lib/failure.ts';
import { type ChainId, type Digest, digestHex } from '../lib/id.ts';
import { parseManifest } from '../registry/manifest.ts';
import { verdictOf } from '../storage/damage.ts';
import type { ExportSource } from '../storage/exports.ts';
import { type ArtifactFile, artifactFiles } from './artifact-files.ts';
import { blobsOf } from './garbage.ts';
import { findImage, type ImageRecord } from './image.ts';
import type { ImageContext } from './ports.ts';

/** A piece of content, and who has it. */
export interface ContentItem {
  readonly type: 'layer' | 'blob';
  /** Chain id of a layer, digest of a blob. */
  readonly key: string;
  /** "layer sha256:…" by its diff id. */
  readonly what: string;
  /** Ids of images. */
  readonly images: readonly string[];
  readonly sources: readonly ExportSource[];
  readonly bytes: number;
  /** What is known of it without reading it; null for what is to be read. */
  readonly problem: Omit<ContentFinding, 'item'> | null;
}

/** Content that is not what it should be, or of which nobody can tell. */
export interface ContentFinding {
  readonly item: ContentItem;
  readonly kind: 'damaged' | 'unverifiable';
  readonly why: string;
}

/** What was looked at. */
export interface ContentReport {
  readonly images: number;
  readonly layers: number;
  readonly blobs: number;
  readonly bytes: number;
}

/** What to verify, and whom to tell. */
export interface VerifyHooks {
  readonly onStep: (step: { what: string; doneBytes: number; totalBytes: number }) => void;
  readonly onFinding: (finding: ContentFinding) => void;
}

/** The images that texts name; all for none. Throws not-found. */
export function namedImages(ctx: Pick<ImageContext, 'records'>, references: readonly string[]): ImageRecord[] {
  const all = ctx.records.list();
  if (references.length === 0) return all;
  const found = references.map((text) => {
    const record = findImage(all, text);
    if (record === null) throw notFound(`image ${JSON.stringify(text)} is not here`);
    return record;
  });
  return [...new Map(found.map((record) => [record.id, record])).values()];
}

/**
 * Verifies all content of images, each piece once; goes on past damage. A failure that says nothing about the content
 * (no file descriptors, no memory, no thread) ends it.
 */
export async function verifyImages(
  ctx: ImageContext,
  { records, hooks }: { readonly records: readonly ImageRecord[]; readonly hooks: VerifyHooks },
  signal: AbortSignal,
): Promise<ContentReport> {
  const release = ctx.leases.hold(records.flatMap((record) => [...record.chain, ...blobsOf(record)]));
  try {
    const items = await contentOf(ctx, records, hooks.onFinding);
    let bytes = 0;
    for (const item of items) {
      const { what, bytes: totalBytes } = item;
      const job = { what, onBytes: (doneBytes: number) => hooks.onStep({ what, doneBytes, totalBytes }) };
      job.onBytes(0);
      try {
        for (const source of item.sources) bytes += await ctx.storage.exports.verify({ ...job, source }, signal);
      } catch (error) {
        signal.throwIfAborted();
        hooks.onFinding(finding(item, error));
      }
    }
    const count = (type: ContentItem['type']): number => items.filter((item) => item.type === type).length;
    return { images: records.length, layers: count('layer'), blobs: count('blob'), bytes };
  } finally {
    release();
  }
}

function finding(item: ContentItem, error: unknown): ContentFinding {
  const kind = verdictOf(error);
  if (kind === null) throw error;
  return { item, kind, why: failureChain(error) };
}

/** Every layer and blob that images need; what is not there at all is told at once. */
async function contentOf(
  ctx: ImageContext,
  records: readonly ImageRecord[],
  onFinding: (finding: ContentFinding) => void,
): Promise<ContentItem[]> {
  const items = new Map<string, ContentItem & { images: string[] }>();
  const add = (key: string, image: string, item: Omit<ContentItem, 'key' | 'images'>): void => {
    const known = items.get(key);
    if (known) known.images.push(image);
    else items.set(key, { ...item, key, images: [image] });
  };
  for (const record of records) {
    for (const digest of new Set(blobsOf(record)) as Set<Digest>) {
      add(digest, record.id, blobItem(ctx, digest));
    }
    if (record.artifact) {
      for (const chainId of record.chain) add(chainId, record.id, await artifactItem(ctx, record, chainId));
      continue;
    }
    for (const { chainId, diffId, unpackedBytes: bytes } of record.layers) {
      const sources = ctx.storage.layers.has(chainId)
        ? [{ type: 'layer', layerDir: ctx.storage.layers.layerDir(chainId), diffId } as const]
        : [];
      const problem = sources.length === 0 ? gone : null;
      add(chainId, record.id, { type: 'layer', what: `layer ${diffId}`, sources, bytes, problem });
    }
  }
  const all = [...items.values()];
  for (const item of all) {
    if (item.problem !== null) onFinding({ item, ...item.problem });
  }
  return all.filter((item) => item.problem === null);
}

type NewItem = Omit<ContentItem, 'key' | 'images'>;

const gone = { kind: 'damaged', why: 'it is gone' } as const;

function blobItem(ctx: ImageContext, digest: Digest): NewItem {
  const path = ctx.storage.content.path(digest);
  const size = ctx.storage.content.size(digest);
  const sources = size === null ? [] : [{ type: 'file', path, digest, size } as const];
  return { type: 'blob', what: `blob ${digest}`, sources, bytes: size ?? 0, problem: size === null ? gone : null };
}

/**
 * An artifact's layer: its files are the blobs that its manifest names. With the manifest damaged or gone, which is
 * told of that blob itself, nobody knows them.
 */
async function artifactItem(ctx: ImageContext, record: ImageRecord, chainId: ChainId): Promise<NewItem> {
  const what = `files of artifact ${digestHex(record.id).slice(0, 12)}`;
  const none: NewItem = { type: 'layer', what, sources: [], bytes: 0, problem: null };
  if (!ctx.storage.layers.has(chainId)) return { ...none, problem: gone };
  let files: ArtifactFile[];
  try {
    files = await filesOf(ctx, record, what);
  } catch (error) {
    if (verdictOf(error) === null) throw error;
    return { ...none, problem: { kind: 'unverifiable', why: failureChain(error) } };
  }
  const dir = ctx.storage.layers.diffDir(chainId);
  const sources = files.map(({ path, digest, size }) => ({
    type: 'file' as const,
    path: `${dir}/${path}`,
    digest,
    size,
  }));
  return { ...none, sources, bytes: files.reduce((sum, file) => sum + file.size, 0) };
}

async function filesOf(ctx: ImageContext, record: ImageRecord, what: string): Promise<ArtifactFile[]> {
  const bytes = await ctx.storage.content.read(record.manifestDigest);
  if (bytes === null) throw failedPrecondition(`the manifest of the ${what} is gone`);
  if (createHash('sha256').update(bytes).digest('hex') !== digestHex(record.manifestDigest))
    throw failedPrecondition(`the manifest of the ${what} is damaged`);
  const manifest = parseManifest(bytes, record.mediaType, what);
  return manifest.type === 'manifest' ? artifactFiles(manifest.layers, what) : [];
}
