// Blobs by digest: `<content>/sha256/<hex>`: manifests and configs always, compressed layers on request.
// Must not know what a blob is for.
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { failedPrecondition } from '../lib/failure.ts';
import { type Digest, digestHex } from '../lib/id.ts';
import { fetchFile } from './fetch-call.ts';
import { diskFailure } from './native-failure.ts';
import type { FetchBounds, FetchFrom, StorageNative } from './ports.ts';

export interface ContentOptions {
  readonly contentDir: string;
  readonly native: Pick<StorageNative, 'fetchBlob' | 'fetchCancel'>;
  readonly bounds: FetchBounds;
}

/** Fetches of this process until now: the addon knows them all by their handles, of whichever store they are. */
let fetches = 0;

/** The blobs of this node. Which there are is known in memory. */
export class Content {
  readonly #dir: string;
  readonly #options: ContentOptions;
  readonly #index = new Set<string>();
  readonly #removing = new Map<Digest, Promise<void>>();
  #serial = 0;

  constructor(options: ContentOptions) {
    this.#options = options;
    this.#dir = join(options.contentDir, 'sha256');
  }

  /** Reads which blobs are there and drops unfinished ones. Returns the number dropped. */
  async load(): Promise<number> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    let dropped = 0;
    for (const name of await readdir(this.#dir)) {
      if (/^[0-9a-f]{64}$/.test(name)) this.#index.add(name);
      else {
        await rm(join(this.#dir, name), { recursive: true, force: true });
        dropped += 1;
      }
    }
    return dropped;
  }

  has(digest: Digest): boolean {
    return this.#index.has(digestHex(digest));
  }

  path(digest: Digest): string {
    return join(this.#dir, digestHex(digest));
  }

  list(): Digest[] {
    return [...this.#index].map((hex) => `sha256:${hex}` as string as Digest);
  }

  /** Keeps bytes under their digest, durable when this returns. Throws failed-precondition if they have another. */
  async put(digest: Digest, bytes: Uint8Array): Promise<void> {
    if (this.has(digest)) return;
    if (createHash('sha256').update(bytes).digest('hex') !== digestHex(digest)) {
      throw failedPrecondition(`blob ${digest} has another digest`);
    }
    const path = await this.place(digest);
    const tmp = `${path}.tmp-${(this.#serial += 1)}`;
    try {
      const file = await open(tmp, 'wx', 0o600);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(tmp, path);
      await syncDirectory(this.#dir);
    } catch (error) {
      await rm(tmp, { force: true });
      throw diskFailure(error, `keep blob ${digest}`);
    }
    this.#index.add(digestHex(digest));
  }

  /** A small blob's bytes, null if it is not kept. */
  async read(digest: Digest): Promise<Buffer | null> {
    if (!this.has(digest)) return null;
    try {
      return await readFile(this.path(digest));
    } catch (error) {
      throw diskFailure(error, `read blob ${digest}`);
    }
  }

  /** Downloads a blob into the store. */
  async fetch(blob: { digest: Digest; size: number }, from: FetchFrom, signal: AbortSignal): Promise<void> {
    const path = await this.place(blob.digest);
    const handle = `blob-${digestHex(blob.digest).slice(0, 16)}-${(fetches += 1)}`;
    await fetchFile(this.#options, { ...blob, path, handle }, { from, signal });
    this.adopt(blob.digest);
  }

  /** Where a blob that is not here is to be put, once a removal of it that runs is over: it would take the new file. */
  async place(digest: Digest): Promise<string> {
    await this.#removing.get(digest);
    return this.path(digest);
  }

  /** Takes note of a blob that was put at `path(digest)`. */
  adopt(digest: Digest): void {
    this.#index.add(digestHex(digest));
  }

  async remove(digest: Digest): Promise<void> {
    if (!this.#index.delete(digestHex(digest))) return;
    const work = rm(this.path(digest), { force: true });
    this.#removing.set(digest, work);
    try {
      await work;
    } catch (error) {
      throw diskFailure(error, `remove blob ${digest}`);
    } finally {
      this.#removing.delete(digest);
    }
  }
}

/** The entries of a directory reach the disk. */
export async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
