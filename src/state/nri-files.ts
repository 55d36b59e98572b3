// The files of NRI: the directory of plugins, their configurations, the socket's directory.
// Must not know what a plugin is.
import { constants } from 'node:fs';
import { chmod, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { failedPrecondition } from '../lib/failure.ts';

const largestConfig = 1024 * 1024;
const mostPlugins = 1000;

/** Names of the programs in a directory, sorted; none where there is no directory. */
export async function programsIn(dir: string): Promise<string[]> {
  let names: string[];
  try {
    names = await readdir(dir);
  } catch (error) {
    if (isMissing(error)) return [];
    throw failedPrecondition(`read the plugins in ${dir}`, error);
  }
  const programs: string[] = [];
  for (const name of names.sort().slice(0, mostPlugins)) {
    const found = await stat(join(dir, name)).catch(() => null); // gone meanwhile, or a link to nowhere
    if (found?.isFile() && (found.mode & 0o111) !== 0) programs.push(name);
  }
  return programs;
}

/** The first of some files that is there, "" for none. Throws failed-precondition for one that cannot be read. */
export async function firstFile(paths: readonly string[]): Promise<string> {
  for (const path of paths) {
    try {
      // what is no file must not be waited for
      const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
      try {
        const { size } = await file.stat();
        if (size > largestConfig) throw new RangeError(`it has ${size} bytes, more than ${largestConfig}`);
        return await file.readFile('utf8');
      } finally {
        await file.close();
      }
    } catch (error) {
      if (!isMissing(error)) throw failedPrecondition(`read plugin configuration ${path}`, error);
    }
  }
  return '';
}

const isMissing = (error: unknown): boolean =>
  ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');

/** Makes room for a socket: its directory, for root alone, without what a process before left. Throws failed-precondition where one is served. */
export async function roomForSocket(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  if (await isServed(path))
    throw failedPrecondition(`another process serves NRI on ${path}: there can be one runtime with plugins on a node`);
  await rm(path, { force: true });
}

/** chmod(2) so that root alone may connect. */
export const closeToOthers = (path: string): Promise<void> => chmod(path, 0o600);

/** Takes the socket's file away; nothing there is fine. */
export const removeSocket = (path: string): Promise<void> => rm(path, { force: true });

function isServed(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(path);
  socket.on('connect', () => resolve(true));
  socket.on('error', () => resolve(false));
  return promise.finally(() => socket.destroy());
}
