// Text files of the configuration, for rooms that have no disk of their own.
import { open, readdir } from 'node:fs/promises';
import { failedPrecondition } from '../lib/failure.ts';

/** A text file's contents, null if it does not exist. Throws failed-precondition for all else. */
export async function readTextFile(path: string, maxBytes: number): Promise<string | null> {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      if (size > maxBytes) throw failedPrecondition(`file ${path} is larger than ${maxBytes} bytes`);
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    if (code === undefined) throw error;
    throw failedPrecondition(`read file ${path}`, error);
  }
}

/** Names of what is in a directory, in order; none if it does not exist. Throws failed-precondition for all else. */
export async function listNames(dir: string): Promise<string[]> {
  try {
    return (await readdir(dir)).sort();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw failedPrecondition(`read directory ${dir}`, error);
  }
}
