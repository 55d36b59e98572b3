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

/** Calls `then` a moment after anything changed in the directories of the files; answers what ends it. */
export function watchKeyPair({ certFile, keyFile }: KeyPairFiles, then: () => void): () => void {
  let timer: NodeJS.Timeout | null = null;
  const later = (): void => {
    if (timer) clearTimeout(timer);
    timer = setTimeout(then, settleMs).unref();
  };
  const watchers = [...new Set([dirname(certFile), dirname(keyFile)])].map((dir): FSWatcher => {
    const watcher = watch(dir, { persistent: false }, later);
    watcher.on('error', () => watcher.close()); // the directory is gone: SIGHUP still reads the files
    return watcher;
  });
  return () => {
    if (timer) clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}
