// Blobs verified and written out (native/crates/addon/src/fetch.rs): a section of boundary.ts.
import type { ArchiveEntry } from './fetch-calls.ts';
import type { Outcome } from './outcome.ts';

// Failures as in fetch-calls.ts; stage 'layer' is an unpacked layer that is damaged or has no tar index.

/** A blob of the store. */
export type ExportSource =
  /** The tar of an unpacked layer, put together from its index and its files. */
  | { readonly type: 'layer'; readonly layerDir: string; readonly diffId: string }
  | { readonly type: 'file'; readonly path: string; readonly digest: string; readonly size: number }
  /** A file of an archive that is loaded. */
  | { readonly type: 'entry'; readonly path: string; readonly entry: ArchiveEntry; readonly digest: string }
  | { readonly type: 'text'; readonly text: string };

/** Where an exported blob goes. */
export type ExportInto =
  /** Behind what the tar at `path` has, which beginArchive made with this inode; `name` null: `blobs/<algorithm>/<hex>`. */
  | { readonly type: 'archive'; readonly path: string; readonly inode: string; readonly name: string | null }
  /** A file of that directory, named by the hex of its digest. */
  | { readonly type: 'directory'; readonly path: string };

export interface ExportBlobRequest {
  /** For fetchProgress and fetchCancel. */
  readonly handle: string;
  readonly source: ExportSource;
  readonly compression: 'none' | 'gzip' | 'zstd';
  readonly into: ExportInto;
}

export interface ExportExports {
  /** Reads a blob or a layer to nowhere and compares its digest: its length. Mismatch: stage 'digest'. */
  verifyBlob(request: { readonly handle: string; readonly source: ExportSource }): Promise<Outcome<{ readonly bytes: number }>>;
  /** Writes one blob, verified; into one archive one after the other. On failure the archive is to be thrown away. */
  exportBlob(request: ExportBlobRequest): Promise<Outcome<{ readonly digest: string; readonly bytes: number }>>;
  /** Makes an empty file where nothing is (mode 0600): its inode's number, which the calls that write it hold it against. */
  beginArchive(args: { readonly path: string }): Promise<Outcome<{ readonly inode: string }>>;
  /** Ends the tar at `path`, syncs it and renames it to `to`, over a file that is there: its length. */
  finishArchive(args: { readonly path: string; readonly inode: string; readonly to: string }): Promise<Outcome<{ readonly bytes: number }>>;
}
