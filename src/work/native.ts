// The addon with its heavy calls made by a worker. Must not decide whether they are.
import type { FetchBlobRequest } from '../native/boundary.ts';
import type { Native } from '../native/load.ts';
import type { HeavyCall } from './calls.ts';
import type { Worker } from './worker.ts';

/**
 * The same calls as the addon's, of which pulls, saves, verification and freeing run in the worker. What is removed is
 * renamed away here, so that nobody waits for the worker, and freed there.
 */
export function workingNative(
  native: Native,
  worker: Pick<Worker, 'call' | 'cancel' | 'progress'>,
  onError: (error: unknown) => void,
): Native {
  // the worker's outcome is what the addon answers there
  const heavy = <K extends HeavyCall>(name: K): Native[K] =>
    ((args: object) => worker.call(name, args)) as unknown as Native[K];
  const free = sweeper((trashDir) => worker.call('sweepTrash', { trashDir }), onError);
  return {
    ...native,
    fetchLayer: heavy('fetchLayer'),
    archiveIndex: heavy('archiveIndex'),
    unpackFromArchive: heavy('unpackFromArchive'),
    verifyBlob: heavy('verifyBlob'),
    exportBlob: heavy('exportBlob'),
    sendBlob: heavy('sendBlob'),
    sweepTrash: heavy('sweepTrash'),
    // a config or manifest, of some kilobytes, is not worth a process
    fetchBlob: (request: FetchBlobRequest) =>
      request.keepBlobPath === null ? native.fetchBlob(request) : heavy('fetchBlob')(request),
    fetchCancel: (args) => worker.cancel(args.handle) || native.fetchCancel(args),
    fetchProgress: () => [...native.fetchProgress(), ...worker.progress()],
    removeTree: async (args) => {
      const retired = await native.retireTree(args);
      if (retired.removed) free(args.trashDir);
      return retired;
    },
  };
}

/** Empties a trash soon: one sweep at a time, and another after it for what has come meanwhile. */
function sweeper(sweep: (trashDir: string) => Promise<unknown>, onError: (error: unknown) => void) {
  const wanted = new Set<string>();
  let running = false;
  const run = async (): Promise<void> => {
    running = true;
    for (const trashDir of wanted) {
      wanted.delete(trashDir);
      await sweep(trashDir).catch(onError);
    }
    running = false;
  };
  return (trashDir: string): void => {
    wanted.add(trashDir);
    if (!running) void run();
  };
}
