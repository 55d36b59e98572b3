// Blobs out of the store into an archive or a directory of somebody's, and blobs held against their digests.
// Must not decide what belongs into an image: it is told each blob.
import { createReadStream } from 'node:fs';
import { lstat, readdir, realpath, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { alreadyExists, invalidArgument } from '../lib/failure.ts';
import type { Digest } from '../lib/id.ts';
import type { ExportBlobRequest, ExportInto, ExportSource } from '../native/boundary.ts';
import { fetchCall } from './fetch-call.ts';
import { LayoutDirectory } from './layout-directory.ts';
import { diskFailure, fetchFailure } from './native-failure.ts';
import type { StorageNative } from './ports.ts';
import { SaveNotes } from './save-notes.ts';

export type { ExportSource } from '../native/boundary.ts';
/** How layers are compressed on their way out. */
export type Compression = ExportBlobRequest['compression'];

export interface ExportsOptions {
  readonly native: Pick<
    StorageNative,
    'verifyBlob' | 'exportBlob' | 'beginArchive' | 'finishArchive' | 'syncFs' | 'fetchCancel' | 'fetchProgress'
  >;
  /** Has a note on each file that is being written, by which a start removes those of a daemon that was killed. */
  readonly savesDir: string;
}

/** One piece of work, and whom to tell how far it is. */
export interface ExportJob {
  readonly source: ExportSource;
  /** "layer sha256:…", for failures. */
  readonly what: string;
  /** Told the bytes read so far, a few times a second. */
  readonly onBytes: (bytes: number) => void;
}

/** A blob as it was written. */
export interface Written {
  readonly digest: Digest;
  readonly size: number;
}

/** Something being written: at its place when committed, gone when discarded. */
export interface ExportSink {
  /** Writes a blob under the name that an OCI layout has for it. */
  blob(job: ExportJob & { readonly compression: Compression }, signal: AbortSignal): Promise<Written>;
  /** Writes a file that describes the blobs. */
  describe(name: string, text: string): Promise<void>;
  commit(): Promise<void>;
  discard(): Promise<void>;
}

/** Works of this process until now: the addon knows them by their handles. */
let works = 0;
const tellMs = 250;

/** Writes blobs out. */
export class Exports {
  readonly #native: ExportsOptions['native'];
  readonly #notes: SaveNotes;

  constructor({ native, savesDir }: ExportsOptions) {
    this.#native = native;
    this.#notes = new SaveNotes(savesDir);
  }

  /** Removes what a daemon that was killed has left half written. In the background: the disks are anybody's. */
  sweep(): Promise<void> {
    return this.#notes.sweep();
  }

  /** Reads a blob to its end. Throws failed-precondition if it is not what its digest says; the bytes read. */
  async verify(job: ExportJob, signal: AbortSignal): Promise<number> {
    const verified = await this.#run(`verify ${job.what}`, job, signal, (handle) =>
      this.#native.verifyBlob({ handle, source: job.source }),
    );
    return verified.bytes;
  }

  /** A tar file at an absolute path; a regular file there is replaced at the end. */
  async archive(path: string): Promise<ExportSink> {
    const to = await archivePlace(path);
    const part = await this.#notes.begin(to);
    const discard = async (): Promise<void> => {
      await rm(part.path, { force: true });
      await part.end();
    };
    const failed = (error: unknown): never => {
      throw fetchFailure(error, `save images to ${to}`, '');
    };
    const { inode } = await this.#native.beginArchive({ path: part.path }).catch(async (error: unknown) => {
      await part.end();
      return failed(error);
    });
    const into = { type: 'archive', path: part.path, inode } as const;
    return {
      blob: (job, signal) => this.#export(job, { ...into, name: null }, signal),
      describe: async (name, text) => {
        const job = { source: { type: 'text', text } as const, what: name, onBytes: () => undefined };
        await this.#export({ ...job, compression: 'none' }, { ...into, name }, never);
      },
      commit: async () => {
        await this.#native.finishArchive({ path: part.path, inode, to }).catch(failed);
        await part.end();
      },
      discard,
    };
  }

  /** A directory at an absolute path where nothing is, or an empty one. */
  async directory(path: string): Promise<ExportSink> {
    const to = await directoryPlace(path);
    const part = await this.#notes.begin(to);
    const saving = <T>(work: () => Promise<T>): Promise<T> => tried(`save images to ${to}`, work);
    const made = await saving(() => LayoutDirectory.make(part.path)).catch(async (error: unknown) => {
      await part.end();
      throw error;
    });
    return {
      blob: (job, signal) => this.#export(job, { type: 'directory', path: made.blobs }, signal),
      describe: (name, text) => saving(() => made.write(name, text)),
      commit: () =>
        saving(async () => {
          await this.#native.syncFs({ path: made.top });
          await made.moveTo(to);
          await part.end();
        }),
      discard: async () => {
        await made.remove();
        await part.end();
      },
    };
  }

  /** The bytes of a file in a directory of ours, which is removed when they are read or nobody reads on. */
  async *once(path: string): AsyncIterable<Buffer> {
    try {
      for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 })) yield chunk as Buffer;
    } catch (error) {
      throw diskFailure(error, 'read the saved images');
    } finally {
      await rm(path, { force: true });
    }
  }

  /** A blob into a directory of ours, named by the hex of its digest. */
  into(path: string, job: ExportJob & { readonly compression: Compression }, signal: AbortSignal): Promise<Written> {
    return this.#export(job, { type: 'directory', path }, signal);
  }

  async #export(
    job: ExportJob & { readonly compression: Compression },
    into: ExportInto,
    signal: AbortSignal,
  ): Promise<Written> {
    const { source, compression } = job;
    const done = await this.#run(`save ${job.what}`, job, signal, (handle) =>
      this.#native.exportBlob({ handle, source, compression, into }),
    );
    return { digest: done.digest as Digest, size: done.bytes };
  }

  // oxlint-disable-next-line max-params -- what, for whom, until when, how
  async #run<T>(doing: string, job: ExportJob, signal: AbortSignal, start: (handle: string) => Promise<T>): Promise<T> {
    const handle = `export-${(works += 1)}`;
    const tell = (): void => {
      const now = this.#native.fetchProgress().find((one) => one.handle === handle);
      if (now) job.onBytes(now.bytes);
    };
    const timer = setInterval(tell, tellMs);
    try {
      return await fetchCall(this.#native, { handle, doing, host: '', signal, start: () => start(handle) });
    } finally {
      clearInterval(timer);
    }
  }
}

const never = new AbortController().signal;

async function tried<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw diskFailure(error, doing);
  }
}

/** What is at a path, null for nothing. */
const found = (path: string) =>
  lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw diskFailure(error, `look at ${path}`);
  });

/** The path with a link at its end followed. Throws invalid-argument if no file can be there. */
async function archivePlace(path: string): Promise<string> {
  await parentOf(path);
  const there = await found(path);
  if (there === null) return path;
  const to = there.isSymbolicLink() ? await realpath(path).catch(() => path) : path;
  const target = await stat(to).catch(() => null);
  if (!target?.isFile()) throw invalidArgument(`${path} is there and is no regular file`);
  return to;
}

async function directoryPlace(path: string): Promise<string> {
  await parentOf(path);
  const there = await found(path);
  if (there === null) return path;
  if (!there.isDirectory()) throw invalidArgument(`${path} is there and is no directory`);
  if ((await readdir(path)).length > 0) throw alreadyExists(`directory ${path} is not empty`);
  return path;
}

async function parentOf(path: string): Promise<void> {
  const parent = await stat(dirname(path)).catch(() => null);
  if (!parent?.isDirectory()) throw invalidArgument(`there is no directory ${dirname(path)}`);
}
