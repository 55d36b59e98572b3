// Record directories of one noun with an in-memory index: reads never touch the disk.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { alreadyExists, invalidArgument, notFound } from '../lib/failure.ts';
import { DamagedRecord, isDamage, NewerRecord, readRecord, settleRecord } from './record.ts';
import type { RecordWriter } from './record-writer.ts';

/** How the two halves of a noun's record stand on disk. */
export interface RecordFormat<I extends { readonly id: string }, S> {
  readonly noun: string;
  readonly identityFile: string;
  readonly encodeIdentity: (identity: I) => unknown;
  readonly decodeIdentity: (data: unknown) => I;
  readonly encodeStatus: (status: S) => unknown;
  readonly decodeStatus: (data: unknown) => S;
}

/** The two halves together; replaced as a whole, so a reader may keep it. */
export interface StoredRecord<I, S> {
  readonly identity: I;
  readonly status: S;
}

/** Told of each change of a record in the turn in which it happens: null before it was made, and after it is gone. */
export type RecordListener<I, S> = (before: StoredRecord<I, S> | null, after: StoredRecord<I, S> | null) => void;

/** What loading found besides good records. */
export interface LoadReport {
  readonly loaded: number;
  readonly quarantined: readonly { readonly id: string; readonly why: string }[];
  readonly left: readonly { readonly id: string; readonly why: string }[];
}

export interface RecordStoreOptions<I extends { readonly id: string }, S> {
  readonly dir: string;
  readonly trashDir: string;
  readonly quarantineDir: string;
  readonly format: RecordFormat<I, S>;
  readonly writer: RecordWriter;
}

/** The index over a directory of records. All writers of one id hold its keyed lock. */
export class RecordStore<I extends { readonly id: string }, S> {
  readonly #options: RecordStoreOptions<I, S>;
  readonly #index = new Map<string, StoredRecord<I, S>>();
  readonly #left = new Set<string>();
  readonly #listeners: RecordListener<I, S>[] = [];

  constructor(options: RecordStoreOptions<I, S>) {
    this.#options = options;
  }

  /** From now on `listener` is told of changes, after those that were named before; loading is none. It must not throw. */
  onChange(listener: RecordListener<I, S>): void {
    this.#listeners.push(listener);
  }

  /**
   * Reads every record once, at start. Damaged ones move to quarantine; newer ones are left.
   * Throws the error of read(2) when the host cannot read now (EMFILE, EIO): that is no fault of a record.
   */
  load(): LoadReport {
    const { dir, format } = this.#options;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const quarantined: { id: string; why: string }[] = [];
    const left: { id: string; why: string }[] = [];
    for (const id of readdirSync(dir)) {
      if (id.startsWith('.new-')) {
        rmSync(join(dir, id), { recursive: true, force: true }); // never became a record
        continue;
      }
      try {
        settleRecord(join(dir, id, 'status.json'));
        const identity = format.decodeIdentity(readRecord(join(dir, id, format.identityFile)));
        const status = format.decodeStatus(readRecord(join(dir, id, 'status.json')));
        if (identity.id !== id) throw new DamagedRecord(join(dir, id), `it holds the record of ${identity.id}`);
        this.#index.set(id, { identity, status });
      } catch (error) {
        const why = (error as Error).message;
        if (error instanceof NewerRecord) {
          this.#left.add(id);
          left.push({ id, why });
        } else {
          if (!isDamage(error)) throw error;
          this.#quarantine(id);
          quarantined.push({ id, why });
        }
      }
    }
    return { loaded: this.#index.size, quarantined, left };
  }

  /** Writes a new record; it exists, durable within a second, when this returns. */
  create(identity: I, status: S): StoredRecord<I, S> {
    const { dir, format, writer } = this.#options;
    if (this.#index.has(identity.id)) throw alreadyExists(`${format.noun} ${identity.id} exists`);
    writer.createDirectory(join(dir, identity.id), {
      [format.identityFile]: format.encodeIdentity(identity),
      'status.json': format.encodeStatus(status),
    });
    const record = { identity, status };
    this.#index.set(identity.id, record);
    this.#tell(null, record);
    return record;
  }

  /** Changes the mutable half. Throws not-found for an id without a record. */
  update(id: string, patch: Partial<S>): StoredRecord<I, S> {
    const { dir, format, writer } = this.#options;
    const before = this.#index.get(id);
    if (!before) throw notFound(`${format.noun} ${id} does not exist`);
    const record = { identity: before.identity, status: { ...before.status, ...patch } };
    // What happened on the host has happened: with no room to write it down it is known here, and written later.
    this.#index.set(id, record);
    const { status } = record;
    try {
      writer.writeOrOwe(join(dir, id, 'status.json'), () => format.encodeStatus(this.#index.get(id)?.status ?? status));
    } finally {
      this.#tell(before, record);
    }
    return record;
  }

  /** Takes the record away; nothing to do is success. */
  async remove(id: string): Promise<void> {
    const { dir, trashDir, writer } = this.#options;
    const before = this.#index.get(id);
    writer.removeDirectory(join(dir, id), trashDir);
    this.#index.delete(id);
    if (before) this.#tell(before, null);
  }

  #tell: RecordListener<I, S> = (before, after) => {
    for (const listener of this.#listeners) listener(before, after);
  };

  get(id: string): StoredRecord<I, S> | undefined {
    return this.#index.get(id);
  }

  list(): StoredRecord<I, S>[] {
    return [...this.#index.values()];
  }

  /** Every id that has a record here, those of a newer release too: what belongs to them must be left alone. */
  ids(): string[] {
    return [...this.#index.keys(), ...this.#left];
  }

  get size(): number {
    return this.#index.size;
  }

  /** The record of an id or of a prefix that only one id has; undefined when none has it. */
  find(idOrPrefix: string): StoredRecord<I, S> | undefined {
    const exact = this.#index.get(idOrPrefix);
    if (exact || idOrPrefix === '') return exact;
    let found: StoredRecord<I, S> | undefined;
    for (const [id, record] of this.#index) {
      if (!id.startsWith(idOrPrefix)) continue;
      if (found) throw invalidArgument(`id prefix ${idOrPrefix} of a ${this.#options.format.noun} is ambiguous`);
      found = record;
    }
    return found;
  }

  #quarantine(id: string): void {
    const { dir, quarantineDir, format } = this.#options;
    mkdirSync(quarantineDir, { recursive: true, mode: 0o700 });
    let to = join(quarantineDir, `${format.noun}-${id}`);
    for (let n = 1; existsSync(to); n += 1) to = join(quarantineDir, `${format.noun}-${id}.${n}`);
    renameSync(join(dir, id), to);
  }
}
