// Brings a release to the host's disk: beside its place, looked at, synced, renamed.
// Must not start anything, or touch a release that is there and right.
import { randomBytes } from 'node:crypto';
import { chmod, copyFile, mkdir, open, readdir, rename, rm, symlink, writeFile, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { failedPrecondition, internal } from '../lib/failure.ts';
import { listing, readRelease, treeFault, type Release } from './release.ts';

/** What came of staging. */
export interface Staged {
  /** The directory as the host has it. */
  readonly directory: string;
  readonly release: Release;
  /** False when it was there and right. */
  readonly copied: boolean;
}

/** Where to stage: `prefix` on the host ("/opt/podwright"), which this process sees as `seen`. */
export interface Place {
  readonly prefix: string;
  readonly seen: string;
}

const staging = '.staging-';

/**
 * Copies the release tree `source` to `<prefix>/releases/<version>`. A release that is there whole is left alone, one that
 * is torn is replaced; another build of the same version is a failed-precondition Failure, for pods may run from it. What
 * an installer that was killed left is removed.
 */
export async function stageRelease(source: string, { prefix, seen }: Place): Promise<Staged> {
  const release = await readRelease(source);
  const releases = join(seen, 'releases');
  const target = join(releases, release.version);
  const directory = join(prefix, 'releases', release.version);
  await mkdir(releases, { recursive: true, mode: 0o755 });
  await sweep(releases);
  const there = await wholeRelease(target);
  if (there?.digest === release.digest) return { directory, release, copied: false };
  if (there !== null)
    throw failedPrecondition(`stage release ${release.version}: another build of it is at ${directory}`);
  const fresh = join(releases, `${staging}${randomBytes(6).toString('hex')}`);
  await copyTree(source, fresh, release);
  const fault = await treeFault(fresh, release);
  if (fault !== null) throw internal(`stage release ${release.version}: ${fault}`);
  await replace(target, fresh, join(releases, `${staging}${randomBytes(6).toString('hex')}`));
  await syncDirectory(releases);
  await sweep(releases);
  return { directory, release, copied: true };
}

/** The release at a directory when all of it is as listed, else null. */
async function wholeRelease(directory: string): Promise<Release | null> {
  try {
    const release = await readRelease(directory);
    return (await treeFault(directory, release)) === null ? release : null;
  } catch {
    return null; // not there, or torn: it is staged anew either way
  }
}

async function copyTree(source: string, fresh: string, release: Release): Promise<void> {
  await mkdir(fresh, { mode: 0o755 });
  for (const file of release.files) {
    const to = join(fresh, file.path);
    await mkdir(dirname(to), { recursive: true, mode: 0o755 });
    if ('link' in file) {
      await symlink(file.link, to);
      continue;
    }
    await copyFile(join(source, file.path), to);
    await chmod(to, file.mode);
    await syncFile(to);
  }
  await copyFile(join(source, listing), join(fresh, listing));
  await syncFile(join(fresh, listing));
}

// A directory cannot be renamed over one that has files: the old one goes aside first, and what runs keeps its files.
async function replace(target: string, fresh: string, aside: string): Promise<void> {
  await rename(target, aside).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  await rename(fresh, target);
}

async function sweep(releases: string): Promise<void> {
  const left = (await readdir(releases)).filter((name) => name.startsWith(staging));
  for (const name of left) await rm(join(releases, name), { recursive: true, force: true });
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

const syncDirectory = syncFile;

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
  await syncFile(fresh);
  await rename(fresh, path);
  await syncDirectory(dirname(path));
  return true;
}
