// Images that nobody needs, and what images take on the disk.
// Must not take what is pinned or what a container stands on.
import type { ChainId } from '../lib/id.ts';
import { type ImageRecord, isPinned } from './image.ts';
import type { ImageContext } from './ports.ts';

/** An image that was removed. */
export interface PrunedImage {
  readonly id: string;
  readonly tags: readonly string[];
  /** Of its layers that no other image and no container has. */
  readonly bytes: number;
}

const never = new AbortController().signal;

/** Whether a container stands on all of an image's layers. */
const isUsed = (record: ImageRecord, inUse: ReadonlySet<string>): boolean =>
  record.chain.length > 0 && record.chain.every((id) => inUse.has(id));

/** Whether somebody asked for it by a name that still is its own: a tag, or a digest, which no other image can take. */
const isNamed = ({ repoTags, askedDigests = [], userSpecifiedImage }: ImageRecord): boolean =>
  // records of earlier releases do not say what they were asked for by, but what the pod's author wrote
  repoTags.length > 0 || askedDigests.length > 0 || userSpecifiedImage.includes('@sha256:');

/** Removes unused images without a name; with `all` named ones too. */
export async function prune(ctx: ImageContext, all: boolean): Promise<PrunedImage[]> {
  const { pinned } = ctx.config();
  const pruned: PrunedImage[] = [];
  await ctx.lock.run('images', never, async () => {
    for (const record of ctx.records.list()) {
      const inUse = new Set(ctx.inUseChains()); // now: a container may have been made since the last one
      if (isUsed(record, inUse) || isPinned(record, pinned) || (!all && isNamed(record))) continue;
      if (record.chain.some((id) => ctx.leases.has(id))) continue; // a container is being made of it
      await ctx.records.remove(record.id);
      const bytes = bytesOf(ctx, freedBy(ctx.records.list(), record, inUse));
      pruned.push({ id: record.id, tags: record.repoTags, bytes });
      ctx.sweeper.release(record.chain);
    }
  });
  ctx.log.info({ images: pruned.map(({ id }) => id) }, 'unused images removed');
  return pruned;
}

function freedBy(left: readonly ImageRecord[], removed: ImageRecord, inUse: ReadonlySet<string>): ChainId[] {
  const needed = new Set(left.flatMap((record) => record.chain as readonly string[]));
  return removed.chain.filter((id) => !needed.has(id) && !inUse.has(id));
}

function bytesOf(ctx: ImageContext, chain: readonly ChainId[]): number {
  const layers = [...new Set(chain)].map((id) => ctx.storage.layers.get(id));
  return layers.reduce((sum, layer) => sum + (layer?.diskBytes ?? layer?.bytes ?? 0), 0);
}

/** One kind of content. */
export interface UsageRow {
  readonly what: string;
  /** 0 where it is not counted. */
  readonly count: number;
  readonly bytes: number;
  readonly inodes: number;
  readonly reclaimableBytes: number;
  readonly path: string;
}

/** What the store holds, from memory. */
export async function imageUsage(ctx: ImageContext): Promise<UsageRow[]> {
  const { layers, content, snapshots } = await ctx.storage.usage();
  const inUse = new Set(ctx.inUseChains());
  const kept = ctx.records.list().filter((r) => isUsed(r, inUse) || isPinned(r, ctx.config().pinned));
  const needed = new Set<string>([...inUse, ...kept.flatMap((r) => r.chain as readonly string[])]);
  const free = ctx.storage.layers.list().filter(({ chainId }) => !needed.has(chainId));
  const reclaimable = free.reduce((sum, layer) => sum + (layer.diskBytes ?? layer.bytes), 0);
  const row = (what: string, count: number, used: { dir: string; bytes: number; inodes: number }): UsageRow => {
    const { dir: path, bytes, inodes } = used;
    return { what, count, bytes, inodes, reclaimableBytes: 0, path };
  };
  return [
    { ...row('layers', ctx.storage.layers.list().length, layers), reclaimableBytes: reclaimable },
    row('blobs', content.inodes, content),
    row('writable layers', 0, snapshots),
  ];
}
