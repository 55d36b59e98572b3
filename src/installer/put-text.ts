// A text file on the host, put by rename.
import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { replaceFile, syncPath } from '../files/sync.ts';

/** Puts a text file on the host by rename; answers whether it is another text than was there. */
export async function putText(path: string, text: string): Promise<boolean> {
  const before = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (before === text) return false;
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  replaceFile(path, text, { sync: true });
  await syncPath(dirname(path));
  return true;
}
