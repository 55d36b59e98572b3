// PURE
// What nothing needs any more: mark, from records and containers, and name the rest.
// Must not remove anything, and must not count references.
import type { ChainId, Digest } from '../lib/id.ts';
import type { ImageRecord } from './image.ts';

/** Everything that is there, and everything that needs something. */
export interface GarbageFacts {
  readonly layers: Iterable<{ readonly chainId: ChainId; readonly committedAt: bigint }>;
  readonly blobs: Iterable<Digest>;
  readonly records: Iterable<ImageRecord>;
  /** Chain ids that containers stand on, images removed or not. */
  readonly inUse: Iterable<string>;
  /** Chain ids and blobs that running pulls and creations rely on. */
  readonly held: (key: string) => boolean;
  /** Chain ids of images that were removed: nobody waits for them. */
  readonly released: ReadonlySet<string>;
  /** Unix nanoseconds. */
  readonly now: bigint;
  /** How long a layer that no image needs is kept for the retry of a pull that failed, in nanoseconds. */
  readonly graceNanos: bigint;
}

/** What may go. */
export interface Garbage {
  readonly layers: readonly ChainId[];
  readonly blobs: readonly Digest[];
  /** Whether layers are kept only for a retry: they go when their grace is over. */
  readonly waiting: boolean;
  /** What may go as soon as nobody holds it. */
  readonly held: ReadonlySet<string>;
}

/** The layers and blobs that are neither needed nor kept for a retry. */
export function garbage(facts: GarbageFacts): Garbage {
  const needed = new Set<string>(facts.inUse);
  for (const record of facts.records) {
    for (const key of [...record.chain, ...blobsOf(record)]) needed.add(key);
  }
  const young = (layer: { chainId: ChainId; committedAt: bigint }): boolean =>
    !facts.released.has(layer.chainId) && facts.now - layer.committedAt < facts.graceNanos;
  const unneeded = [...facts.layers].filter((layer) => !needed.has(layer.chainId));
  const old = unneeded.filter((layer) => !young(layer)).map((layer) => layer.chainId);
  const blobs = [...facts.blobs].filter((digest) => !needed.has(digest));
  const isFree = (key: string): boolean => !facts.held(key);
  return {
    layers: old.filter(isFree),
    blobs: blobs.filter(isFree),
    waiting: unneeded.some((layer) => young(layer) && isFree(layer.chainId)),
    held: new Set([...old, ...blobs].filter(facts.held)),
  };
}

/** The blobs that a record needs: config, manifests, and its layers where they are kept. */
export function blobsOf(record: ImageRecord): string[] {
  const config = record.artifact?.config;
  const documents = [record.id as string, record.manifestDigest, record.targetDigest, ...(config ? [config] : [])];
  return record.blobsKept ? [...documents, ...record.layers.map((layer) => layer.digest)] : documents;
}
