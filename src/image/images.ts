// Composes the image room for daemon.ts: a record of bound functions, no logic of its own.
import type { Clock } from '../lib/clock.ts';
import type { ImageId } from '../lib/id.ts';
import { KeyedLock } from '../lib/keyed-lock.ts';
import { SingleFlight } from '../lib/single-flight.ts';
import type { Registry } from '../registry/registry.ts';
import type { Storage } from '../storage/storage.ts';
import type { Verification } from '../verification/verification.ts';
import { fsInfo, type StoreUsage } from './fs-info.ts';
import { type Image, imageView, type Platform } from './image.ts';
import { KeptLayout } from './layout.ts';
import { Leases } from './leases.ts';
import { namedImages, type ContentReport, type VerifyHooks, verifyImages } from './integrity.ts';
import { list } from './list.ts';
import { load, type LoadRequest } from './load.ts';
import type {
  ImageContext,
  ImageLog,
  ImageRecordIndex,
  ImageSettings,
  PullEvent,
  PullRequest,
  VerdictEvent,
} from './ports.ts';
import type { PullView } from './progress.ts';
import { imageUsage, prune, type PrunedImage, type UsageRow } from './prune.ts';
import { pull } from './pull.ts';
import { push, type PushedImage, type PushRequest } from './push.ts';
import { remove } from './remove.ts';
import { type RepairedImage, repairImages } from './repair.ts';
import { save, type SavedImage, type SaveRequest } from './save.ts';
import { type ImagesReport, startImages } from './start.ts';
import { status, statusInfo } from './status.ts';
import { Sweeper, type SweepReport } from './sweep.ts';
import { admitUse, type ImageUse } from './verify.ts';

export interface ImagesOptions {
  readonly registry: Registry;
  readonly storage: Storage;
  readonly records: ImageRecordIndex;
  readonly clock: Clock;
  readonly log: ImageLog;
  readonly config: () => ImageSettings;
  /** registry/platform.ts `platformOf(process.arch)`. */
  readonly platform: Platform;
  /** Chain ids of the layers that containers stand on, of all that have a record. */
  readonly inUseChains: () => Iterable<string>;
  readonly onPull: (event: PullEvent) => void;
  readonly verification: Verification;
  readonly onVerdict: (event: VerdictEvent) => void;
  /** Where damaged layers go that containers stand on. */
  readonly quarantineDir: string;
}

/** The image room. */
export interface Images {
  /** Repairs what a crash left; once, after the records and the storage were loaded. */
  readonly start: () => Promise<ImagesReport>;
  readonly pull: (request: PullRequest, signal: AbortSignal) => Promise<ImageId>;
  readonly push: (request: PushRequest, signal: AbortSignal) => Promise<PushedImage>;
  readonly load: (request: LoadRequest, signal: AbortSignal) => Promise<Image[]>;
  readonly save: (request: SaveRequest, signal: AbortSignal) => Promise<SavedImage[]>;
  /** Holds the content of images against its digests; all images for no references. */
  readonly verify: (references: readonly string[], hooks: VerifyHooks, signal: AbortSignal) => Promise<ContentReport>;
  /** The same, and damaged content is taken away and got again. */
  readonly repair: (references: readonly string[], hooks: VerifyHooks, signal: AbortSignal) => Promise<RepairedImage[]>;
  readonly prune: (all: boolean) => Promise<PrunedImage[]>;
  readonly usage: () => Promise<UsageRow[]>;
  readonly list: (filter: string) => Image[];
  readonly status: (text: string) => Image | null;
  readonly statusInfo: (image: Image) => Promise<Readonly<Record<string, string>>>;
  readonly remove: (text: string) => Promise<void>;
  readonly fsInfo: () => Promise<{ images: StoreUsage[]; containers: StoreUsage[] }>;
  /** The same as status: what a container is made from. */
  readonly find: (text: string) => Image | null;
  readonly get: (id: ImageId) => Image | null;
  /** Holds an image against the policy of the namespace where a container is to be made from it. */
  readonly admit: (use: ImageUse, signal: AbortSignal) => Promise<void>;
  readonly progress: () => PullView[];
  /** Keeps layers from being swept until the returned function is called, as while a container is created. */
  readonly hold: (chain: Iterable<string>) => () => void;
  /** Sweeps soon, in the background: call it when a container is gone, and once after recovery. */
  readonly collect: () => void;
  readonly sweep: () => Promise<SweepReport>;
  /** Cancels downloads, ends timers, and waits until nothing works on the disk any more. */
  readonly stop: () => Promise<void>;
}

/** How long layers of a pull that failed wait for its retry. */
const graceMs = 600_000;

/** Puts the room together. */
export function createImages(options: ImagesOptions): Images {
  const { storage, clock, log, inUseChains } = options;
  const leases: Leases = new Leases((keys) => sweeper.freed(keys));
  const layout = new KeptLayout({ ...options, leases });
  const { records } = layout;
  const sweeper = new Sweeper({ storage, records, leases, clock, log, inUseChains, graceMs });
  const ctx: ImageContext & { quarantineDir: string } = {
    ...options,
    records,
    leases,
    sweeper,
    lock: new KeyedLock(),
    flights: new SingleFlight<ImageId>(),
    active: new Set(),
  };
  const find = (text: string): Image | null => status(ctx, text);
  return {
    start: async () => {
      const report = await startImages(ctx);
      layout.refresh();
      return report;
    },
    pull: (request, signal) => pull(ctx, request, signal),
    push: (request, signal) => push(ctx, request, signal),
    load: (request, signal) => load(ctx, request, signal),
    save: (request, signal) => save(ctx, request, signal),
    verify: (references, hooks, signal) => verifyImages(ctx, { records: namedImages(ctx, references), hooks }, signal),
    repair: (references, hooks, signal) => repairImages(ctx, { references, hooks }, signal),
    prune: (all) => prune(ctx, all),
    usage: () => imageUsage(ctx),
    list: (filter) => list(ctx, filter),
    status: find,
    statusInfo: (image) => statusInfo(ctx, image),
    remove: (text) => remove(ctx, text),
    fsInfo: () => fsInfo(ctx),
    find,
    get: (id) => {
      const record = records.get(id);
      return record ? imageView(record, options.config().pinned) : null;
    },
    admit: (use, signal) => admitUse(ctx, use, signal),
    progress: () => {
      const running = ctx.active.size === 0 ? [] : storage.progress();
      return [...ctx.active].map((one) => one.view(running));
    },
    hold: (chain) => leases.hold(chain),
    collect: () => sweeper.schedule(0),
    sweep: () => sweeper.sweep(),
    stop: async () => {
      await storage.layers.close();
      await sweeper.stop();
      await layout.settled();
    },
  };
}
