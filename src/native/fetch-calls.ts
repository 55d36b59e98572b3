// Blobs, layers and archives (native/crates/addon/src/fetch.rs): a section of boundary.ts.
import type { Outcome } from './outcome.ts';

// Failures: `syscall` is the stage (FetchStage), `errno` the HTTP status for 'http' and the errno for
// 'connect', 'disk' and 'clone', which is that no thread could be started (0 elsewhere), `object` the digest; credentials are never in a message.

/** Where a fetch failed. */
export type FetchStage =
  | 'http' | 'tls' | 'dns' | 'connect' | 'timeout' | 'digest' | 'inflate' | 'tar' | 'limit' | 'cancel' | 'disk' | 'clone' | 'archive' | 'layer' | 'request';

/** TLS settings of one host: PEM files. `clientCert` and `clientKey` come together. */
export interface FetchTls {
  /** Trusted besides the system's store. */
  readonly caFiles: readonly string[];
  readonly clientCert: string | null;
  readonly clientKey: string | null;
  readonly skipVerify: boolean;
}

/** One blob at one host, with all that is needed to ask for it. */
export interface FetchSource {
  /** Chosen by the caller, unique among running fetches: for fetchProgress and fetchCancel. */
  readonly handle: string;
  readonly url: string;
  /** Name and value; all but Accept and User-Agent are dropped on a redirect to another host. */
  readonly headers: readonly (readonly [string, string])[];
  /** Whether plain HTTP may be spoken, to this host and where it redirects. */
  readonly allowHttp: boolean;
  readonly tls: FetchTls;
  /** `http://[user:password@]host:port` (or https, for a proxy spoken to over TLS), or null for none. */
  readonly proxy: string | null;
  readonly connectMs: number;
  /** No byte for this long: the connection is given up and resumed. */
  readonly stallMs: number;
  /** Connections at most for this blob, the first included: broken ones are resumed by Range. 1 to 20. */
  readonly attempts: number;
}

/** Bounds of one layer; beyond any of them the fetch fails with stage 'limit'. */
export interface UnpackLimits {
  readonly maxEntries: number;
  /** Bytes of the uncompressed tar, and of the files it makes. */
  readonly maxBytes: number;
  /** Uncompressed bytes for one compressed byte (looked at after the first 16 MiB). */
  readonly maxRatio: number;
  /** Components of one path. */
  readonly maxDepth: number;
  readonly maxPathBytes: number;
  /** All extended attributes of one entry, names and values. */
  readonly maxXattrBytes: number;
}

/** Where a layer goes. */
export interface LayerDestination {
  /** Made by the call (its parent exists); holds `diff/` on success, is gone on failure. */
  readonly stagingDir: string;
  /** Where the compressed blob is kept too (made by rename beside it once verified), or null. */
  readonly keepBlobPath: string | null;
}

export interface FetchLayerRequest extends FetchSource {
  readonly expected: { readonly digest: string; readonly size: number; readonly diffId: string; readonly mediaType: string };
  readonly destination: LayerDestination;
  readonly limits: UnpackLimits;
}

/** A layer that was verified, unpacked into `<stagingDir>/diff` and synced. */
export interface UnpackedLayer {
  readonly blobDigest: string;
  readonly blobBytes: number;
  readonly diffId: string;
  /** Bytes of file contents. */
  readonly unpackedBytes: number;
  /** Bytes and inodes that the layer's directory takes on the disk. */
  readonly diskBytes: number;
  readonly inodes: number;
  /** Entries of the tar. */
  readonly entries: number;
}

export interface FetchBlobRequest extends FetchSource {
  readonly expected: { readonly digest: string; readonly size: number };
  /** Written here (by rename, synced) instead of returned; null: returned, at most 8 MiB. */
  readonly keepBlobPath: string | null;
}

export interface FetchedBlob {
  /** Base64; null when it went to a file. */
  readonly data: string | null;
  readonly digest: string;
  readonly bytes: number;
}

export interface FetchProgress {
  readonly handle: string;
  /** Compressed bytes so far, and as expected. */
  readonly bytes: number;
  readonly totalBytes: number;
  readonly unpackedBytes: number;
  readonly stage: 'queued' | 'connecting' | 'downloading' | 'waiting' | 'unpacking' | 'syncing' | 'uploading';
}

/** One file of an archive: a docker archive (tar), an OCI layout (tar or directory). */
export interface ArchiveEntry {
  readonly name: string;
  /** Of the contents in the tar; 0 in a directory. */
  readonly offset: number;
  readonly size: number;
}

export interface ArchiveIndex {
  /** What to name in archiveRead and unpackFromArchive: the path given, or a plain tar inflated into workDir. */
  readonly path: string;
  /** True when `path` is such a tar in workDir: the caller removes it at the end. */
  readonly temporary: boolean;
  /** Regular files; links inside the archive are shown with the offset and size of what they name. */
  readonly entries: readonly ArchiveEntry[];
  /** Text of manifest.json, index.json, oci-layout and repositories, as far as present. */
  readonly files: Readonly<Record<string, string>>;
}

export interface UnpackFromArchiveRequest {
  readonly handle: string;
  readonly path: string;
  readonly entry: ArchiveEntry;
  /** `digest` of the bytes as stored, null where only the diff id is known; compression is told by magic. */
  readonly expected: { readonly digest: string | null; readonly diffId: string };
  readonly destination: LayerDestination;
  readonly limits: UnpackLimits;
}

export interface FetchExports {
  /** Downloads, verifies, inflates and unpacks one layer on own threads; at most four at once, others wait. */
  fetchLayer(request: FetchLayerRequest): Promise<Outcome<UnpackedLayer>>;
  /** Downloads and verifies one blob (a config, or any blob into a file). */
  fetchBlob(request: FetchBlobRequest): Promise<Outcome<FetchedBlob>>;
  /** All fetches that run or wait. */
  fetchProgress(): Outcome<readonly FetchProgress[]>;
  /** Makes the fetch fail with stage 'cancel' soon; false if there is none of that handle. */
  fetchCancel(args: { readonly handle: string }): Outcome<boolean>;
  /** Lists an archive; a compressed one is inflated once into `workDir`. */
  archiveIndex(args: { readonly path: string; readonly workDir: string }): Promise<Outcome<ArchiveIndex>>;
  /** One file of an archive as base64, at most 8 MiB. */
  archiveRead(args: { readonly path: string; readonly entry: ArchiveEntry }): Promise<Outcome<{ readonly data: string }>>;
  /** The same pipeline as fetchLayer, from a file. */
  unpackFromArchive(request: UnpackFromArchiveRequest): Promise<Outcome<UnpackedLayer>>;
}
