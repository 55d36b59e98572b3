// Tells that configurations may have changed (inotify(7) by fs.watch). Must not read them: whoever hears of it asks.
import { existsSync, statSync, watch, type FSWatcher } from 'node:fs';
import { dirname } from 'node:path';

// a file that is copied in is several events
const settleMs = 50;

/** Watches directories, or the nearest parent of one that is not there yet. */
export class DirectoryWatch {
  readonly #dirs: () => readonly string[];
  readonly #onChange: () => void;
  readonly #onError: (error: unknown) => void;
  readonly #watchers = new Map<string, { readonly inode: string; readonly watcher: FSWatcher }>();
  #timer: NodeJS.Timeout | null = null;
  #open = false;

  constructor(of: { dirs: () => readonly string[]; onChange: () => void; onError: (error: unknown) => void }) {
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
    for (const dir of wanted) if (!this.#watchers.has(dir)) this.#watch(dir);
  }

  #watch(dir: string): void {
    try {
      const inode = inodeOf(dir);
      const watcher = watch(dir, { persistent: false }, () => this.#changed());
      watcher.on('error', this.#onError);
      this.#watchers.set(dir, { inode, watcher });
    } catch (error) {
      this.#onError(error); // no inotify instance left: changes are seen at the next call
    }
  }

  #changed(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      if (!this.#open) return;
      this.arm(); // before anybody looks: what comes after that look is heard of
      this.#onChange();
    }, settleMs).unref();
  }

  close(): void {
    this.#open = false;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
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
