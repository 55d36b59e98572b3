// Files of a node that a transaction reads and replaces. Must not know what is in them.
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { replaceFile, syncPathNow } from '../files/sync.ts';
import { failedPrecondition } from '../lib/failure.ts';

const isMissing = (error: unknown): boolean =>
  ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');

/** A text file; null when it is not there. */
export function readText(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/** Replaces a text file by one durable rename, with the mode it had (0644 for a new one); null removes it. */
export function writeText(file: string, text: string | null): void {
  if (text === null) {
    rmSync(file, { force: true });
    if (existsSync(dirname(file))) syncPathNow(dirname(file));
    return;
  }
  mkdirSync(dirname(file), { recursive: true });
  const mode = existsSync(file) ? statSync(file).mode & 0o777 : 0o644;
  // a kubelet takes every file of some directories that has no dot before its name
  const beside = join(dirname(file), `.podwright-${randomBytes(4).toString('hex')}`);
  replaceFile(file, text, { mode, sync: true, beside });
  syncPathNow(dirname(file));
}

/** Where a symbolic link leads; null for anything else. */
export function readLink(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (isMissing(error) || (error as NodeJS.ErrnoException).code === 'EINVAL') return null;
    throw error;
  }
}

/** Makes or replaces a symbolic link by one rename; null removes it. What is not a link is left alone and refused. */
export function writeLink(path: string, target: string | null): void {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there !== undefined && !there.isSymbolicLink())
    throw failedPrecondition(`${path} is no symbolic link: it is not podwright's`);
  if (target === null) return rmSync(path, { force: true });
  mkdirSync(dirname(path), { recursive: true });
  const fresh = `${path}.${randomBytes(4).toString('hex')}`;
  symlinkSync(target, fresh);
  renameSync(fresh, path);
  syncPathNow(dirname(path));
}

/** Removes a directory if it is empty. */
export function removeIfEmpty(dir: string): void {
  if (existsSync(dir) && readdirSync(dir).length === 0) rmSync(dir, { recursive: true });
}

/** Removes a tree. Refuses while anything is mounted below it: what is removed there would be another's. */
export async function removeTree(dir: string): Promise<void> {
  if (lstatSync(dir, { throwIfNoEntry: false }) === undefined) return;
  const real = existsSync(dir) ? realpathSync(dir) : dir;
  refuseMounts(dir);
  await rm(real, { recursive: true, force: true });
  if (real !== dir) await rm(dir, { recursive: true, force: true }); // the link to it
}

const realOf = (dir: string): string => (existsSync(dir) ? realpathSync(dir) : dir);

/** Where something is mounted that this process sees (proc_pid_mountinfo(5)). */
const mountPoints = (): readonly string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '');

/** Whether a directory is where a file system of its own is mounted. */
export const isMountPoint = (dir: string): boolean => mountPoints().includes(realOf(dir));

/** A failed-precondition Failure while anything is mounted below a directory, or on it, unless that is allowed. */
export function refuseMounts(dir: string, { onItself = false }: { readonly onItself?: boolean } = {}): void {
  const real = realOf(dir);
  const mounted = mountPoints().filter((point) => (point === real && !onItself) || point.startsWith(`${real}/`));
  if (mounted.length > 0) throw failedPrecondition(`remove ${dir}: mounted there is ${mounted.join(', ')}`);
}

/** Free bytes of the file system that a path lies on, or will lie on. */
export function freeBytes(path: string): number {
  let at = path;
  while (!existsSync(at)) at = dirname(at);
  const { bavail, bsize } = statfsSync(at);
  return bavail * bsize;
}

/** The kernel's id of this boot. */
export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** Names in a directory; none when it is not there. */
export const namesIn = (dir: string): readonly string[] => (existsSync(dir) ? readdirSync(dir).sort() : []);

/** Files below a directory, of directories in it too, as a walk by their names finds them; none when it is not there. */
export function filesBelow(dir: string): readonly string[] {
  return namesIn(dir).flatMap((name) => {
    const path = join(dir, name);
    return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true ? filesBelow(path) : [path];
  });
}

/** Whether systemd is process 1 (sd_booted(3)). */
export const hasSystemd = (): boolean => existsSync('/run/systemd/system');

/** The words of a process's command line; empty when it is gone. */
export const commandLine = (pid: number): readonly string[] =>
  (readText(`/proc/${pid}/cmdline`) ?? '').split('\0').slice(0, -1);

/** Processes whose program has this name, with their command lines. */
export function processesNamed(name: string): readonly (readonly string[])[] {
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
  return pids.map((pid) => commandLine(Number(pid))).filter(([program = '']) => program.split('/').at(-1) === name);
}
