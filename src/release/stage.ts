// Brings a release to the host's disk: beside its place, looked at, synced, renamed.
// Must not start anything, or touch a release that is there and right.
import { randomBytes } from 'node:crypto';
import { chmod, copyFile, lstat, mkdir, readdir, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncPath } from '../files/sync.ts';
import { Failure, failedPrecondition } from '../lib/failure.ts';
import { listing, type Release } from './release.ts';
import { readRelease, treeFaults } from './tree.ts';

/** What came of staging. */
export interface Staged {
  readonly release: Release;
  /** False when it was there. */
  readonly copied: boolean;
}

/** Where to stage, and what becomes of a directory there that is torn. */
export interface Place {
  /** The directory of releases, as this process sees it. */
  readonly releases: string;
  /** Its name in messages: as the host has it. */
  readonly called: string;
  /**
   * A program may run from one that is left: a command that changes a node refuses it, and its preflight tells why. One
   * that does not even say what it is may be another's, and is a failed-precondition Failure.
   */
  readonly torn: 'replaced' | 'left';
}

/** Names of copies that are not finished. */
export const staging = '.staging-';

/** Where a release lies on a host. */
export const releaseDir = (prefix: string, version: string): string => join(prefix, 'releases', version);

/**
 * Copies the release tree `source` to `<releases>/<version>`: beside its place, looked at, synced, renamed. One that is
 * there whole is left alone; another build of the same version is a failed-precondition Failure, for pods may run from it.
 */
export async function stageRelease(source: string, { releases, called, torn }: Place): Promise<Staged> {
  const release = await readRelease(source);
  const { version } = release;
  const target = join(releases, version);
  await mkdir(releases, { recursive: true, mode: 0o755 });
  const there = await releaseAt(target);
  const isWhole = there !== null && (torn === 'left' || (await treeFaults(target, there, 1)).length === 0);
  if (isWhole && there.digest === release.digest) return { release, copied: false };
  if (isWhole)
    throw failedPrecondition(
      `stage release ${version}: another build of it is at ${join(called, version)}: give each build a version of its own`,
    );
  if (torn === 'left' && (await isThere(target)))
    throw failedPrecondition(
      `stage release ${version}: ${join(called, version)} is there and its ${listing} cannot be read: see to it by hand`,
    );
  await putTree(source, { releases, target, release });
  return { release, copied: true };
}

/** Copies beside its place, looks at the copy, and renames it; nothing stays beside when that fails. */
async function putTree(
  source: string,
  { releases, target, release }: { readonly releases: string; readonly target: string; readonly release: Release },
): Promise<void> {
  const fresh = join(releases, `${staging}${randomBytes(6).toString('hex')}`);
  try {
    await copyTree(source, fresh, release);
    const [fault] = await treeFaults(fresh, release, 1);
    if (fault !== undefined) throw failedPrecondition(`stage release ${release.version}: ${fault}`);
    await replace(target, fresh, join(releases, `${staging}${randomBytes(6).toString('hex')}`));
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    throw error;
  }
  await syncPath(releases);
}

const isThere = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );

/** What a directory says it is; null where none is there, or what says so cannot be read: it is staged anew. */
async function releaseAt(directory: string): Promise<Release | null> {
  try {
    return await readRelease(directory);
  } catch (error) {
    if (error instanceof Failure) return null;
    throw error;
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
    await syncPath(to);
  }
  await copyFile(join(source, listing), join(fresh, listing));
  await syncPath(join(fresh, listing));
}

// A directory cannot be renamed over one that has files: the old one goes aside first, and what runs keeps its files.
async function replace(target: string, fresh: string, aside: string): Promise<void> {
  const isAside = await isThere(target);
  if (isAside) await rename(target, aside);
  try {
    await rename(fresh, target);
  } catch (error) {
    if (isAside) await rename(aside, target);
    throw error;
  }
}

/** Removes copies that were not finished, and what was replaced: for who alone stages there. */
export async function sweepReleases(releases: string): Promise<void> {
  const names = await readdir(releases).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const left = names.filter((name) => name.startsWith(staging));
  for (const name of left) await rm(join(releases, name), { recursive: true, force: true });
}
