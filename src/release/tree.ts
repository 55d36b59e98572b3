// A release tree on a disk: what it says of itself, and whether it is as it says.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { failedPrecondition } from '../lib/failure.ts';
import { listing, parseRelease, type Release, type ReleaseFile } from './release.ts';

/** Reads RELEASE.json of a directory; one without it is a failed-precondition Failure. */
export async function readRelease(tree: string): Promise<Release> {
  const file = join(tree, listing);
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
    throw error;
  });
  if (bytes === null) throw failedPrecondition(`${tree} is no release of podwright: there is no ${listing}`);
  return parseRelease(bytes, file);
}

/** Files that are not as listed, at most so many. Others may be there: Node keeps compiled code beside. */
export async function treeFaults(tree: string, { files }: Release, most: number): Promise<readonly string[]> {
  const faults: string[] = [];
  for (const file of files) {
    const fault = await fileFault(join(tree, file.path), file);
    if (fault !== null) faults.push(`${file.path} ${fault}`);
    if (faults.length === most) break;
  }
  return faults;
}

async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest('hex');
}

async function fileFault(path: string, file: ReleaseFile): Promise<string | null> {
  try {
    if ('link' in file) return (await readlink(path)) === file.link ? null : 'is another link';
    const found = await lstat(path);
    if (!found.isFile()) return 'is no file';
    if ((found.mode & 0o7777) !== file.mode) return 'has another mode';
    return (await fileDigest(path)) === file.sha256 ? null : 'has another content';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EINVAL') return 'is not there';
    throw failedPrecondition(`look at ${path}`, error);
  }
}
