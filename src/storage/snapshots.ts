// A container's writable layer: `<snapshots>/<container id>/{upper,work}`. Meaningless without its record.
// Must not mount: init mounts in its own namespace.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../lib/clock.ts';
import type { FsInfo, Outcome, TreeUsage } from '../native/boundary.ts';
import { errno, NativeError, unwrap } from '../native/errors.ts';
import { type LayerMeasure, LayerMeter } from './layer-meter.ts';
import { diskFailure } from './native-failure.ts';
import type { StorageNative } from './ports.ts';
import type { Projects } from './projects.ts';

export interface SnapshotsOptions {
  readonly snapshotsDir: string;
  readonly trashDir: string;
  readonly native: Pick<StorageNative, 'prepareSnapshot' | 'layerUsages' | 'removeTree' | 'fsInfo'>;
  readonly projects: Projects;
  readonly clock: Clock;
  /** Told of measures in the background that fail. */
  readonly onError: (error: unknown) => void;
}

/** The writable layers of this node. */
export class Snapshots {
  readonly #options: SnapshotsOptions;
  readonly #meter: LayerMeter;

  constructor(options: SnapshotsOptions) {
    this.#options = options;
    const { clock, onError } = options;
    this.#meter = new LayerMeter({ measure: (ids) => this.#measure(ids), clock, onError });
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
   * Bytes and inodes of writable layers, in order, each with its time; zero of one that is gone. At most ten seconds old, or
   * twice as old for who asks every ten seconds and does not wait for the next measure; a minute where a measure takes
   * long (LayerMeter).
   */
  usages(containerIds: readonly string[]): Promise<readonly LayerMeasure[]> {
    return this.#meter.usages(containerIds);
  }

  /** The same of one, waited for when what is known is older than ten seconds. */
  usage(containerId: string): Promise<LayerMeasure> {
    return this.#meter.usage(containerId);
  }

  /** Counted by the file system where it can; the others are walked by one thread at idle priority. */
  async #measure(ids: readonly string[]): Promise<readonly PromiseSettledResult<TreeUsage | null>[]> {
    const counted = await Promise.allSettled(ids.map((id) => this.#options.projects.usage(this.dir(id))));
    const walked = ids.filter((_, at) => counted[at]?.status === 'fulfilled' && counted[at].value === null);
    const dirs = walked.map((id) => join(this.dir(id), 'upper'));
    const walks = dirs.length > 0 ? await this.#options.native.layerUsages({ dirs }) : [];
    return Promise.allSettled(
      ids.map(async (id, at) => {
        try {
          const count = counted[at];
          if (count?.status === 'rejected') throw count.reason;
          return count?.value ?? unwrap(walks[walked.indexOf(id)] as Outcome<TreeUsage>);
        } catch (error) {
          if (error instanceof NativeError && error.errno === errno.ENOENT) return null;
          throw diskFailure(error, `measure the writable layer of container ${id}`);
        }
      }),
    );
  }

  /** The sum of what was measured last of each container, without measuring. */
  knownUsage(): TreeUsage {
    return this.#meter.sum();
  }

  /** Takes the writable layer away by one rename, freed in the background; nothing there is success. */
  async remove(containerId: string): Promise<void> {
    this.#meter.forget(containerId);
    const { native, trashDir } = this.#options;
    try {
      await native.removeTree({ path: this.dir(containerId), trashDir });
    } catch (error) {
      throw diskFailure(error, `remove the writable layer of container ${containerId}`);
    }
  }
}
