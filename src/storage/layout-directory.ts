// An OCI layout in the making below a directory that may be somebody else's: its directories are opened once, and all is
// made and removed below what was opened, so that nothing put in their place meanwhile leads elsewhere.
// Must not know what is written.
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, rename, rmdir, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { failedPrecondition } from '../lib/failure.ts';

/** No link, and nothing but a directory. */
const directory = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** The layout, blobs, sha256, files. */
const mostLevels = 4;

/** A path that leads to what was opened, wherever that is by now (proc_pid_fd(5)). */
const below = ({ fd }: FileHandle, name: string): string => `/proc/self/fd/${fd}/${name}`;

/** A directory with `blobs/sha256` in it. */
export class LayoutDirectory {
  readonly #path: string;
  /** It, blobs, sha256: as far as they are made. */
  readonly #open: FileHandle[] = [];

  private constructor(path: string) {
    this.#path = path;
  }

  /** Makes one where nothing is. Rejects with the failed call, and has removed it then. */
  static async make(path: string): Promise<LayoutDirectory> {
    const made = new LayoutDirectory(path);
    await mkdir(path, { mode: 0o755 });
    try {
      made.#open.push(await open(path, directory));
      for (const name of ['blobs', 'sha256']) {
        const next = below(made.#open.at(-1) as FileHandle, name);
        await mkdir(next, { mode: 0o755 });
        made.#open.push(await open(next, directory));
      }
      return made;
    } catch (error) {
      await made.remove();
      throw error;
    }
  }

  /** A path for files of the layout itself. */
  get top(): string {
    return below(this.#open[0] as FileHandle, '.');
  }

  /** A path for blobs. */
  get blobs(): string {
    return below(this.#open[2] as FileHandle, '.');
  }

  /** Makes a file of the layout itself. */
  write(name: string, text: string): Promise<void> {
    return writeFile(join(this.top, name), text, { mode: 0o644, flag: 'wx' });
  }

  /** Puts it at its place, which is in the same directory. Throws failed-precondition if another has been put at its path. */
  async moveTo(to: string): Promise<void> {
    const [own, there] = await Promise.all([
      (this.#open[0] as FileHandle).stat({ bigint: true }),
      lstat(this.#path, { bigint: true }).catch(() => null),
    ]);
    if (own.ino !== there?.ino || own.dev !== there.dev)
      throw failedPrecondition(`save images to ${to}: ${this.#path} was replaced while it was written`);
    await rename(this.#path, to);
    await this.#close();
  }

  /** Removes it with what is in it. */
  async remove(): Promise<void> {
    const [own] = this.#open;
    try {
      if (own) await empty(own, mostLevels);
    } finally {
      await this.#close();
    }
    await rmdir(this.#path).catch(unlessTheirs);
  }

  async #close(): Promise<void> {
    for (const handle of this.#open.splice(0)) await handle.close();
  }
}

/** Removes a file or the directory of a layout; no link is followed, whoever changes what is there meanwhile. */
export async function removePart(path: string, levels = mostLevels): Promise<void> {
  if (levels === 0) return;
  const handle = await open(path, directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'ELOOP') return null;
    throw error;
  });
  if (handle === null) return unlink(path).catch(unlessTheirs);
  try {
    await empty(handle, levels);
  } finally {
    await handle.close();
  }
  await rmdir(path).catch(unlessTheirs);
}

async function empty(handle: FileHandle, levels: number): Promise<void> {
  const names = await readdir(below(handle, '.')).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []; // removed by somebody
    throw error;
  });
  for (const name of names) await removePart(below(handle, name), levels - 1);
}

/** What is gone, or something else by now, or has what we did not make in it, is not ours to remove. */
function unlessTheirs(error: NodeJS.ErrnoException): void {
  if (!['ENOENT', 'ENOTDIR', 'EISDIR', 'ENOTEMPTY'].includes(error.code ?? '')) throw error;
}
