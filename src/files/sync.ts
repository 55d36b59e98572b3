// What was written reaches the disk (fsync(2)). Must not know what the files are for.
import { closeSync, fsyncSync, openSync, writeFileSync } from 'node:fs';
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

/** Writes a file that only root reads, from its beginning; durable before it returns if `sync`. All of it, or an error. */
export function writePrivateFile(
  file: string,
  content: string | Uint8Array,
  { sync }: { readonly sync: boolean },
): void {
  const fd = openSync(file, 'w', 0o600);
  try {
    writeFileSync(fd, content); // write(2) may take a part: this goes on
    if (sync) fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
