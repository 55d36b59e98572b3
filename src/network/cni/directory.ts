// The configuration directory, read again whenever it or the file in use has changed.
import { statSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { NetworkConfig } from './conflist.ts';
import { BadConfig, isConfigFile, parseNetworkConfig, wantsPluginsBeside } from './conflist.ts';

/** What the directory holds: the first valid configuration by name, and why earlier ones were passed over. */
export interface Loaded {
  readonly config: NetworkConfig | null;
  readonly file: string | null;
  readonly problems: readonly string[];
}

interface Seen {
  /** Files and directories that decided, with the marks of their state. */
  readonly marks: ReadonlyMap<string, string>;
  readonly loaded: Loaded;
}

/** The configurations of one directory. */
export class ConfigDirectory {
  readonly #dir: string;
  #seen: Seen | null = null;
  #reading: Promise<Loaded> | null = null;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** The configuration in use now. A few stat(2) calls while nothing changes. */
  async current(): Promise<Loaded> {
    if (this.#seen && unchanged(this.#seen.marks)) return this.#seen.loaded;
    this.#reading ??= this.#read().finally(() => (this.#reading = null));
    return this.#reading;
  }

  async #read(): Promise<Loaded> {
    // the mark comes before the reading: a change in between is seen next time
    const marks = new Map([[this.#dir, mark(this.#dir)]]);
    const problems: string[] = [];
    let loaded: Loaded = { config: null, file: null, problems };
    for (const name of await configFiles(this.#dir)) {
      const file = join(this.#dir, name);
      marks.set(file, mark(file));
      try {
        loaded = { config: await this.#load(file, marks), file, problems };
        break;
      } catch (error) {
        problems.push(`${name}: ${(error as Error).message}`);
      }
    }
    this.#seen = { marks, loaded };
    return loaded;
  }

  async #load(file: string, marks: Map<string, string>): Promise<NetworkConfig> {
    const text = await readFile(file, 'utf8');
    const name = wantsPluginsBeside(text);
    if (name === null) return parseNetworkConfig(text);
    const dir = join(this.#dir, name);
    marks.set(dir, mark(dir));
    const beside: string[] = [];
    for (const each of await configFiles(dir)) {
      marks.set(join(dir, each), mark(join(dir, each)));
      if (each.endsWith('.conf')) beside.push(await readFile(join(dir, each), 'utf8'));
    }
    return parseNetworkConfig(text, beside);
  }
}

async function configFiles(dir: string): Promise<string[]> {
  try {
    return (await readdir(dir)).filter(isConfigFile).sort();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw new BadConfig(`read ${dir}: ${(error as Error).message}`);
  }
}

// synchronous: a few microseconds of the dentry cache, where a trip to libuv's pool costs hundreds
function mark(path: string): string {
  try {
    const found = statSync(path, { bigint: true, throwIfNoEntry: false });
    return found ? `${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}` : 'absent';
  } catch {
    return 'absent'; // what cannot be looked at is passed over when it is read
  }
}

const unchanged = (marks: ReadonlyMap<string, string>): boolean =>
  [...marks].every(([path, before]) => mark(path) === before);
