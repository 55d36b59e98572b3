// What the image verbs need from the hands, as types: images.ts puts it together.
import type { Clock } from '../lib/clock.ts';
import type { FailureKind } from '../lib/failure.ts';
import type { ChainId, ImageId } from '../lib/id.ts';
import type { KeyedLock } from '../lib/keyed-lock.ts';
import type { SingleFlight } from '../lib/single-flight.ts';
import type { AuthConfig } from '../registry/credentials.ts';
import type { Registry } from '../registry/registry.ts';
import type { Storage } from '../storage/storage.ts';
import type { Verification } from '../verification/verification.ts';
import type { ImageRecord, Platform } from './image.ts';
import type { Leases } from './leases.ts';
import type { PullProgress } from './progress.ts';

/** The index over image records. */
export interface ImageRecordIndex {
  put(record: ImageRecord): Promise<void>;
  remove(id: string): Promise<void>;
  get(id: string): ImageRecord | undefined;
  list(): ImageRecord[];
}

/** The log as this room uses it. */
export interface ImageLog {
  debug(fields: Readonly<Record<string, unknown>>, message: string): void;
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** Settings, read anew at each use: a reload changes them. */
export interface ImageSettings {
  /** Layers of one image that are downloaded at once. */
  readonly maxParallelDownloads: number;
  readonly keepBlobs: boolean;
  /** Globs of references. */
  readonly pinned: readonly string[];
}

/** CRI PullImageRequest. */
export interface PullRequest {
  readonly reference: string;
  readonly userSpecifiedImage: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** Every handler of this node takes the same platform, so it chooses nothing. */
  readonly runtimeHandler: string;
  readonly auth: AuthConfig | null;
  /** Namespace of the pod, null if not said. */
  readonly namespace: string | null;
  /** An auth.json or config.json in place of the node's own, absolute. Not of the CRI, as what follows. */
  readonly authFile: string | null;
  /** Takes any certificate of the registry. */
  readonly skipVerify: boolean;
  /** Null for this machine's. */
  readonly platform: Platform | null;
}

/** How a pull ended, for metrics. */
export interface PullEvent {
  readonly reference: string;
  /** `ok`, or the kind of the failure. */
  readonly outcome: 'ok' | FailureKind;
  readonly durationMs: number;
  /** Bytes downloaded in layers. */
  readonly bytes: number;
}

/** How a policy judged an image, for metrics. */
export interface VerdictEvent {
  readonly at: 'pull' | 'create';
  readonly accepted: boolean;
}

/** What every image verb may use. */
export interface ImageContext {
  readonly registry: Registry;
  readonly storage: Storage;
  readonly records: ImageRecordIndex;
  readonly clock: Clock;
  readonly log: ImageLog;
  readonly config: () => ImageSettings;
  readonly platform: Platform;
  /** Chain ids of the layers that containers stand on. */
  readonly inUseChains: () => Iterable<string>;
  readonly onPull: (event: PullEvent) => void;
  readonly verification: Verification;
  readonly onVerdict: (event: VerdictEvent) => void;
  /** One writer of records at a time: a name moves between two of them. */
  readonly lock: KeyedLock;
  readonly flights: SingleFlight<ImageId>;
  readonly leases: Leases;
  readonly active: Set<PullProgress>;
  readonly sweeper: {
    /** An image was removed. */
    release(chain: readonly ChainId[]): void;
    /** A pull failed. */
    scheduleForRetry(): void;
  };
}
