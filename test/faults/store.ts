// The image store of a daemon that is broken at steps: what lies in it, and what is not to.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestDaemon } from '../helpers/daemon.ts';
import { patienceMs } from '../helpers/until.ts';

/** How long is waited for the trash, in milliseconds: it is emptied when nobody else needs the machine. */
export const trashMs = 6 * patienceMs;

/** Looks at a daemon's store by its directories' names. */
export function storeOf(daemon: TestDaemon) {
  const names = (dir: string): string[] => {
    const path = join(daemon.root, dir);
    return existsSync(path) ? readdirSync(path) : [];
  };
  const layers = (): string[] => names('layers').filter((name) => /^[0-9a-f]{64}$/.test(name));
  return {
    /** Chain ids of the unpacked layers, as directories' names. */
    layers,
    blobs: (): string[] => names('content/blobs/sha256').toSorted(),
    /** Directories and files that are no layer, no blob and no record. */
    unfinished: (): string[] => [
      ...names('ingest'),
      ...names('saves'),
      ...names('layers').filter((name) => name.startsWith('.')),
      ...names('content/blobs/sha256').filter((name) => !/^[0-9a-f]{64}$/.test(name)),
      ...names('images').filter((name) => !/^[0-9a-f]{64}\.json$/.test(name)),
    ],
    trash: (): string[] => names('trash'),
    /** Layers that no image needs wait ten minutes for the retry of a pull: these have, for a daemon that starts. */
    age: (): void => {
      for (const name of layers()) {
        const file = join(daemon.root, 'layers', name, 'layer.json');
        writeFileSync(file, readFileSync(file, 'utf8').replace(/"committedAt":"\d+"/, '"committedAt":"1"'));
      }
    },
  };
}
