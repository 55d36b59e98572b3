// A text file on the host, put by rename.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncPath } from '../files/sync.ts';

/** Puts a text file on the host by rename; answers whether it is another text than was there. */
export async function putText(path: string, text: string): Promise<boolean> {
  const before = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (before === text) return false;
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  const fresh = `${path}.new`;
  await writeFile(fresh, text, { mode: 0o600 });
  await syncPath(fresh);
  await rename(fresh, path);
  await syncPath(dirname(path));
  return true;
}
