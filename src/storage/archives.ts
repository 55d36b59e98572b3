// Image archives on disk, opened for reading: docker archives and OCI layouts, tar or directory.
// Must not know which of their files mean what.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { failedPrecondition } from '../lib/failure.ts';
import type { ArchiveEntry } from '../native/boundary.ts';
import { fetchFailure } from './native-failure.ts';
import type { StorageNative } from './ports.ts';

/** An open archive. */
export interface Archive {
  /** What layers are unpacked from: the archive itself, or its inflated copy. */
  readonly path: string;
  /** The texts of manifest.json, index.json, oci-layout and repositories as far as present. */
  readonly files: Readonly<Record<string, string>>;
  /** The regular file of that name, null if there is none. */
  entry(name: string): ArchiveEntry | null;
  /** The bytes of a small file. Throws failed-precondition if it is not there. */
  read(name: string): Promise<Buffer>;
  /** Removes the inflated copy, if one was made. */
  close(): Promise<void>;
}

export interface ArchivesOptions {
  readonly ingestDir: string;
  readonly native: Pick<StorageNative, 'archiveIndex' | 'archiveRead' | 'removeTree'>;
  readonly trashDir: string;
}

/** Opens archives. */
export class Archives {
  readonly #options: ArchivesOptions;
  #serial = 0;

  constructor(options: ArchivesOptions) {
    this.#options = options;
  }

  /** Throws away what an earlier run left half inflated. */
  async load(): Promise<void> {
    const { ingestDir, trashDir, native } = this.#options;
    await native.removeTree({ path: ingestDir, trashDir });
    await mkdir(ingestDir, { recursive: true, mode: 0o700 });
  }

  async open(path: string): Promise<Archive> {
    const { ingestDir, native } = this.#options;
    const workDir = join(ingestDir, `load-${(this.#serial += 1)}`);
    await mkdir(workDir, { recursive: true, mode: 0o700 });
    const close = (): Promise<void> => rm(workDir, { recursive: true, force: true });
    try {
      const index = await native.archiveIndex({ path, workDir });
      const entries = new Map(index.entries.map((entry) => [entry.name, entry]));
      return {
        path: index.path,
        files: index.files,
        entry: (name) => entries.get(name) ?? null,
        read: async (name) => {
          const entry = entries.get(name);
          if (!entry) throw failedPrecondition(`image archive ${path} has no file ${JSON.stringify(name)}`);
          try {
            return Buffer.from((await native.archiveRead({ path: index.path, entry })).data, 'base64');
          } catch (error) {
            throw fetchFailure(error, `read ${JSON.stringify(name)} of image archive ${path}`, '');
          }
        },
        close,
      };
    } catch (error) {
      await close();
      throw fetchFailure(error, `read image archive ${path}`, '');
    }
  }
}
