// Keeps the index of the content directory true: an OCI layout of all images whose blobs are kept.
// Must not hold anybody up: it is written in the background, from the records.
import type { ImageContext, ImageRecordIndex } from './ports.ts';
import { layoutIndex } from './save-format.ts';

/** Writes the index when records change. */
export class KeptLayout {
  readonly #ctx: Pick<ImageContext, 'storage' | 'log'> & { readonly records: ImageRecordIndex };
  #written = '';
  #running: Promise<void> = Promise.resolve();
  #due = false;

  constructor(ctx: Pick<ImageContext, 'storage' | 'log' | 'records'>) {
    this.#ctx = ctx;
  }

  /** The records, with each change of one told to the index. */
  get records(): ImageRecordIndex {
    const { records } = this.#ctx;
    const told = async (change: Promise<void>): Promise<void> => {
      await change;
      this.refresh();
    };
    return {
      put: (record) => told(records.put(record)),
      remove: (id) => told(records.remove(id)),
      get: (id) => records.get(id),
      list: () => records.list(),
    };
  }

  /** Writes the index soon; changes that come meanwhile are in one more writing. */
  refresh(): void {
    if (this.#due) return;
    this.#due = true;
    this.#running = this.#running.then(() => this.#write());
  }

  /** Settles when all is written. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #write(): Promise<void> {
    this.#due = false;
    const { storage, records, log } = this.#ctx;
    const kept = records.list().filter((record) => record.blobsKept && !record.artifact);
    const images = kept.flatMap(({ manifestDigest: digest, mediaType, repoTags }) => {
      const size = storage.content.size(digest);
      return size === null ? [] : [{ manifest: { mediaType, digest, size }, tags: repoTags }];
    });
    const text = `${layoutIndex(images)}\n`;
    if (text === this.#written) return;
    try {
      await storage.content.writeIndex(text);
      this.#written = text;
    } catch (error) {
      log.warn({ error }, 'the index of kept blobs could not be written');
    }
  }
}
