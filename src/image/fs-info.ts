// ImageFsInfo: from records, never by walking trees.
import type { ImageContext } from './ports.ts';

/** CRI FilesystemUsage: where it is (a path that exists), and what is used of it by us. */
export interface StoreUsage {
  /** Unix nanoseconds. */
  readonly timestamp: bigint;
  readonly mountpoint: string;
  readonly usedBytes: bigint;
  readonly inodesUsed: bigint;
}

/**
 * CRI ImageFsInfoResponse: layers with documents and kept blobs, and the containers' writable layers as measured last. On one file
 * system both have one mountpoint, which tells the kubelet that they share their room.
 */
export async function fsInfo(
  ctx: Pick<ImageContext, 'storage' | 'clock'>,
): Promise<{ images: StoreUsage[]; containers: StoreUsage[] }> {
  const { layers, content, snapshots, sameFilesystem } = await ctx.storage.usage();
  const timestamp = ctx.clock.now();
  const usage = (mountpoint: string, used: { bytes: number; inodes: number }): StoreUsage => ({
    timestamp,
    mountpoint,
    usedBytes: BigInt(used.bytes),
    inodesUsed: BigInt(used.inodes),
  });
  return {
    images: [usage(layers.dir, { bytes: layers.bytes + content.bytes, inodes: layers.inodes + content.inodes })],
    containers: [usage(sameFilesystem ? layers.dir : snapshots.dir, snapshots)],
  };
}
