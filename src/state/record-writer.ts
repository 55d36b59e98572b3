// Writes records: whole or not at all, durable within a second, and again when the disk did not take them.
// Must not know what is in them.
import { mkdirSync, renameSync, rmdirSync, rmSync, statSync, unlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { syncPathIfThere, syncPathNow, writePrivateFile } from '../files/sync.ts';
import { exhaustionIn } from '../lib/exhaustion.ts';
import { internal, resourceExhausted } from '../lib/failure.ts';
import { noStep, type Step } from '../lib/steps.ts';
import { encodeRecord, freshOf, keptOf } from './record.ts';

/** A disk that fails, or a file system that its kernel has made read-only because of that (errno(3)); those that libuv names. */
const ofFailingDisks: readonly unknown[] = ['EIO', 'EROFS', 'ENXIO', 'ENODEV', 'ETIMEDOUT'];
/** EBADMSG, ESTALE, EUCLEAN: what ext4, XFS and NFS say of a file system that is not whole or not there. */
const ofFailingFileSystems: readonly unknown[] = [74, 116, 117];

function ofDisk(error: unknown): boolean {
  const { code, errno } = error as NodeJS.ErrnoException;
  return ofFailingDisks.includes(code) || (errno !== undefined && ofFailingFileSystems.includes(Math.abs(errno)));
}

/** Whether what failed may be done later: something is used up, or the disk fails. */
const mayPass = (error: unknown): boolean =>
  exhaustionIn(error) !== null ||
  (error instanceof Error && (ofDisk(error) || (error.cause instanceof Error && ofDisk(error.cause))));

/** How long a write may stay unsynced, in milliseconds (docs/state.md). */
const syncDelayMs = 500;

/** How long what could not be written waits for the next try, in milliseconds. */
const owedDelayMs = 2000;

/** Gives the data of a record as they are when they are written. */
type Data = () => unknown;

/** What is to be synced: a file with what gives its data anew, or the name of a directory. Each write is another one. */
interface Dirty {
  readonly data: Data | null;
}

/** How a record is written: durable before the call returns, and what gives the data should they be needed again. */
interface WriteOptions {
  readonly sync?: boolean;
  readonly again?: Data;
  /** What cannot be written now is written later: should there be a kill until then, the new content is the record. */
  readonly owed?: boolean;
}

/**
 * Writes records. Writes are atomic at once (tmp + rename) and become durable within a second by
 * a group sync off every RPC's path; `sync: true` makes one durable before the call returns.
 */
export class RecordWriter {
  /** What is to be synced. An entry stays until it is: whoever syncs knows by it whether there was another write meanwhile. */
  readonly #dirty = new Map<string, Dirty>();
  /** Files that are to be written (anew), with what gives their data. */
  readonly #owed = new Map<string, Data>();
  readonly #onError: (error: unknown) => void;
  /** Directories, in the trash or never made whole, that could not be freed yet. */
  readonly #unfreed = new Set<string>();
  readonly #freeing = new Set<string>();
  #timer: NodeJS.Timeout | null = null;
  /** When what is owed is tried again, of performance.now(). */
  #payAt = 0;
  /** Whether anything could not be done since all was: it is told once. */
  #failing = false;
  #serial = 0;

  readonly #step: Step;
  readonly #sync: typeof syncPathIfThere;

  /** `sync` makes a file, or the names in a directory, durable: fsync(2) unless given. */
  constructor(onError: (error: unknown) => void, step: Step = noStep, sync = syncPathIfThere) {
    this.#onError = onError;
    this.#step = step;
    this.#sync = sync;
  }

  /** Replaces one record file. */
  write(file: string, data: unknown, { sync = false, again = () => data, owed = false }: WriteOptions = {}): void {
    const fresh = freshOf(file);
    this.#orRemove(
      file,
      () => takeBack(file, owed),
      () => {
        writePrivateFile(fresh, encodeRecord(data), { sync });
        this.#reach(file, 'written');
        if (!sync) this.#clearWay(file);
        renameSync(fresh, file);
        this.#reach(file, 'renamed');
        if (sync) syncPathNow(dirname(file));
      },
    );
    this.#owed.delete(file);
    if (!sync) return this.#mark(file, again);
    this.#dirty.delete(file);
    removeKept(file);
  }

  /**
   * Replaces one record file with what `data` gives. Where the disk, descriptors or memory are used up, or the disk fails,
   * the old content stays and the write is owed: it is tried again, with what `data` gives then, every two seconds.
   */
  writeOrOwe(file: string, data: Data): void {
    try {
      this.write(file, data(), { again: data, owed: true });
    } catch (error) {
      if (!mayPass(error)) throw error;
      this.#owe(file, data);
    }
  }

  /** What is owed of a file that is taken away is owed no more; calling the answer takes that back. */
  forget(file: string): () => void {
    const [dirty, owed] = [this.#dirty.get(file), this.#owed.get(file)];
    for (const files of [this.#dirty, this.#owed]) files.delete(file);
    return () => {
      if (dirty && !this.#dirty.has(file)) this.#dirty.set(file, dirty);
      if (owed && !this.#owed.has(file)) this.#owed.set(file, owed);
      this.#schedule();
    };
  }

  /** How many writes wait for what they lack. */
  get owed(): number {
    return this.#owed.size;
  }

  /** Makes a record directory with all its files: it appears whole, by one rename. */
  createDirectory(dir: string, files: Readonly<Record<string, unknown>>): void {
    const tmp = join(dirname(dir), `.new-${basename(dir)}`);
    let at = tmp;
    this.#orRemove(
      dir,
      () => [...Object.keys(files).map((name) => join(at, name)), `${at}/`],
      () => {
        makeDirectory(tmp);
        for (const [name, data] of Object.entries(files))
          writePrivateFile(join(tmp, name), encodeRecord(data), { sync: false });
        this.#reach(dir, 'made');
        renameSync(tmp, dir);
        at = dir;
        this.#reach(dir, 'renamed');
      },
    );
    for (const [name, data] of Object.entries(files)) this.#mark(join(dir, name), () => data);
    this.#mark(dir, null); // its name in the directory above
  }

  /** Takes a record directory away: out of sight by one rename, freed in the background. */
  removeDirectory(dir: string, trashDir: string): void {
    // the writable layer of the same id may lie there too
    const away = join(trashDir, `record-${basename(dir)}.${process.pid}.${(this.#serial += 1)}`);
    mkdirSync(trashDir, { recursive: true, mode: 0o700 });
    try {
      renameSync(dir, away);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    for (const files of [this.#dirty, this.#owed]) {
      for (const file of files.keys()) if (file.startsWith(`${dir}/`)) files.delete(file);
    }
    this.#mark(dir, null); // its name in the directory above
    this.#reach(dir, 'renamed away');
    void this.#free(away);
  }

  /** Frees a retired directory; what cannot be freed now is tried again at each group sync. */
  async #free(away: string): Promise<void> {
    if (this.#freeing.has(away)) return;
    this.#freeing.add(away);
    try {
      await rm(away, { recursive: true, force: true });
      this.#unfreed.delete(away);
    } catch (error) {
      if (mayPass(error)) {
        this.#unfreed.add(away);
        this.#schedule();
      } else this.#onError(error);
    } finally {
      this.#freeing.delete(away);
    }
  }

  /** Writes what is owed and syncs everything that is not durable yet. Rejects with the first failure when all was tried. */
  async flush(): Promise<void> {
    const [failure] = (await this.#round(true)).values();
    if (failure !== undefined) throw failure;
  }

  /** The same; rejects when this file, or its name, is not durable then. What others lack is told by their own way. */
  async flushFor(file: string): Promise<void> {
    const failures = await this.#round(true);
    const failure = failures.get(file) ?? failures.get(dirname(file));
    if (failure !== undefined) throw failure;
  }

  /** At the end of a daemon, where nothing comes after it: what fails is tried once more. Rejects with what is lost then. */
  async close(): Promise<void> {
    if ((await this.#round(true)).size === 0) return;
    const [failure] = (await this.#round(true)).values();
    if (failure !== undefined)
      throw internal(`${this.#dirty.size + this.#owed.size} files or names are not durable`, failure);
  }

  /** One group sync; answers what failed, by path. */
  async #round(pay: boolean): Promise<ReadonlyMap<string, Error>> {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    const failures = new Map<string, Error>();
    if (pay) this.#payOwed(failures);
    for (const away of this.#unfreed) void this.#free(away);
    const taken = [...this.#dirty];
    const directories = new Set<string>();
    for (const [path, dirty] of taken) {
      directories.add(dirname(path));
      await this.#durable(path, failures);
      // a write meanwhile needs the last durable content still, and so does a file that is not there
      const isLast = this.#dirty.get(path) === dirty && !this.#owed.has(path);
      if (isLast && dirty.data !== null && !failures.has(path) && isThere(path)) removeKept(path);
    }
    for (const dir of directories) await this.#durable(dir, failures);
    for (const [path, dirty] of taken) this.#settle(path, dirty, failures);
    if (this.#dirty.size + this.#owed.size + this.#unfreed.size > 0) this.#schedule();
    this.#judge(failures);
    return failures;
  }

  async #durable(path: string, failures: Map<string, Error>): Promise<void> {
    if (failures.has(path)) return;
    try {
      await this.#sync(path);
    } catch (error) {
      failures.set(path, internal(`sync ${path}`, error));
    }
  }

  /**
   * After a group sync: what was synced, with its name in the directory above, is done. After a failed fsync(2) the kernel
   * holds what it could not write for written, and the next one succeeds: so a file is made anew. Of a directory that would
   * be the files in it: journals of file systems give up instead.
   */
  #settle(path: string, dirty: Dirty, failures: ReadonlyMap<string, Error>): void {
    if (this.#dirty.get(path) !== dirty) return; // another write, or taken away
    const failure = failures.get(path);
    if (failure === undefined && !failures.has(dirname(path))) this.#dirty.delete(path);
    else if (failure !== undefined && dirty.data !== null && exhaustionIn(failure) === null) {
      this.#dirty.delete(path);
      if (!this.#owed.has(path)) this.#owe(path, dirty.data);
    }
  }

  #owe(file: string, data: Data): void {
    if (this.#owed.size === 0) this.#payAt = performance.now() + owedDelayMs;
    this.#owed.set(file, data);
    this.#schedule();
  }

  /** Writes what is owed, to be synced with the rest; where one cannot be written the others are not tried. */
  #payOwed(failures: Map<string, Error>): void {
    this.#payAt = performance.now() + owedDelayMs;
    for (const [file, data] of this.#owed) {
      try {
        this.write(file, data(), { again: data, owed: true });
      } catch (error) {
        failures.set(file, error instanceof Error ? error : internal(`write ${file}`, error));
        if (mayPass(error)) return;
        this.#owed.delete(file); // or nothing else would ever be written
      }
    }
  }

  /** Does the work on `object`, and takes the paths that it made away when it fails; a directory's ends in "/" and is the last. */
  #orRemove(object: string, paths: () => readonly string[], work: () => void): void {
    try {
      work();
    } catch (error) {
      for (const path of paths()) this.#take(path);
      if (!mayPass(error)) throw error;
      throw (exhaustionIn(error) === null ? internal : resourceExhausted)(`write ${object}`, error);
    }
  }

  /**
   * Takes a file or an empty directory away, if it is there: by calls that need no descriptor. A directory, whose name nobody
   * uses again, is tried again at each group sync; a file is replaced by the next write.
   */
  #take(path: string): void {
    try {
      if (path.endsWith('/')) rmdirSync(path);
      else unlinkSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      if (path.endsWith('/')) {
        this.#unfreed.add(path);
        this.#schedule();
      } else if (!mayPass(error)) this.#onError(error); // why the work failed is told
    }
  }

  /**
   * Makes room for a rename that replaces nothing: over a file, ext4 writes the new one out at once
   * (auto_da_alloc), which takes milliseconds for each fact. The last durable content is kept until the
   * next group sync; settleRecord takes what a crash in between leaves.
   */
  #clearWay(file: string): void {
    if (!isThere(file)) return;
    const kept = keptOf(file);
    if (isThere(kept)) rmSync(file);
    else renameSync(file, kept);
    this.#reach(file, 'out of the way');
  }

  /** A step of this record, by its noun. */
  #reach(file: string, what: string): void {
    if (this.#step === noStep) return;
    const [, noun = '', rest = ''] = /(\w+)\/[0-9a-f]{64}(?:\.json|\/(.*))?$/.exec(file) ?? [];
    this.#step(`record of ${noun}${rest === '' ? '' : ` ${rest}`} ${what}`);
  }

  #mark(file: string, data: Data | null): void {
    this.#dirty.set(file, { data });
    this.#schedule();
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      void this.#round(performance.now() >= this.#payAt);
    }, syncDelayMs).unref();
  }

  #judge(failures: ReadonlyMap<string, Error>): void {
    const [failure] = failures.values();
    if (failure === undefined) {
      if (this.#owed.size === 0) this.#failing = false;
    } else if (!this.#failing) {
      this.#failing = true;
      this.#onError(failure);
    }
  }
}

/** Whether something is at a path; what cannot be looked at counts as there. */
function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return true;
  }
}

/**
 * After a failed write: what of it is to be taken away. Where the old content is out of its way already it comes back, or,
 * when the new one is owed, that stays beside it, for a start to find.
 */
function takeBack(file: string, owed: boolean): readonly string[] {
  const fresh = freshOf(file);
  if (isThere(file) || !isThere(keptOf(file))) return [fresh];
  if (owed) return [];
  try {
    renameSync(keptOf(file), file);
  } catch {
    // why the write failed is told; a start takes what is whole
  }
  return [fresh];
}

/** The last durable content goes; one that stays is looked at by the next start. */
function removeKept(file: string): void {
  try {
    rmSync(keptOf(file), { force: true });
  } catch {
    // a disk that fails is told of by what has to be done on it
  }
}

/** mkdir(2), with the parents if they are gone. With `recursive` alone Node tells ENOENT where a file system is read-only. */
function makeDirectory(dir: string): void {
  try {
    mkdirSync(dir, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  }
}
