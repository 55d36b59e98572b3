// Content on disk: composes layers, blobs, writable layers and archives of one daemon.
// Must not decide what is kept: it is told.
import { stat } from 'node:fs/promises';
import type { Clock } from '../lib/clock.ts';
import type { Step } from '../lib/steps.ts';
import type { FetchProgress } from '../native/boundary.ts';
import { Archives } from './archives.ts';
import { Content } from './content.ts';
import { Exports } from './exports.ts';
import { Outgoing } from './outgoing.ts';
import { Layers, type LayersReport } from './layers.ts';
import type { FetchBounds, StorageNative } from './ports.ts';
import { Projects } from './projects.ts';
import { RootfsFiles } from './rootfs-files.ts';
import { Snapshots } from './snapshots.ts';

/** Where things lie (paths.ts). */
export interface StoragePaths {
  readonly layersDir: string;
  readonly contentDir: string;
  readonly snapshotsDir: string;
  readonly ingestDir: string;
  readonly savesDir: string;
  readonly trashDir: string;
}

export interface StorageOptions {
  readonly paths: StoragePaths;
  readonly native: StorageNative;
  readonly step: Step;
  readonly clock: Clock;
  readonly bounds: FetchBounds;
  /** The first project that writable layers may be (Projects). */
  readonly firstProject: number;
  /** Told of failures in the background, where nobody waits. */
  readonly onError: (error: unknown) => void;
}

/** What a start found and threw away. */
export interface StorageReport {
  readonly layers: LayersReport;
  readonly droppedBlobs: number;
}

/** Port: the stores. */
export interface Storage {
  readonly layers: Layers;
  readonly content: Content;
  readonly snapshots: Snapshots;
  readonly projects: Projects;
  readonly archives: Archives;
  readonly rootfsFiles: RootfsFiles;
  readonly exports: Exports;
  readonly outgoing: Outgoing;
  /** Reads what is there, sweeps what is unfinished; freeing goes on in the background. */
  load(): Promise<StorageReport>;
  /** Fetches and unpackings that run. */
  progress(): readonly FetchProgress[];
  /** Room taken by layers and by writable layers, from memory, and where they are. */
  usage(): Promise<StorageUsage>;
}

/** Bytes and inodes by store. */
export interface StorageUsage {
  readonly layers: { readonly dir: string; readonly bytes: number; readonly inodes: number };
  /** Configs, manifests and kept blobs. */
  readonly content: { readonly dir: string; readonly bytes: number; readonly inodes: number };
  readonly snapshots: { readonly dir: string; readonly bytes: number; readonly inodes: number };
  /** Whether both are on one file system. */
  readonly sameFilesystem: boolean;
}

/** Composes the storage room. */
export function createStorage(options: StorageOptions): Storage {
  const { paths, native, step, clock, bounds } = options;
  const layers = new Layers({ layersDir: paths.layersDir, trashDir: paths.trashDir, native, bounds, clock });
  const content = new Content({ contentDir: paths.contentDir, native, step, bounds });
  const { snapshotsDir, trashDir } = paths;
  const projects = new Projects({ dir: snapshotsDir, firstProject: options.firstProject, native });
  const snapshots = new Snapshots({ snapshotsDir, trashDir, native, projects, clock, onError: options.onError });
  const archives = new Archives({ ingestDir: paths.ingestDir, native, trashDir: paths.trashDir });
  const exports = new Exports({ native, savesDir: paths.savesDir });
  const rootfsFiles = new RootfsFiles({ native, lowerDirs: (chain) => layers.lowerDirs(chain) });
  return {
    layers,
    content,
    snapshots,
    projects,
    archives,
    rootfsFiles,
    exports,
    outgoing: new Outgoing({ ingestDir: paths.ingestDir, native, exports, bounds }),
    load: async () => {
      await snapshots.load();
      await projects.load(options.onError);
      await archives.load();
      exports.sweep().catch(options.onError);
      const report = { layers: await layers.load(), droppedBlobs: await content.load() };
      native.sweepTrash({ trashDir: paths.trashDir }).catch(options.onError);
      return report;
    },
    progress: () => native.fetchProgress(),
    usage: () => usage({ layers, content, snapshots }, paths),
  };
}

async function usage(
  { layers, content, snapshots }: Pick<Storage, 'layers' | 'content' | 'snapshots'>,
  paths: StoragePaths,
): Promise<StorageUsage> {
  const [a, b] = await Promise.all([stat(paths.layersDir), stat(paths.snapshotsDir)]);
  return {
    layers: { dir: paths.layersDir, ...layers.usage() },
    content: { dir: paths.contentDir, ...content.usage() },
    snapshots: { dir: paths.snapshotsDir, ...snapshots.knownUsage() },
    sameFilesystem: a.dev === b.dev,
  };
}
