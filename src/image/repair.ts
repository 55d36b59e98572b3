// Repairs images: damaged content is taken away, and got again from where its image came.
// Must not touch what is sound, nor what running work holds: a pull brings only what is missing.
import { join } from 'node:path';
import { failureChain } from '../lib/failure.ts';
import { type ChainId, type Digest, digestHex } from '../lib/id.ts';
import type { Layer } from '../storage/layers.ts';
import { blobsOf } from './garbage.ts';
import type { ImageRecord } from './image.ts';
import { type ContentItem, namedImages, verifyImages, type VerifyHooks } from './integrity.ts';
import type { ImageContext } from './ports.ts';
import { pull } from './pull.ts';

/** What became of an image that had damaged content. */
export interface RepairedImage {
  /** A name, or its id. */
  readonly image: string;
  /**
   * `removed`: its layers are gone and could not be got again; the next pull brings it. `kept`: it could not be
   * repaired, or not all of it, but has all its layers.
   */
  readonly outcome: 'repaired' | 'removed' | 'kept';
  /** "" for a repaired one. */
  readonly why: string;
}

/** Where damaged layers go that containers stand on. */
export interface RepairPlaces {
  readonly quarantineDir: string;
}

type Context = ImageContext & RepairPlaces;

/** Damaged content as it was found. */
interface Damage {
  readonly item: ContentItem;
  /** The layer then: another one has come anew since. */
  readonly layer: Layer | undefined;
  state: 'found' | 'taken' | 'held';
}

const never = new AbortController().signal;

/**
 * Verifies the images that texts name (none: all) and repairs those that are damaged, one call after the other. Throws
 * not-found, and what ended a verification, a removal, or the caller's signal.
 */
export function repairImages(
  ctx: Context,
  { references, hooks }: { readonly references: readonly string[]; readonly hooks: VerifyHooks },
  signal: AbortSignal,
): Promise<RepairedImage[]> {
  return ctx.lock.run('repair', signal, async () => {
    const damage = await findDamage(ctx, { records: namedImages(ctx, references), hooks }, signal);
    // images that were not asked for may have the same content
    const affected = ctx.records.list().filter((record) => damageOf(record, damage).length > 0);
    try {
      const repaired: RepairedImage[] = [];
      for (const record of affected) {
        signal.throwIfAborted();
        const own = damageOf(record, damage);
        for (const one of own) await takeAway(ctx, one);
        if (ctx.records.get(record.id)) repaired.push(await again(ctx, { record, own }, signal));
      }
      // of images that were removed meanwhile: the next pull must not find it
      for (const one of damage.values()) await takeAway(ctx, one);
      return repaired;
    } catch (error) {
      // what was taken away stays away; documents and kept blobs are missed by the next repair
      const short = affected.filter((record) => damageOf(record, damage).some(isTakenLayer));
      for (const record of short) await lessen(ctx, record, 'layers').catch(told(ctx, record));
      throw error;
    }
  });
}

async function findDamage(
  ctx: Context,
  { records, hooks }: { readonly records: readonly ImageRecord[]; readonly hooks: VerifyHooks },
  signal: AbortSignal,
): Promise<Map<string, Damage>> {
  const damage = new Map<string, Damage>();
  const onFinding: VerifyHooks['onFinding'] = (found) => {
    const { item } = found;
    const layer = ctx.storage.layers.get(item.key as ChainId);
    if (found.kind === 'damaged') damage.set(item.key, { item, layer, state: 'found' });
    hooks.onFinding(found);
  };
  await verifyImages(ctx, { records, hooks: { ...hooks, onFinding } }, signal);
  return damage;
}

const damageOf = (record: ImageRecord, damage: ReadonlyMap<string, Damage>): Damage[] =>
  [...new Set([...record.chain, ...blobsOf(record)])].flatMap((key) => damage.get(key) ?? []);

/** Takes damaged content away, unless somebody holds it; that is decided once. */
async function takeAway(ctx: Context, damage: Damage): Promise<void> {
  const { item, layer, state } = damage;
  if (state !== 'found') return;
  const { layers, content } = ctx.storage;
  // no await from here to the removal: whoever comes meanwhile must find it held, in use, or gone
  damage.state = ctx.leases.has(item.key) ? 'held' : 'taken';
  if (damage.state === 'held') return;
  if (item.type === 'blob') return content.remove(item.key as Digest);
  const chainId = item.key as ChainId;
  if (layers.get(chainId) !== layer) return;
  const inUse = new Set(ctx.inUseChains()).has(chainId);
  await (inUse ? layers.setAside(chainId, asideOf(ctx, chainId)) : layers.remove(chainId));
}

const isTakenLayer = ({ item, state }: Damage): boolean => item.type === 'layer' && state === 'taken';

/** Named by the time too: a layer may break twice. */
const asideOf = ({ quarantineDir, clock }: Context, chainId: string): string =>
  join(quarantineDir, `layer-${digestHex(chainId)}-${clock.now() / 1_000_000n}`);

interface Broken {
  readonly record: ImageRecord;
  readonly own: readonly Damage[];
}

async function again(ctx: Context, { record, own }: Broken, signal: AbortSignal): Promise<RepairedImage> {
  const image = nameOf(record);
  const left = own.filter(({ state }) => state === 'held').map(({ item }) => item.what);
  const held = { image, outcome: 'kept', why: `running work holds ${left.join(', ')}: repair it later` } as const;
  if (left.length === own.length) return held;
  const reference = record.repoDigests[0];
  const { userSpecifiedImage, annotations } = record;
  const asked = { userSpecifiedImage, annotations, runtimeHandler: '', auth: null, namespace: null };
  // the credentials are the node's own: nobody's are kept
  const request = { ...asked, authFile: null, skipVerify: false, platform: null };
  try {
    if (reference === undefined) throw new NoSource();
    await pull(ctx, { ...request, reference }, signal);
    return left.length === 0 ? { image, outcome: 'repaired', why: '' } : held;
  } catch (error) {
    signal.throwIfAborted();
    const why = error instanceof NoSource ? 'it was loaded from an archive' : failureChain(error);
    const outcome = await lessen(ctx, record, 'all');
    ctx.log.warn({ image, outcome, why }, 'a damaged image could not be got again');
    return { image, outcome, why };
  }
}

const nameOf = (record: ImageRecord): string => record.repoTags[0] ?? record.repoDigests[0] ?? record.id;

/**
 * Makes the record say what is left of an image that could not be got again. It goes if layers are gone: it would look
 * whole to everybody who wants to start containers from it. Without kept blobs it is merely not kept any more.
 */
function lessen(ctx: Context, record: ImageRecord, by: 'layers' | 'all'): Promise<'removed' | 'kept'> {
  const { layers, content } = ctx.storage;
  return ctx.lock.run('images', never, async () => {
    const now = ctx.records.get(record.id);
    if (!now) return 'removed';
    if (now.chain.some((id) => !layers.has(id))) {
      await ctx.records.remove(now.id);
      ctx.sweeper.release(now.chain);
      return 'removed';
    }
    if (by === 'all' && now.blobsKept && now.layers.some(({ digest }) => !content.has(digest)))
      await ctx.records.put({ ...now, blobsKept: false });
    return 'kept';
  });
}

/** The failure that ended the repair is thrown; this one comes second. */
const told =
  (ctx: Context, record: ImageRecord) =>
  (error: unknown): void =>
    ctx.log.warn({ image: nameOf(record), error }, 'the record of a damaged image cannot be written');

class NoSource extends Error {}
