// Durable records: one JSON file each, whole or not there. Must not know what is in them.
import { existsSync, mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, unlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { syncPathIfThere, syncPathNow, writePrivateFile } from '../files/sync.ts';
import { exhaustionIn } from '../lib/exhaustion.ts';
import { internal, resourceExhausted } from '../lib/failure.ts';
import { noStep, type Step } from '../lib/steps.ts';

/** A record file that is torn, not JSON, or fails its checksum. */
export class DamagedRecord extends Error {
  readonly file: string;
  constructor(file: string, why: string) {
    super(`record ${file} is damaged: ${why}`);
    this.name = 'DamagedRecord';
    this.file = file;
  }
}

/** A record written by a newer release: left alone, never deleted. */
export class NewerRecord extends Error {
  readonly version: number;
  constructor(file: string, version: number) {
    super(`record ${file} has format version ${version}, which this release does not read`);
    this.name = 'NewerRecord';
    this.version = version;
  }
}

/** The newest envelope version that this release writes and reads. */
export const recordVersion = 1;

const checksum = (data: string): string => crc32(data).toString(16).padStart(8, '0');

/** The text of a record: `{version, checksum, data}`; the checksum is CRC-32 of the data's JSON. */
export function encodeRecord(data: unknown): string {
  const json = JSON.stringify(data);
  return `{"version":${recordVersion},"checksum":"${checksum(json)}","data":${json}}\n`;
}

/** The data of a record's text. Throws DamagedRecord or NewerRecord. */
export function decodeRecord(text: string, file: string): unknown {
  let envelope: unknown;
  try {
    envelope = JSON.parse(text);
  } catch (error) {
    throw new DamagedRecord(file, (error as Error).message);
  }
  if (typeof envelope !== 'object' || envelope === null || !('version' in envelope) || !('data' in envelope)) {
    throw new DamagedRecord(file, 'no envelope');
  }
  const { version, data } = envelope;
  if (typeof version !== 'number') throw new DamagedRecord(file, 'no version');
  if (version > recordVersion) throw new NewerRecord(file, version);
  const sum = 'checksum' in envelope ? envelope.checksum : undefined;
  if (checksum(JSON.stringify(data)) !== sum) throw new DamagedRecord(file, 'checksum differs');
  return data;
}

/** Reads one record file. Throws DamagedRecord, NewerRecord, or the error of read(2). */
export const readRecord = (file: string): unknown => decodeRecord(readFileSync(file, 'utf8'), file);

/** Whether a record could not be read because of what it is: no file, no record, fields of a wrong kind. */
export function isDamage(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined || code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR';
}

/** Where a record's next content is written, and where the last one that is durable is kept meanwhile. */
const freshOf = (file: string): string => join(dirname(file), `.${basename(file)}.new`);
const keptOf = (file: string): string => join(dirname(file), `.${basename(file)}.old`);

/** The record that a leftover of a write belongs to; null for any other name. */
export const recordOfLeftover = (name: string): string | null => /^\.(.+)\.(new|old)$/.exec(name)?.[1] ?? null;

function isWhole(file: string): boolean {
  try {
    readRecord(file);
    return true;
  } catch (error) {
    if (error instanceof NewerRecord) return true;
    if (isDamage(error)) return false;
    throw error;
  }
}

/**
 * Ends a write that a kill or a power cut interrupted: the record is the whole one of, in this order, its
 * own file, the next content beside it, and the last durable one. With none of them whole nothing changes.
 */
export function settleRecord(file: string): void {
  const [fresh, kept] = [freshOf(file), keptOf(file)];
  if (!existsSync(fresh) && !existsSync(kept)) return;
  if (!isWhole(file)) {
    const best = [fresh, kept].find(isWhole);
    if (best === undefined) return;
    renameSync(best, file);
  }
  rmSync(fresh, { force: true });
  rmSync(kept, { force: true });
}

/**
 * The files of a record, its own last: what a failed write left beside it would be the record again at the next start, and
 * has to go first.
 */
export const filesOfRecord = (file: string): readonly string[] => [freshOf(file), keptOf(file), file];

/** A disk that fails, or a file system that its kernel has made read-only because of that (errno(3)). */
const ofFailingDisks: readonly unknown[] = ['EIO', 'EROFS'];

/** Whether what failed may be done later: something is used up, or the disk fails. */
const mayPass = (error: unknown): boolean =>
  exhaustionIn(error) !== null ||
  (error instanceof Error &&
    [error, error.cause].some((each) => ofFailingDisks.includes((each as NodeJS.ErrnoException | undefined)?.code)));

/** How long a write may stay unsynced, in milliseconds (docs/state.md). */
const syncDelayMs = 500;

/** Gives the data of a record as they are when they are written. */
type Data = () => unknown;

/** A write that waits for what it lacks; `sync` makes it durable at once. */
interface Owed {
  readonly data: Data;
  readonly sync: boolean;
}

/** How a record is written: durable before the call returns, and what gives the data should they be needed again. */
interface WriteOptions {
  readonly sync?: boolean;
  readonly again?: Data;
}

/**
 * Writes records. Writes are atomic at once (tmp + rename) and become durable within a second by
 * a group sync off every RPC's path; `sync: true` makes one durable before the call returns.
 */
export class RecordWriter {
  /** What is to be synced, with what gives a file's data anew; null for the name of a directory. */
  readonly #dirty = new Map<string, Data | null>();
  readonly #owed = new Map<string, Owed>();
  readonly #onError: (error: unknown) => void;
  /** Directories, in the trash or never made whole, that could not be freed yet. */
  readonly #unfreed = new Set<string>();
  #timer: NodeJS.Timeout | null = null;
  /** Whether the last group sync failed: it is told once. */
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
  write(file: string, data: unknown, { sync = false, again = () => data }: WriteOptions = {}): void {
    const fresh = freshOf(file);
    this.#orRemove(file, [fresh], () => {
      writePrivateFile(fresh, encodeRecord(data), { sync });
      this.#reach(file, 'written');
      if (!sync) this.#clearWay(file);
      renameSync(fresh, file);
      this.#reach(file, 'renamed');
      if (!sync) return;
      syncPathNow(dirname(file));
      rmSync(keptOf(file), { force: true });
    });
    if (!sync) this.#mark(file, again);
  }

  /**
   * Replaces one record file with what `data` gives. Where the disk, descriptors or memory are used up, or the disk fails,
   * the old content stays and the write is owed: it is tried again, with what `data` gives then, at each group sync.
   */
  writeOrOwe(file: string, data: Data, sync = false): void {
    try {
      this.write(file, data(), { sync, again: data });
      this.#owed.delete(file);
    } catch (error) {
      if (!mayPass(error)) throw error;
      this.#owed.set(file, { data, sync });
      this.#schedule();
    }
  }

  /** What is owed of a file that is taken away is owed no more. */
  forget(file: string): void {
    for (const files of [this.#dirty, this.#owed]) files.delete(file);
  }

  /** How many writes wait for what they lack. */
  get owed(): number {
    return this.#owed.size;
  }

  /** Makes a record directory with all its files: it appears whole, by one rename. */
  createDirectory(dir: string, files: Readonly<Record<string, unknown>>): void {
    const tmp = join(dirname(dir), `.new-${basename(dir)}`);
    const paths = [...Object.keys(files).map((name) => join(tmp, name)), `${tmp}/`];
    this.#orRemove(dir, paths, () => {
      makeDirectory(tmp);
      for (const [name, data] of Object.entries(files))
        writePrivateFile(join(tmp, name), encodeRecord(data), { sync: false });
      this.#reach(dir, 'made');
      renameSync(tmp, dir);
      this.#reach(dir, 'renamed');
    });
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
    try {
      await rm(away, { recursive: true, force: true });
      this.#unfreed.delete(away);
    } catch (error) {
      if (mayPass(error)) {
        this.#unfreed.add(away);
        this.#schedule();
      } else this.#onError(error);
    }
  }

  /** Syncs everything that is not durable yet. */
  async flush(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.#payOwed();
    for (const away of this.#unfreed) void this.#free(away);
    const files = [...this.#dirty];
    this.#dirty.clear();
    const directories = new Set<string>();
    try {
      for (const [file] of files) {
        directories.add(dirname(file));
        await this.#durable(file);
        // a write meanwhile needs the durable one still
        if (!this.#dirty.has(file)) rmSync(keptOf(file), { force: true });
      }
      for (const dir of directories) await this.#durable(dir);
    } catch (error) {
      for (const [file, data] of files) this.#unsynced(file, data, exhaustionIn(error) === null);
      throw error;
    }
  }

  async #durable(path: string): Promise<void> {
    try {
      await this.#sync(path);
    } catch (error) {
      throw internal(`sync ${path}`, error);
    }
  }

  #payOwed(): void {
    for (const [file, { data, sync }] of this.#owed) {
      try {
        this.writeOrOwe(file, data, sync);
      } catch (error) {
        this.#owed.delete(file); // or nothing else would ever be synced
        this.#onError(error);
      }
    }
  }

  /**
   * A file that a group sync did not get to, or failed on. After a failed fsync(2) the kernel holds what it could not write
   * for written, and the next one succeeds: so the file is made anew, durable at once.
   */
  #unsynced(file: string, data: Data | null, anew: boolean): void {
    if (this.#dirty.has(file) || this.#owed.has(file)) return; // it was written once more meanwhile
    if (!anew || data === null) this.#mark(file, data);
    else if (existsSync(file)) this.#owed.set(file, { data, sync: true });
    this.#schedule();
  }

  /** Does the work on `object`, and takes the paths that it made away when it fails; a directory's ends in "/" and is the last. */
  #orRemove(object: string, paths: readonly string[], work: () => void): void {
    try {
      work();
    } catch (error) {
      for (const path of paths) this.#take(path);
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
    if (!existsSync(file)) return;
    const kept = keptOf(file);
    if (existsSync(kept)) rmSync(file);
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
    this.#dirty.set(file, data);
    this.#schedule();
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.flush().then(
        () => {
          this.#failing = false;
        },
        (error: unknown) => {
          if (!this.#failing) this.#onError(error);
          this.#failing = true;
        },
      );
    }, syncDelayMs).unref();
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
