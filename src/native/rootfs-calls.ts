// Layers, snapshots, removal (native/crates/addon/src/rootfs.rs): a section of boundary.ts.
import type { Outcome } from './outcome.ts';

/** What a directory tree costs: allocated bytes (512-byte blocks times 512, a hard-linked file once) and inodes. */
export interface TreeUsage {
  readonly bytes: number;
  readonly inodes: number;
}

/** The file system under a path (statfs(2), proc_pid_mountinfo(5)). */
export interface FsInfo {
  readonly mountpoint: string;
  readonly totalBytes: number;
  /** What an unprivileged process may still write (f_bavail), as the kubelet reckons. */
  readonly availableBytes: number;
  readonly totalInodes: number;
  readonly freeInodes: number;
  /** `major:minor` of the file system's device. */
  readonly fsId: string;
}

export interface RootfsExports {
  /** Bytes and inodes of a directory tree, mount points below it not entered. */
  layerUsage(args: { readonly dir: string }): Promise<Outcome<TreeUsage>>;
  /** The same of many trees, one after the other, each with its own outcome, in order. */
  layerUsages(args: { readonly dirs: readonly string[] }): Promise<Outcome<readonly Outcome<TreeUsage>[]>>;
  /**
   * A small file read through a stack of layer directories, topmost first, honouring whiteouts, opaque
   * directories and symlinks; `null` if the merged tree has no such file. Above `maxBytes`, or 1 MiB, fails (EFBIG).
   */
  readThrough(args: { readonly layers: readonly string[]; readonly path: string; readonly maxBytes: number }): Promise<Outcome<string | null>>;
  /** Makes `<dir>/upper` (0755) and `<dir>/work` (0700) for a container's overlay; an empty one that is there is fine. */
  prepareSnapshot(args: { readonly dir: string }): Promise<Outcome<{ readonly upper: string; readonly work: string }>>;
  /**
   * Gives the directories that a layer's tar only implied (`<layerDir>/implied`) owner, mode and time of the same
   * directories in the layers below (`diff` directories, topmost first), once those are there. Idempotent; how many were set.
   */
  inheritDirectories(args: { readonly layerDir: string; readonly below: readonly string[] }): Promise<Outcome<number>>;
  /**
   * Renames a finished staging directory to its place and syncs the parent. `committed` is false when
   * somebody else's is there already: then `from` is removed.
   */
  commitDir(args: { readonly from: string; readonly to: string }): Promise<Outcome<{ readonly committed: boolean }>>;
  /** syncfs(2) on the file system that holds `path`. */
  syncFs(args: { readonly path: string }): Promise<Outcome<null>>;
  /**
   * Renames `path` into `trashDir` (same file system, made if absent) and frees it in the background at idle
   * priority. Resolves after the rename; `removed` is false when there was nothing at `path`.
   */
  removeTree(args: { readonly path: string; readonly trashDir: string }): Promise<Outcome<{ readonly removed: boolean }>>;
  /** Renames `path` into `trashDir` as removeTree does; whoever calls sweepTrash frees it. */
  retireTree(args: { readonly path: string; readonly trashDir: string }): Promise<Outcome<{ readonly removed: boolean }>>;
  /** Frees all that is in `trashDir` and resolves when it is empty: the number of its entries removed. */
  sweepTrash(args: { readonly trashDir: string }): Promise<Outcome<{ readonly removed: number }>>;
  /** Writes a file beside `path`, syncs it if `sync`, renames it into place. `mode` is exact (no umask). */
  writeFileAtomic(args: { readonly path: string; readonly data: string; readonly mode: number; readonly sync: boolean }): Promise<Outcome<null>>;
  /** Size and room of the file system under `path`. */
  fsInfo(args: { readonly path: string }): Promise<Outcome<FsInfo>>;
}
