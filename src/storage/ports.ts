// What this room needs of the addon, and what callers give it to fetch. Types only.
import type { UnpackLimits } from '../native/boundary.ts';
import type { Native } from '../native/load.ts';
export type { FetchProgress } from '../native/boundary.ts';
import type { ChainId, Digest } from '../lib/id.ts';

/** The part of the addon that works on layers, snapshots and blobs. */
export type StorageNative = Pick<
  Native,
  | 'layerUsage'
  | 'layerUsages'
  | 'fsInfo'
  | 'quotaSupport'
  | 'quotaAssign'
  | 'quotaUsage'
  | 'quotaForget'
  | 'readThrough'
  | 'prepareSnapshot'
  | 'inheritDirectories'
  | 'commitDir'
  | 'removeTree'
  | 'sweepTrash'
  | 'writeFileAtomic'
  | 'fetchLayer'
  | 'fetchBlob'
  | 'fetchProgress'
  | 'fetchCancel'
  | 'archiveIndex'
  | 'archiveRead'
  | 'unpackFromArchive'
  | 'verifyBlob'
  | 'exportBlob'
  | 'beginArchive'
  | 'finishArchive'
  | 'sendBlob'
  | 'syncFs'
>;

/** A blob at one host, with all that is needed to ask for it (registry BlobSource). */
export interface FetchFrom {
  readonly host: string;
  readonly url: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly allowHttp: boolean;
  readonly tls: {
    readonly caFiles: readonly string[];
    readonly clientCert: string | null;
    readonly clientKey: string | null;
    readonly skipVerify: boolean;
  };
  readonly proxy: string | null;
  readonly connectMs: number;
}

/** Bounds of every fetch. */
export interface FetchBounds {
  /** Milliseconds without a byte until a connection is given up and resumed. */
  readonly stallMs: number;
  /** Connections at most for one blob. */
  readonly attempts: number;
  readonly limits: UnpackLimits;
}

/** The blob and the layer that comes of it. */
export interface LayerBlob {
  readonly chainId: ChainId;
  readonly diffId: Digest;
  readonly digest: Digest;
  /** Bytes of the blob. */
  readonly size: number;
  readonly mediaType: string;
}
