// A private key and its certificate in files that somebody may renew. Must not know what they are for.
import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DirectoryWatch } from '../files/directory-watch.ts';
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

/** How key pairs are watched. */
export interface KeyPairWatch {
  /** Called a moment after one of the files has become another, or has gone. */
  readonly onChange: () => void;
  /** Told once of each time that a directory cannot be watched: it is tried again, and SIGHUP still reads the files. */
  readonly onError: (error: unknown) => void;
  /** How long the next try waits, in milliseconds; half a minute unless given. */
  readonly againMs?: number;
}

/** Another text for each version of a file, and for none. */
function versionOf(file: string): string {
  try {
    const found = statSync(file, { bigint: true, throwIfNoEntry: false });
    return found === undefined ? 'none' : `${found.dev} ${found.ino} ${found.mtimeNs} ${found.size}`;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
}

/** Watches the directories of the files, also before they are there and after they were replaced; answers what ends it. */
export function watchKeyPair(
  { certFile, keyFile }: KeyPairFiles,
  { onChange, onError, againMs }: KeyPairWatch,
): () => void {
  const dirs = [dirname(certFile), dirname(keyFile)];
  const look = (): string => [certFile, keyFile].map(versionOf).join();
  let seen = look();
  // other files change there too, in a parent that is watched instead above all
  const changed = (): void => {
    const now = look();
    if (now === seen) return;
    seen = now;
    onChange();
  };
  const watching = new DirectoryWatch({ dirs: () => dirs, onChange: changed, onError, againMs, settleMs });
  watching.start();
  return () => watching.close();
}
