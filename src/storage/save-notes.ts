// Which files are being written at places that are not ours: noted before they are made, so that a start finds those of a
// daemon that was killed. Must not remove anything that has not such a file's name.
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { removePart } from './layout-directory.ts';
import { diskFailure } from './native-failure.ts';

/** A file or directory in the making. */
export interface NotedPart {
  /** Beside its place, under a name that nobody can foresee. Not made yet. */
  readonly path: string;
  /** It is at its place, or gone: the note goes. */
  readonly end: () => Promise<void>;
}

const partName = /^\..*\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.part$/s;
const longestNote = 8192;

/** The notes, one file each. */
export class SaveNotes {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Notes that something is going to be made beside `to`. */
  async begin(to: string): Promise<NotedPart> {
    const id = randomUUID();
    const path = join(dirname(to), `.${basename(to).slice(0, 100)}.${id}.part`);
    const note = join(this.#dir, id);
    try {
      await mkdir(this.#dir, { recursive: true, mode: 0o700 });
      await writeFile(note, path, { mode: 0o600, flag: 'wx' });
    } catch (error) {
      throw diskFailure(error, `note that ${to} is written`);
    }
    return { path, end: () => rm(note, { force: true }) };
  }

  /** Removes what notes of an earlier run name, and then the notes. */
  async sweep(): Promise<void> {
    const notes = await readdir(this.#dir).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []; // nothing was ever saved
      throw error;
    });
    for (const name of notes) {
      const note = join(this.#dir, name);
      const path = (await readFile(note, 'utf8')).slice(0, longestNote);
      if (isAbsolute(path) && partName.test(basename(path))) await removePart(path);
      await rm(note, { force: true });
    }
  }
}
