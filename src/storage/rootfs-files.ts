// Small files of an image's root file system (passwd, group), read through its layers and kept in memory:
// a chain never changes. Must not read a container's writable layer.
import { diskFailure } from './native-failure.ts';
import type { StorageNative } from './ports.ts';

export interface RootfsFilesOptions {
  readonly native: Pick<StorageNative, 'readThrough'>;
  readonly lowerDirs: (chain: readonly string[]) => readonly string[];
}

const longestFile = 1024 * 1024;
const mostFiles = 512;

/** Files by chain and path; the longest unused is forgotten first. */
export class RootfsFiles {
  readonly #options: RootfsFilesOptions;
  readonly #known = new Map<string, Promise<string | null>>();

  constructor(options: RootfsFilesOptions) {
    this.#options = options;
  }

  /** The text of a file as a container of this chain would see it, null if there is none. */
  async read(chain: readonly string[], path: string): Promise<string | null> {
    const key = `${chain.at(-1) ?? ''} ${path}`;
    const known = this.#known.get(key);
    if (known) {
      this.#known.delete(key);
      this.#known.set(key, known);
      return known;
    }
    const layers = this.#options.lowerDirs(chain);
    const reading = this.#options.native.readThrough({ layers, path, maxBytes: longestFile });
    this.#known.set(key, reading);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= mostFiles) break;
      this.#known.delete(oldest);
    }
    try {
      return await reading;
    } catch (error) {
      this.#known.delete(key);
      throw diskFailure(error, `read ${path} of the image`);
    }
  }
}
