// What a start makes of the image records it finds: an image is only what is complete, a name means one image.
// Must run before any other verb, and only repair.
import type { ImageRecord } from './image.ts';
import type { ImageContext } from './ports.ts';

/** What was repaired. */
export interface ImagesReport {
  readonly images: number;
  /** Ids of images that lacked a layer: they must be pulled again. */
  readonly incomplete: readonly string[];
  /** Names that two records had after a crash between their writes; the later holder keeps them. */
  readonly contested: readonly string[];
}

/** Drops images that lack a layer, finishes the layers of the others, and gives each name to the record that got it last. */
export async function startImages(ctx: Pick<ImageContext, 'records' | 'storage' | 'log'>): Promise<ImagesReport> {
  const incomplete: string[] = [];
  for (const record of ctx.records.list()) {
    const missing = record.chain.filter((id) => !ctx.storage.layers.has(id));
    if (missing.length === 0) {
      await settle(ctx, record);
      continue;
    }
    ctx.log.warn(
      { id: record.id, tags: record.repoTags, missing: missing.length },
      'image lacks layers and is dropped',
    );
    await ctx.records.remove(record.id);
    incomplete.push(record.id);
  }
  const contested = await settleNames(ctx);
  return { images: ctx.records.list().length, incomplete, contested };
}

/** The record may have outlived the attributes set before it, if the power went. */
async function settle({ storage, log }: Pick<ImageContext, 'storage' | 'log'>, record: ImageRecord): Promise<void> {
  try {
    await storage.layers.settle(record.chain);
  } catch (error) {
    log.warn({ id: record.id, tags: record.repoTags, error }, 'directories of an image may have wrong attributes');
  }
}

async function settleNames(ctx: Pick<ImageContext, 'records'>): Promise<string[]> {
  const holders = new Map<string, ImageRecord>();
  const contested: string[] = [];
  const byAge = ctx.records.list().sort((a, b) => (a.namedAt < b.namedAt ? -1 : a.namedAt > b.namedAt ? 1 : 0));
  for (const record of byAge) {
    for (const tag of record.repoTags) {
      if (holders.has(tag)) contested.push(tag);
      holders.set(tag, record);
    }
  }
  for (const record of byAge) {
    const own = record.repoTags.filter((tag) => holders.get(tag) === record);
    if (own.length < record.repoTags.length) await ctx.records.put({ ...record, repoTags: own });
  }
  return contested;
}
