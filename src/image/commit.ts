// Makes an image true: its documents are kept, its record is written, its names leave other images.
// Must not fetch anything.
import { type Digest, type ImageId } from '../lib/id.ts';
import type { Layer } from '../storage/layers.ts';
import { type ImageLayer, type ImageProof, type ImageRecord, imageUser } from './image.ts';
import { joinProofs } from './verify.ts';
import type { ParsedConfig } from './image-config.ts';
import type { ImageContext } from './ports.ts';

/** A document with its bytes. */
export interface Blob {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

/** Everything of an image whose layers are here. */
export interface Draft {
  readonly config: Blob & { readonly parsed: ParsedConfig };
  readonly manifest: Blob & { readonly mediaType: string };
  readonly target: Blob;
  readonly layers: readonly ImageLayer[];
  readonly blobsKept: boolean;
  readonly names: Names;
}

/** What an image is called from now on. */
export interface Names {
  readonly tags: readonly string[];
  readonly digests: readonly string[];
  /** The one that it was asked for by, where that was a digest. */
  readonly askedDigests: readonly string[];
  readonly userSpecifiedImage: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** Null: there is no policy. */
  readonly proof: ImageProof | null;
}

const never = new AbortController().signal;

/** Keeps the documents, finishes the layers and writes the record. */
export async function commitImage(ctx: ImageContext, draft: Draft): Promise<ImageRecord> {
  for (const { digest, bytes } of [draft.config, draft.manifest, draft.target]) {
    await ctx.storage.content.put(digest, bytes);
  }
  const chain = draft.layers.map((layer) => layer.chainId);
  await ctx.storage.layers.settle(chain);
  const { parsed } = draft.config;
  const now = ctx.clock.now();
  const fresh: ImageRecord = {
    id: draft.config.digest as string as ImageId,
    repoTags: [],
    repoDigests: [],
    chain,
    layers: draft.layers,
    sizeBytes: draft.layers.reduce((sum, layer) => sum + layer.unpackedBytes, draft.config.bytes.length),
    user: imageUser(parsed.config.user),
    config: parsed.config,
    platform: parsed.platform,
    manifestDigest: draft.manifest.digest,
    mediaType: draft.manifest.mediaType,
    targetDigest: draft.target.digest,
    blobsKept: draft.blobsKept,
    userSpecifiedImage: '',
    annotations: {},
    pulledAt: now,
    namedAt: now,
  };
  return nameImage(ctx, fresh, draft.names);
}

/**
 * Gives an image its names, on top of those it has, and takes its tags from the images that had them.
 * Writes nothing if nothing changes.
 */
export async function nameImage(ctx: ImageContext, image: ImageRecord, names: Names): Promise<ImageRecord> {
  return ctx.lock.run('images', never, async () => {
    const before = ctx.records.get(image.id);
    const asked = union(before?.askedDigests ?? [], names.askedDigests);
    const record: ImageRecord = {
      ...image,
      repoTags: union(before?.repoTags ?? [], names.tags),
      repoDigests: union(before?.repoDigests ?? [], names.digests),
      userSpecifiedImage: names.userSpecifiedImage,
      annotations: names.annotations,
      pulledAt: before?.pulledAt ?? image.pulledAt,
      proof: await joinProofs(ctx, names.proof, before?.proof ?? null),
      ...(asked.length === 0 ? {} : { askedDigests: asked }),
    };
    if (before && sameRecord(before, record)) return before;
    const named = { ...record, namedAt: ctx.clock.now() };
    await ctx.records.put(named);
    for (const other of ctx.records.list()) {
      if (other.id === named.id || !other.repoTags.some((tag) => names.tags.includes(tag))) continue;
      await ctx.records.put({ ...other, repoTags: other.repoTags.filter((tag) => !names.tags.includes(tag)) });
    }
    return named;
  });
}

const union = (a: readonly string[], b: readonly string[]): string[] => [...new Set([...a, ...b])];

/** Equal but for times. */
const sameRecord = (a: ImageRecord, b: ImageRecord): boolean => comparable(a) === comparable(b);

const comparable = (record: ImageRecord): string =>
  JSON.stringify({ ...record, proof: record.proof ?? null, pulledAt: '', namedAt: '' });

/** A layer as its image's record has it. */
export const imageLayer = (layer: Layer, blob: { digest: Digest; mediaType: string; size: number }): ImageLayer => ({
  chainId: layer.chainId,
  diffId: layer.diffId,
  digest: blob.digest,
  mediaType: blob.mediaType,
  blobBytes: blob.size,
  unpackedBytes: layer.bytes,
});
