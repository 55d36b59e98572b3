// A private key and its certificate in files that somebody may renew. Must not know what they are for.
import { type FSWatcher, readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { failedPrecondition } from '../lib/failure.ts';

/** Where they are. */
export interface KeyPairFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Reads both. A file that cannot be read is a failed-precondition Failure that names it. */
export function readKeyPair({ certFile, keyFile }: KeyPairFiles): { readonly cert: string; readonly key: string } {
  const read = (file: string): string => {
    try {
      return readFileSync(file, 'utf8');
    } catch (error) {
      throw failedPrecondition(`read a key pair: ${file}`, error);
    }
  };
  return { cert: read(certFile), key: read(keyFile) };
}

/** Renewals write two files, or swap a link beside them: what is read a little later is whole. */
const settleMs = 300;

/** How long a directory that cannot be watched waits for the next try, in milliseconds. */
const usualAgainMs = 30_000;

/** How key pairs are watched. */
export interface KeyPairWatch {
  /** Called a moment after anything changed in the directories of the files. */
  readonly onChange: () => void;
  /** Told when a directory cannot be watched, once until it can: it is tried again, and SIGHUP still reads the files. */
  readonly onError: (error: unknown) => void;
  /** How long the next try waits, in milliseconds; half a minute unless given. */
  readonly againMs?: number;
}

/** Watches the directories of the files; answers what ends it. */
export function watchKeyPair(
  files: KeyPairFiles,
  { onChange, onError, againMs = usualAgainMs }: KeyPairWatch,
): () => void {
  const timers = new Map<string, NodeJS.Timeout>();
  const after = (name: string, ms: number, work: () => void): void => {
    clearTimeout(timers.get(name));
    timers.set(name, setTimeout(work, ms).unref());
  };
  const later = (): void => after('read', settleMs, onChange);
  const watchers = new Map<string, FSWatcher>();
  const arm = (dir: string, told: boolean): void => {
    try {
      const watcher = watch(dir, { persistent: false }, later);
      watcher.on('error', () => watcher.close()); // the directory is gone: SIGHUP still reads the files
      watchers.set(dir, watcher);
      if (told) later(); // what came meanwhile was not heard of
    } catch (error) {
      if (!told) onError(error);
      after(dir, againMs, () => arm(dir, true));
    }
  };
  for (const dir of new Set([dirname(files.certFile), dirname(files.keyFile)])) arm(dir, false);
  return () => {
    for (const timer of timers.values()) clearTimeout(timer);
    for (const watcher of watchers.values()) watcher.close();
  };
}
