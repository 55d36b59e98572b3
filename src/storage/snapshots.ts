// A container's writable layer: `<snapshots>/<container id>/{upper,work}`. Meaningless without its record.
// Must not mount: init mounts in its own namespace.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../lib/clock.ts';
import type { FsInfo, TreeUsage } from '../native/boundary.ts';
import { diskFailure } from './native-failure.ts';
import type { StorageNative } from './ports.ts';

export interface SnapshotsOptions {
  readonly snapshotsDir: string;
  readonly trashDir: string;
  readonly native: Pick<StorageNative, 'prepareSnapshot' | 'layerUsage' | 'removeTree' | 'fsInfo'>;
  readonly clock: Clock;
}

interface Measured {
  readonly usage: Promise<TreeUsage>;
  readonly at: bigint;
}

/** How old a usage may be: walking a tree costs time. */
const freshNanos = 10_000_000_000n;

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

  /** Makes the writable layer; one that is there and empty is fine. */
  async prepare(containerId: string): Promise<{ upper: string; work: string }> {
    try {
      return await this.#options.native.prepareSnapshot({ dir: this.dir(containerId) });
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

  /** Bytes and inodes of the writable layer, at most ten seconds old; zero once it is gone. */
  async usage(containerId: string): Promise<TreeUsage> {
    const { clock, native } = this.#options;
    const known = this.#measured.get(containerId);
    const now = clock.now();
    if (known && now - known.at < freshNanos) return known.usage;
    const usage = native.layerUsage({ dir: join(this.dir(containerId), 'upper') });
    const measured = { usage, at: now };
    this.#measured.set(containerId, measured);
    try {
      const value = await usage;
      if (this.#measured.get(containerId) === measured) this.#latest.set(containerId, value);
      return value;
    } catch (error) {
      if (this.#measured.get(containerId) === measured) this.#measured.delete(containerId);
      throw diskFailure(error, `measure the writable layer of container ${containerId}`);
    }
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
