// Tells that files of directories may have changed (inotify(7) by fs.watch). Must not read them: whoever hears of it asks.
import { existsSync, statSync, watch, type FSWatcher } from 'node:fs';
import { dirname } from 'node:path';

/** How long after a change it is told, in milliseconds: a file that is copied in is several events. */
const usualSettleMs = 50;
/** So many times that is the longest wait while more changes come. */
const mostSettles = 10;
/** How long a directory that could not be watched waits for the next try, in milliseconds. */
const usualAgainMs = 30_000;

/** Watches directories, or the nearest parent of one that is not there yet. */
export class DirectoryWatch {
  readonly #dirs: () => readonly string[];
  readonly #onChange: () => void;
  readonly #onError: (error: unknown) => void;
  readonly #watchers = new Map<string, { readonly inode: string; readonly watcher: FSWatcher }>();
  #timer: NodeJS.Timeout | null = null;
  /** When the first of the changes came that are not told yet, of performance.now(). */
  #since = 0;
  #again: NodeJS.Timeout | null = null;
  #failing = false;
  readonly #againMs: number;
  readonly #settleMs: number;
  #open = false;

  constructor(of: {
    readonly dirs: () => readonly string[];
    readonly onChange: () => void;
    /** Told once of each time that something cannot be watched. */
    readonly onError: (error: unknown) => void;
    /** How long that waits for the next try, in milliseconds; half a minute unless given. */
    readonly againMs?: number | undefined;
    /** How long after a change `onChange` is called, in milliseconds; 50 unless given. */
    readonly settleMs?: number;
  }) {
    this.#againMs = of.againMs ?? usualAgainMs;
    this.#settleMs = of.settleMs ?? usualSettleMs;
    this.#dirs = of.dirs;
    this.#onChange = of.onChange;
    this.#onError = of.onError;
  }

  start(): void {
    this.#open = true;
    this.arm();
  }

  /** Watches what is there now: after a change, other directories may be of interest, or the same ones made anew. */
  arm(): void {
    if (!this.#open) return;
    const wanted = new Set(this.#dirs().map(nearest));
    for (const [dir, { inode, watcher }] of this.#watchers) {
      if (wanted.has(dir) && inodeOf(dir) === inode) continue;
      watcher.close();
      this.#watchers.delete(dir);
    }
    const unwatched = [...wanted].filter((dir) => !this.#watchers.has(dir) && !this.#watch(dir));
    if (unwatched.length > 0) this.#tryAgain();
    else if (this.#failing) {
      this.#failing = false;
      this.#changed(); // what came meanwhile was not heard of
    }
  }

  /** Whether the directory is watched from now on; when no inotify instance is left, changes are seen at the next call. */
  #watch(dir: string): boolean {
    try {
      const inode = inodeOf(dir);
      const watcher = watch(dir, { persistent: false }, () => this.#changed());
      watcher.on('error', (error) => {
        watcher.close();
        this.#watchers.delete(dir);
        this.#failing = true;
        this.#onError(error);
        this.#tryAgain();
      });
      this.#watchers.set(dir, { inode, watcher });
      return true;
    } catch (error) {
      if (!this.#failing) this.#onError(error);
      this.#failing = true;
      return false;
    }
  }

  #tryAgain(): void {
    this.#again ??= setTimeout(() => {
      this.#again = null;
      this.arm();
    }, this.#againMs).unref();
  }

  /** Waits until nothing has changed for a moment, but not for ever where something always does. */
  #changed(): void {
    const now = performance.now();
    if (this.#timer === null) this.#since = now;
    else if (now - this.#since > mostSettles * this.#settleMs) return;
    else clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (!this.#open) return;
      this.arm(); // before anybody looks: what comes after that look is heard of
      this.#onChange();
    }, this.#settleMs).unref();
  }

  close(): void {
    this.#open = false;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#again) clearTimeout(this.#again);
    this.#again = null;
    for (const { watcher } of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }
}

function inodeOf(dir: string): string {
  const found = statSync(dir, { bigint: true, throwIfNoEntry: false });
  return found ? `${found.dev} ${found.ino}` : '';
}

function nearest(dir: string): string {
  let found = dir;
  while (!existsSync(found) && dirname(found) !== found) found = dirname(found);
  return found;
}
