// Repairs images: damaged content is taken away, and got again from where its image came.
// Must not touch what is sound: a pull brings only what is missing.
import { join } from 'node:path';
import { failureChain } from '../lib/failure.ts';
import { type ChainId, type Digest, digestHex } from '../lib/id.ts';
import type { ImageRecord } from './image.ts';
import { type ContentFinding, verifyImages, type VerifyHooks } from './integrity.ts';
import type { ImageContext } from './ports.ts';
import { pull } from './pull.ts';

/** What became of an image that had damaged content. */
export interface RepairedImage {
  /** A name, or its id. */
  readonly image: string;
  /** `removed`: it could not be got again; the next pull brings it. */
  readonly outcome: 'repaired' | 'removed';
  /** "" for a repaired one. */
  readonly why: string;
}

/** Where damaged layers go that containers stand on. */
export interface RepairPlaces {
  readonly quarantineDir: string;
}

const never = new AbortController().signal;

/** Verifies images and repairs those that are damaged. */
export async function repairImages(
  ctx: ImageContext & RepairPlaces,
  { records, hooks }: { readonly records: readonly ImageRecord[]; readonly hooks: VerifyHooks },
  signal: AbortSignal,
): Promise<RepairedImage[]> {
  const damaged: ContentFinding[] = [];
  const onFinding = (found: ContentFinding): void => {
    if (found.kind === 'damaged') damaged.push(found);
    hooks.onFinding(found);
  };
  await verifyImages(ctx, { records, hooks: { ...hooks, onFinding } }, signal);
  const inUse = new Set(ctx.inUseChains());
  for (const { item } of damaged) {
    if (item.type === 'blob') await ctx.storage.content.remove(item.key as Digest);
    else if (inUse.has(item.key)) await ctx.storage.layers.setAside(item.key as ChainId, asideOf(ctx, item.key));
    else await ctx.storage.layers.remove(item.key as ChainId);
  }
  const broken = new Set(damaged.map(({ item }) => item.key));
  // images that were not asked for may have the same layers
  const affected = ctx.records
    .list()
    .filter(
      (r) =>
        [...r.chain, r.id, r.manifestDigest, r.targetDigest].some((key) => broken.has(key)) ||
        r.layers.some(({ digest }) => broken.has(digest)),
    );
  const repaired: RepairedImage[] = [];
  for (const record of affected) repaired.push(await again(ctx, record, signal));
  return repaired;
}

/** Named by the time too: a layer may break twice. */
const asideOf = ({ quarantineDir, clock }: ImageContext & RepairPlaces, chainId: string): string =>
  join(quarantineDir, `layer-${digestHex(chainId)}-${clock.now() / 1_000_000n}`);

async function again(ctx: ImageContext, record: ImageRecord, signal: AbortSignal): Promise<RepairedImage> {
  const image = record.repoTags[0] ?? record.repoDigests[0] ?? record.id;
  const reference = record.repoDigests[0];
  const { userSpecifiedImage, annotations } = record;
  const request = { userSpecifiedImage, annotations, runtimeHandler: '', auth: null, namespace: null };
  try {
    if (reference === undefined) throw new NoSource();
    await pull(ctx, { ...request, reference }, signal);
    return { image, outcome: 'repaired', why: '' };
  } catch (error) {
    // kept, it would look whole to everybody who wants to start containers from it
    await ctx.lock.run('images', never, () => ctx.records.remove(record.id));
    ctx.sweeper.release(record.chain);
    const why = error instanceof NoSource ? 'it was loaded from an archive' : failureChain(error);
    ctx.log.warn({ image, why }, 'a damaged image could not be got again and was removed');
    return { image, outcome: 'removed', why };
  }
}

class NoSource extends Error {}
