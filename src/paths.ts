// PURE
// The only file that names directories: built from config, everything else by id.

/** Names in `root`, the lock being the first that is there and the last that a purge takes; nothing else is put into it. */
export const rootNames = [
  'lock',
  'sandboxes',
  'containers',
  'images',
  'content',
  'layers',
  'snapshots',
  'ingest',
  'saves',
  'trash',
  'quarantine',
  'networks',
  'checkpoints',
] as const;

type RootName = (typeof rootNames)[number];

/** Where everything of one daemon lies. */
export interface Paths {
  readonly root: string;
  readonly state: string;
  readonly socket: string;
  readonly pidFile: string;
  readonly lockFile: string;
  readonly sandboxesDir: string;
  readonly containersDir: string;
  readonly imagesDir: string;
  readonly contentDir: string;
  readonly layersDir: string;
  readonly snapshotsDir: string;
  readonly ingestDir: string;
  /** Notes on files that are being saved elsewhere. */
  readonly savesDir: string;
  readonly trashDir: string;
  readonly quarantineDir: string;
  readonly networksDir: string;
  /** Where archives of checkpoints are put together; each in a directory of its own that is removed. */
  readonly checkpointsDir: string;
  readonly netnsDir: string;
  readonly socketsDir: string;
  /** Of the metrics' socket alone: a pod that has it mounted reaches nothing else. */
  readonly metricsDir: string;
  /** Record directories. */
  readonly sandboxDir: (id: string) => string;
  readonly containerDir: (id: string) => string;
  /** Directories of run-time files, by id. */
  readonly sandboxRunDir: (id: string) => string;
  readonly bundleDir: (id: string) => string;
  /** State of another OCI runtime, of one sandbox. */
  readonly runtimeRoot: (sandboxId: string) => string;
  readonly monitorSocket: (sandboxId: string) => string;
  readonly netnsPin: (sandboxId: string) => string;
}

/** Longest state directory: a monitor's socket path must fit `sun_path` (108 bytes, unix(7)). */
export const longestStateDir = 107 - '/sockets/'.length - 64;

/** All paths of a daemon whose durable files are under `root` and run-time files under `state`. */
export function buildPaths(root: string, state: string, socket: string): Paths {
  const inRoot = (name: RootName | `${RootName}/${string}`): string => `${root}/${name}`;
  const inState = (name: string): string => `${state}/${name}`;
  return {
    root,
    state,
    socket,
    pidFile: inState('podwrightd.pid'),
    lockFile: inRoot('lock'),
    sandboxesDir: inRoot('sandboxes'),
    containersDir: inRoot('containers'),
    imagesDir: inRoot('images'),
    contentDir: inRoot('content'),
    layersDir: inRoot('layers'),
    snapshotsDir: inRoot('snapshots'),
    ingestDir: inRoot('ingest'),
    savesDir: inRoot('saves'),
    trashDir: inRoot('trash'),
    quarantineDir: inRoot('quarantine'),
    networksDir: inRoot('networks'),
    checkpointsDir: inRoot('checkpoints'),
    netnsDir: inState('netns'),
    socketsDir: inState('sockets'),
    metricsDir: inState('metrics'),
    sandboxDir: (id) => inRoot(`sandboxes/${id}`),
    containerDir: (id) => inRoot(`containers/${id}`),
    sandboxRunDir: (id) => inState(`sandboxes/${id}`),
    bundleDir: (id) => inState(`containers/${id}`),
    runtimeRoot: (id) => inState(`sandboxes/${id}/runtime`),
    monitorSocket: (id) => inState(`sockets/${id}`),
    netnsPin: (id) => inState(`netns/${id}`),
  };
}
