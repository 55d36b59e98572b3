// Blobs by digest: `<content>/blobs/sha256/<hex>`: manifests and configs always, compressed layers on request. The
// directory is an OCI image layout (image-spec, image-layout.md). Must not know what a blob is for.
import { createHash } from 'node:crypto';
import { lstat, mkdir, open, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { syncPath } from '../files/sync.ts';
import { failedPrecondition } from '../lib/failure.ts';
import { type Digest, digestHex } from '../lib/id.ts';
import type { Step } from '../lib/steps.ts';
import { fetchFile } from './fetch-call.ts';
import type { TreeUsage } from '../native/boundary.ts';
import { diskFailure } from './native-failure.ts';
import type { FetchBounds, FetchFrom, StorageNative } from './ports.ts';

export interface ContentOptions {
  readonly contentDir: string;
  readonly native: Pick<StorageNative, 'fetchBlob' | 'fetchCancel' | 'writeFileAtomic'>;
  readonly step: Step;
  readonly bounds: FetchBounds;
}

/** Fetches of this process until now: the addon knows them all by their handles, of whichever store they are. */
let fetches = 0;

/** Whole blocks, as almost every file system has them. */
const blocks = (size: number): number => Math.ceil(size / 4096) * 4096;

/** The blobs of this node. Which there are is known in memory. */
export class Content {
  readonly #dir: string;
  readonly #options: ContentOptions;
  /** Bytes of each blob, by its hex. */
  readonly #index = new Map<string, number>();
  #bytes = 0;
  readonly #removing = new Map<Digest, Promise<void>>();
  /** How many put each blob. */
  readonly #claims = new Map<Digest, number>();
  #serial = 0;

  constructor(options: ContentOptions) {
    this.#options = options;
    this.#dir = join(options.contentDir, 'blobs', 'sha256');
  }

  /** Reads which blobs are there and drops unfinished ones. Returns the number dropped. */
  async load(): Promise<number> {
    await this.#makeLayout();
    let dropped = 0;
    for (const name of await readdir(this.#dir)) {
      if (/^[0-9a-f]{64}$/.test(name)) this.#note(name, (await stat(join(this.#dir, name))).size);
      else {
        await rm(join(this.#dir, name), { recursive: true, force: true });
        dropped += 1;
      }
    }
    return dropped;
  }

  /**
   * Earlier releases have the blobs in `sha256/`. They are moved, and a link stands there: the release before this one
   * finds them by it, so that going back loses nothing (ruling 11).
   */
  async #makeLayout(): Promise<void> {
    const { contentDir, native } = this.#options;
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    const old = join(contentDir, 'sha256');
    const there = await lstat(old).catch(() => null);
    if (there?.isDirectory()) {
      for (const name of await readdir(old)) await rename(join(old, name), join(this.#dir, name));
      await rm(old, { recursive: true });
    }
    if (!there?.isSymbolicLink()) await symlink(join('blobs', 'sha256'), old);
    const data = `${JSON.stringify({ imageLayoutVersion: '1.0.0' })}\n`;
    await native.writeFileAtomic({ path: join(contentDir, 'oci-layout'), data, mode: 0o600, sync: false });
  }

  /** Replaces the layout's index.json. Not synced: a start writes it anew. */
  async writeIndex(data: string): Promise<void> {
    const { contentDir, native } = this.#options;
    try {
      await native.writeFileAtomic({ path: join(contentDir, 'index.json'), data, mode: 0o600, sync: false });
    } catch (error) {
      throw diskFailure(error, 'write the index of kept blobs');
    }
  }

  /** Bytes of a blob, null if it is not here. */
  size(digest: Digest): number | null {
    return this.#index.get(digestHex(digest)) ?? null;
  }

  /** What all blobs take, from memory: whole blocks, and an inode each. */
  usage(): TreeUsage {
    return { bytes: this.#bytes, inodes: this.#index.size };
  }

  #note(hex: string, size: number): void {
    this.#forget(hex);
    this.#index.set(hex, size);
    this.#bytes += blocks(size);
  }

  #forget(hex: string): boolean {
    const size = this.#index.get(hex);
    if (size !== undefined) this.#bytes -= blocks(size);
    return this.#index.delete(hex);
  }

  has(digest: Digest): boolean {
    return this.#index.has(digestHex(digest));
  }

  path(digest: Digest): string {
    return join(this.#dir, digestHex(digest));
  }

  list(): Digest[] {
    return [...this.#index.keys()].map((hex) => `sha256:${hex}` as string as Digest);
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
      this.#options.step('content written');
      await rename(tmp, path);
      this.#options.step('content renamed');
      await syncPath(this.#dir);
    } catch (error) {
      await rm(tmp, { force: true });
      throw diskFailure(error, `keep blob ${digest}`);
    }
    this.#note(digestHex(digest), bytes.length);
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
    this.adopt(blob.digest, blob.size);
  }

  /** Where a blob that is not here is to be put, once a removal of it that runs is over: it would take the new file. */
  async place(digest: Digest): Promise<string> {
    await this.#removing.get(digest);
    return this.path(digest);
  }

  /**
   * The same for a blob that other hands put there. `end` is to be called once when they do no more: when the last one
   * has ended and nobody took note of the blob, its file goes.
   */
  async claim(digest: Digest): Promise<{ readonly path: string; readonly end: () => Promise<void> }> {
    while (this.#removing.has(digest)) await this.#removing.get(digest)?.catch(() => undefined);
    this.#claims.set(digest, (this.#claims.get(digest) ?? 0) + 1);
    return { path: this.path(digest), end: () => this.#endClaim(digest) };
  }

  async #endClaim(digest: Digest): Promise<void> {
    const left = (this.#claims.get(digest) ?? 0) - 1;
    if (left > 0) this.#claims.set(digest, left);
    else this.#claims.delete(digest);
    if (left <= 0 && !this.has(digest)) await this.#removeFile(digest);
  }

  /** Whether a claimed blob has been put at its path: by rename, so that it is whole. */
  async isAt(path: string): Promise<boolean> {
    return (await lstat(path).catch(() => null)) !== null;
  }

  /** Takes note of a blob that was put at `path(digest)`. */
  adopt(digest: Digest, size: number): void {
    this.#note(digestHex(digest), size);
  }

  async remove(digest: Digest): Promise<void> {
    if (this.#forget(digestHex(digest))) await this.#removeFile(digest);
  }

  async #removeFile(digest: Digest): Promise<void> {
    const work = rm(this.path(digest), { force: true });
    this.#removing.set(digest, work);
    try {
      await work;
      this.#options.step('content removed');
    } catch (error) {
      throw diskFailure(error, `remove blob ${digest}`);
    } finally {
      this.#removing.delete(digest);
    }
  }
}
