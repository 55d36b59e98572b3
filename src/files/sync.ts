// What was written reaches the disk (fsync(2)). Must not know what the files are for.
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';

/** What a file holds, or which entries a directory has, reaches the disk. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** As `syncPath`; what is not there any more was removed or replaced, which is durable by itself. */
export async function syncPathIfThere(path: string): Promise<void> {
  try {
    await syncPath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** As `syncPath`, before it returns: for the few writes that an answer waits for. */
export function syncPathNow(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Writes a file from its beginning, of `mode` if it is new; durable before it returns if `sync`. All of it, or an error. */
function writeWhole(
  file: string,
  content: string | Uint8Array,
  { mode, sync }: { readonly mode: number; readonly sync: boolean },
): void {
  const fd = openSync(file, 'w', mode);
  try {
    writeFileSync(fd, content); // write(2) may take a part: this goes on
    if (sync) fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Writes a file that only root reads, from its beginning; durable before it returns if `sync`. All of it, or an error. */
export const writePrivateFile = (
  file: string,
  content: string | Uint8Array,
  { sync }: { readonly sync: boolean },
): void => writeWhole(file, content, { mode: 0o600, sync });

/** How a file is replaced. */
export interface Replacement {
  /** Its permissions; only root reads it unless that says more. */
  readonly mode?: number;
  /** Whether its content is durable before it is there. Its name is when the caller syncs the directory. */
  readonly sync: boolean;
  /** Where it is written first, in the same file system: `<file>.new`, unless others read all names of the directory. */
  readonly beside?: string;
}

/** Replaces a file by one rename from beside its place; nothing stays there when that fails. */
export function replaceFile(
  file: string,
  content: string | Uint8Array,
  { mode = 0o600, sync, beside = `${file}.new` }: Replacement,
): void {
  try {
    writeWhole(beside, content, { mode, sync });
    renameSync(beside, file);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
}
