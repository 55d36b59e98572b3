// Blobs by digest: `<content>/sha256/<hex>`: manifests and configs always, compressed layers on request.
// Must not know what a blob is for.
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { failedPrecondition } from '../lib/failure.ts';
import { type Digest, digestHex } from '../lib/id.ts';
import { fetchCall } from './fetch-call.ts';
import { diskFailure } from './native-failure.ts';
import type { FetchBounds, FetchFrom, StorageNative } from './ports.ts';

export interface ContentOptions {
  readonly contentDir: string;
  readonly native: Pick<StorageNative, 'fetchBlob' | 'fetchCancel'>;
  readonly bounds: FetchBounds;
}

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
    await this.#removing.get(digest); // or it would take the new file
    const tmp = `${this.path(digest)}.tmp-${(this.#serial += 1)}`;
    try {
      const file = await open(tmp, 'wx', 0o600);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(tmp, this.path(digest));
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
    const { native, bounds } = this.#options;
    const { host, ...source } = from;
    await this.#removing.get(blob.digest);
    const handle = `blob-${digestHex(blob.digest).slice(0, 16)}-${(this.#serial += 1)}`;
    await fetchCall(native, {
      handle,
      doing: `get blob ${blob.digest}`,
      host,
      signal,
      start: () =>
        native.fetchBlob({
          ...source,
          handle,
          stallMs: bounds.stallMs,
          attempts: bounds.attempts,
          expected: blob,
          keepBlobPath: this.path(blob.digest),
        }),
    });
    this.adopt(blob.digest);
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

async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
