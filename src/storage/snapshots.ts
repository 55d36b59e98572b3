// A container's writable layer: `<snapshots>/<container id>/{upper,work}`. Meaningless without its record.
// Must not mount: init mounts in its own namespace.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../lib/clock.ts';
import type { FsInfo, TreeUsage } from '../native/boundary.ts';
import { errno, NativeError } from '../native/errors.ts';
import { diskFailure } from './native-failure.ts';
import type { StorageNative } from './ports.ts';
import type { Projects } from './projects.ts';

export interface SnapshotsOptions {
  readonly snapshotsDir: string;
  readonly trashDir: string;
  readonly native: Pick<StorageNative, 'prepareSnapshot' | 'layerUsage' | 'removeTree' | 'fsInfo'>;
  readonly projects: Projects;
  readonly clock: Clock;
}

const nothing: TreeUsage = { bytes: 0, inodes: 0 };

interface Measured {
  readonly usage: Promise<TreeUsage>;
  /** Until when it is told again. */
  until: bigint;
}

/** How old a usage may be at least: walking a tree costs time. */
const freshNanos = 10_000_000_000n;
/** A tree that takes long to walk is walked seldom: for this many times as long it is left alone. */
const restFactor = 20n;

/** The writable layers of this node. */
export class Snapshots {
  readonly #options: SnapshotsOptions;
  readonly #measured = new Map<string, Measured>();
  readonly #latest = new Map<string, TreeUsage>();

  constructor(options: SnapshotsOptions) {
    this.#options = options;
  }

  /** Makes the directory of all snapshots. */
  async load(): Promise<void> {
    await mkdir(this.#options.snapshotsDir, { recursive: true, mode: 0o700 });
  }

  /** The directory of one container's writable layer. */
  dir(containerId: string): string {
    return join(this.#options.snapshotsDir, containerId);
  }

  /**
   * Makes the writable layer, of at most so many bytes (null: any number); one that is there and empty is fine. Throws
   * failed-precondition for a limit that the file system cannot hold it to.
   */
  async prepare(containerId: string, limitBytes: number | null): Promise<{ upper: string; work: string }> {
    const dir = this.dir(containerId);
    await this.#options.projects.assign(dir, limitBytes);
    try {
      return await this.#options.native.prepareSnapshot({ dir });
    } catch (error) {
      throw diskFailure(error, `prepare the writable layer of container ${containerId}`);
    }
  }

  /** The file system that writable layers are on. */
  async room(): Promise<FsInfo> {
    try {
      return await this.#options.native.fsInfo({ path: this.#options.snapshotsDir });
    } catch (error) {
      throw diskFailure(error, 'look at the file system of writable layers');
    }
  }

  /**
   * Bytes and inodes of the writable layer; zero once it is gone. At most ten seconds old, or, of a tree that takes
   * more than half a second to walk, twenty times as old as that took.
   */
  usage(containerId: string): Promise<TreeUsage> {
    const known = this.#measured.get(containerId);
    const now = this.#options.clock.now();
    if (known && now < known.until) return known.usage;
    const found = this.#measure(containerId);
    const measured = { usage: found.then((usage) => usage ?? nothing), until: now + freshNanos };
    this.#measured.set(containerId, measured);
    void found.then(
      (usage) => {
        const { clock } = this.#options;
        const rest = (clock.now() - now) * restFactor;
        if (rest > freshNanos) measured.until = clock.now() + rest;
        this.#settle(containerId, measured, usage);
      },
      () => this.#settle(containerId, measured, null),
    );
    return measured.usage;
  }

  /** Null once it is gone. */
  async #measure(containerId: string): Promise<TreeUsage | null> {
    const dir = this.dir(containerId);
    try {
      return (
        (await this.#options.projects.usage(dir)) ??
        (await this.#options.native.layerUsage({ dir: join(dir, 'upper') }))
      );
    } catch (error) {
      if (error instanceof NativeError && error.errno === errno.ENOENT) return null;
      throw diskFailure(error, `measure the writable layer of container ${containerId}`);
    }
  }

  /** Keeps what was measured; nothing is kept of a layer that is gone or could not be read. */
  #settle(containerId: string, measured: Measured, usage: TreeUsage | null): void {
    if (this.#measured.get(containerId) !== measured) return;
    if (usage === null) this.#measured.delete(containerId);
    else this.#latest.set(containerId, usage);
  }

  /** The sum of what was measured last of each container, without measuring. */
  knownUsage(): TreeUsage {
    let bytes = 0;
    let inodes = 0;
    for (const usage of this.#latest.values()) {
      bytes += usage.bytes;
      inodes += usage.inodes;
    }
    return { bytes, inodes };
  }

  /** Takes the writable layer away by one rename, freed in the background; nothing there is success. */
  async remove(containerId: string): Promise<void> {
    this.#measured.delete(containerId);
    this.#latest.delete(containerId);
    const { native, trashDir } = this.#options;
    try {
      await native.removeTree({ path: this.dir(containerId), trashDir });
    } catch (error) {
      throw diskFailure(error, `remove the writable layer of container ${containerId}`);
    }
  }
}
