// The directories that layers are made in before they are put at their places. Must not know what is in one.
import { join } from 'node:path';
import type { StorageNative } from './ports.ts';

interface Place {
  readonly layersDir: string;
  readonly trashDir: string;
  readonly native: Pick<StorageNative, 'removeTree'>;
}

/** What `make` puts in a directory of that handle becomes a layer, or nothing of it is left. */
export async function staged<T>(
  { layersDir, trashDir, native }: Place,
  handle: string,
  make: (stagingDir: string) => Promise<T>,
): Promise<T> {
  const stagingDir = join(layersDir, `.staging-${handle}`);
  try {
    return await make(stagingDir);
  } catch (error) {
    // what cannot be taken away now is swept at the next start; the caller hears why it failed
    await native.removeTree({ path: stagingDir, trashDir }).catch(() => undefined);
    throw error;
  }
}
