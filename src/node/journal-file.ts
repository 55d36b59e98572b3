// The journal on disk: <dir>/journal.json, in the envelope of records, by one durable rename. And its lock.
import { mkdirSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { failedPrecondition } from '../lib/failure.ts';
import { readRecord, RecordWriter, settleRecord } from '../state/record.ts';
import type { Journal } from './journal.ts';
import type { JournalStore } from './ports.ts';

/** Where journals are when nobody says otherwise. */
export const defaultJournalDir = '/var/lib/podwright-node';

/** The journals of a directory. A file that is no journal, or of a newer release, is a thrown error: it is left alone. */
export function journalStore(dir: string): JournalStore {
  const file = join(dir, 'journal.json');
  const writer = new RecordWriter((error) => {
    throw error;
  });
  return {
    read: () => {
      try {
        settleRecord(file);
        return readRecord(file) as Journal;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw error;
      }
    },
    write: (journal) => {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      writer.write(file, journal, { sync: true });
    },
  };
}

/** The address of an abstract socket (unix(7)): bound by whoever changes the node, and free when that process has ended. */
const lockAddress = (dir: string): string => `\0podwright-node:${dir}`.slice(0, 107);

/** Takes the lock; null when a transaction of this directory is carried out already, in this network namespace. */
export function takeLock(dir: string): Promise<{ release: () => void } | null> {
  const { promise, resolve, reject } = Promise.withResolvers<{ release: () => void } | null>();
  const server: Server = createServer((socket) => socket.destroy());
  server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(null) : reject(error)));
  server.listen({ path: lockAddress(dir) }, () => {
    server.unref();
    resolve({ release: () => server.close() });
  });
  return promise;
}

/** Takes the lock or throws failed-precondition. */
export async function lockOrThrow(dir: string): Promise<{ release: () => void }> {
  const lock = await takeLock(dir);
  if (lock === null) throw failedPrecondition(`this node is being changed already: see podwright node status`);
  return lock;
}
