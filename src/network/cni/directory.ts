// The configuration directory, read again whenever it or the file in use has changed.
import { statSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
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
  /** Every mark was older than a tick when it was taken: whatever changes later makes another one. */
  readonly settled: boolean;
}

// kernels before 6.13 stamp files by the tick of a clock: a second change within one leaves the same mark
const tickMs = 20;

// a directory that changes all the time must not keep a pod waiting
const mostReads = 5;

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
    if (this.#seen && this.#seen.settled && unchanged(this.#seen.marks)) return this.#seen.loaded;
    this.#reading ??= this.#read().finally(() => (this.#reading = null));
    return this.#reading;
  }

  /** The directories that what was found last came from, and would come from. */
  dirs(): readonly string[] {
    const marks = this.#seen?.marks.keys() ?? [];
    return [...new Set([this.#dir, ...[...marks].filter((path) => !isConfigFile(path))])];
  }

  /** Reads until nothing has changed meanwhile: what is chosen is what the directory held at one moment. */
  async #read(): Promise<Loaded> {
    for (let tries = 1; ; tries += 1) {
      const seen = sameAs(this.#seen, await this.#readOnce());
      this.#seen = seen;
      if (tries === mostReads || unchanged(seen.marks)) return seen.loaded;
    }
  }

  async #readOnce(): Promise<Seen> {
    const at = Date.now();
    // the mark comes before the reading: a change in between is seen
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
    return { marks, loaded, settled: [...marks.values()].every((each) => timeOf(each) < at - tickMs) };
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

const absent = 'absent';

// synchronous: a few microseconds of the dentry cache, where a trip to libuv's pool costs hundreds
function mark(path: string): string {
  try {
    const found = statSync(path, { bigint: true, throwIfNoEntry: false });
    return found ? `${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}` : absent;
  } catch {
    return absent; // what cannot be looked at is passed over when it is read
  }
}

const unchanged = (marks: ReadonlyMap<string, string>): boolean =>
  [...marks].every(([path, before]) => mark(path) === before);

/** When what bears a mark was changed last, in milliseconds since 1970. */
const timeOf = (mark: string): number => (mark === absent ? 0 : Number(mark.slice(mark.lastIndexOf(' '))) / 1e6);

/** What was read anew; what was loaded before stays the same object where nothing has changed. */
const sameAs = (before: Seen | null, now: Seen): Seen =>
  before !== null && isDeepStrictEqual([before.marks, before.loaded], [now.marks, now.loaded])
    ? { ...now, loaded: before.loaded }
    : now;
