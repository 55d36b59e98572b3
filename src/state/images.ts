// Image records on disk: `<images>/<hex of the id>.json`, one file each.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { exhaustionIn } from '../lib/exhaustion.ts';
import { type Failure, internal, resourceExhausted } from '../lib/failure.ts';
import {
  DamagedRecord,
  filesOfRecord,
  isDamage,
  NewerRecord,
  readRecord,
  recordOfLeftover,
  settleRecord,
} from './record.ts';
import type { RecordWriter } from './record-writer.ts';
import type { LoadReport } from './record-store.ts';

// F2 rooms know the nouns of F3 only by shape: the record type comes in as a parameter.
interface Stored {
  readonly id: string;
  readonly pulledAt: bigint;
  readonly namedAt: bigint;
}

type Plain = Readonly<Record<string, unknown>>;

export interface ImageRecordsOptions {
  readonly dir: string;
  readonly quarantineDir: string;
  readonly writer: RecordWriter;
}

const fileName = (id: string): string => `${id.slice(id.indexOf(':') + 1)}.json`;
const big = (data: Plain, key: string): bigint => BigInt((data[key] as string | undefined) ?? '0');

/** The index over image records: reads never touch the disk. All writers share one lock of the image room. */
export class ImageRecords<R extends Stored> {
  readonly #options: ImageRecordsOptions;
  readonly #index = new Map<string, R>();

  constructor(options: ImageRecordsOptions) {
    this.#options = options;
  }

  /** Reads every record once, at start. Damaged ones move to quarantine; newer ones are left. Throws when the host cannot read. */
  load(): LoadReport {
    const { dir } = this.#options;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const quarantined: { id: string; why: string }[] = [];
    const left: { id: string; why: string }[] = [];
    for (const name of readdirSync(dir)) {
      const record = recordOfLeftover(name);
      if (record !== null) settleRecord(join(dir, record));
    }
    for (const name of readdirSync(dir)) {
      if (name.startsWith('.')) {
        rmSync(join(dir, name), { force: true }); // never became a record
        continue;
      }
      try {
        const record = decode(readRecord(join(dir, name))) as R;
        if (fileName(record.id) !== name)
          throw new DamagedRecord(join(dir, name), `it holds the record of ${record.id}`);
        this.#index.set(record.id, record);
      } catch (error) {
        const why = (error as Error).message;
        if (error instanceof NewerRecord) left.push({ id: name, why });
        else {
          if (!isDamage(error)) throw error;
          this.#quarantine(name);
          quarantined.push({ id: name, why });
        }
      }
    }
    return { loaded: this.#index.size, quarantined, left };
  }

  /**
   * Writes a record; it is durable when the promise settles, and seen by readers at once. Fails it, all is as it was: what
   * may not be durable must not be found by the next who asks for it.
   */
  async put(record: R): Promise<void> {
    const { dir, writer } = this.#options;
    const file = join(dir, fileName(record.id));
    const before = this.#index.get(record.id);
    const data = (): unknown => encode(this.#index.get(record.id) ?? record);
    try {
      writer.write(file, encode(record), { again: data });
      this.#index.set(record.id, record);
      await writer.flushFor(file);
    } catch (error) {
      if (this.#index.get(record.id) === record) this.#takeBack(file, record.id, before);
      throw writeFailure(error, `write the record of image ${record.id}`);
    }
  }

  #takeBack(file: string, id: string, before: R | undefined): void {
    if (before) {
      this.#index.set(id, before);
      this.#options.writer.writeOrOwe(file, () => encode(this.#index.get(id) ?? before));
      return;
    }
    this.#index.delete(id);
    this.#options.writer.forget(file);
    try {
      for (const path of filesOfRecord(file)) rmSync(path, { force: true });
    } catch {
      // the disk fails; the image is complete should a start find this
    }
  }

  /** Takes a record away; nothing to do is success. One whose file stays is still there. */
  async remove(id: string): Promise<void> {
    const file = join(this.#options.dir, fileName(id));
    const before = this.#index.get(id);
    this.#index.delete(id);
    const oweAgain = this.#options.writer.forget(file);
    try {
      for (const path of filesOfRecord(file)) await rm(path, { force: true });
    } catch (error) {
      if (before && !this.#index.has(id)) this.#index.set(id, before);
      oweAgain();
      throw writeFailure(error, `remove the record of image ${id}`);
    }
  }

  get(id: string): R | undefined {
    return this.#index.get(id);
  }

  list(): R[] {
    return [...this.#index.values()];
  }

  #quarantine(name: string): void {
    const { dir, quarantineDir } = this.#options;
    mkdirSync(quarantineDir, { recursive: true, mode: 0o700 });
    let to = join(quarantineDir, `image-${name}`);
    for (let n = 1; existsSync(to); n += 1) to = join(quarantineDir, `image-${n}-${name}`);
    renameSync(join(dir, name), to);
  }
}

function writeFailure(error: unknown, doing: string): Failure {
  return (exhaustionIn(error) === null ? internal : resourceExhausted)(doing, error);
}

const encode = (record: Stored): unknown => ({
  ...record,
  pulledAt: String(record.pulledAt),
  namedAt: String(record.namedAt),
});

function decode(data: unknown): Stored {
  const plain = data as Plain;
  if (typeof plain.id !== 'string' || !/^sha256:[0-9a-f]{64}$/.test(plain.id))
    throw new Error('the record has no image id');
  return { ...(data as Stored), pulledAt: big(plain, 'pulledAt'), namedAt: big(plain, 'namedAt') };
}
