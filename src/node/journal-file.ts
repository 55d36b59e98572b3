// The journal on disk: <dir>/journal.json, in the envelope of records, by one durable rename.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { failedPrecondition } from '../lib/failure.ts';
import { readRecord, settleRecord } from '../state/record.ts';
import { RecordWriter } from '../state/record-writer.ts';
import type { Journal } from './journal.ts';
import { type Lock, takeLockWithin } from './lock.ts';
import type { JournalStore } from './ports.ts';

/** Where journals are when nobody says otherwise. */
export const defaultJournalDir = '/var/lib/podwright-node';

const fileIn = (dir: string): string => join(dir, 'journal.json');

/** The journals of a directory; reading changes nothing, for another may be writing. A file that is no journal, or of a newer release, is a thrown error: it is left alone. */
export function journalStore(dir: string): JournalStore {
  const file = fileIn(dir);
  const writer = new RecordWriter((error) => {
    throw error;
  });
  return {
    read: () => {
      try {
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

/**
 * Takes the lock and ends what an interrupted write of the journal has left, which only its holder may; throws
 * failed-precondition while another holds it.
 */
export async function lockJournal(dir: string): Promise<Lock> {
  const lock = await takeLockWithin(dir, 2000);
  if (lock === null) throw failedPrecondition('this node is being changed already: see podwright node status');
  try {
    settleRecord(fileIn(dir));
  } catch (error) {
    lock.release();
    throw error;
  }
  return lock;
}
