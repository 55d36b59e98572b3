// Durable records: one JSON file each, whole or not there. Must not know what is in them.
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';

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

/** Reads one record file. Throws DamagedRecord, NewerRecord, or the error of read(2), which names the file. */
export const readRecord = (file: string): unknown =>
  decodeRecord(
    naming(file, () => readFileSync(file, 'utf8')),
    file,
  );

/** The error of a read(2) has no path of its own, which whoever has to mend the disk needs. */
function naming<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && !('path' in error)) error.message += ` '${file}'`;
    throw error;
  }
}

/** Whether a record could not be read because of what it is: no file, no record, fields of a wrong kind. */
export function isDamage(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined || code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR';
}

/** Where a record's next content is written, and where the last one that is durable is kept meanwhile. */
export const freshOf = (file: string): string => join(dirname(file), `.${basename(file)}.new`);
export const keptOf = (file: string): string => join(dirname(file), `.${basename(file)}.old`);

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
