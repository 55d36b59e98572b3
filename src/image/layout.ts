// Keeps the index of the content directory true: an OCI layout of all images whose blobs are kept.
// Must not hold anybody up: it is written in the background, from the records.
import { createHash } from 'node:crypto';
import type { Digest } from '../lib/id.ts';
import { mediaTypes } from '../registry/manifest.ts';
import type { ImageRecord } from './image.ts';
import type { ImageContext, ImageRecordIndex } from './ports.ts';
import { layoutIndex, newManifest, ociLayerType } from './save-format.ts';

type LayoutContext = Pick<ImageContext, 'storage' | 'log' | 'records' | 'leases'>;

/** Writes the index when records change. */
export class KeptLayout {
  readonly #ctx: LayoutContext;
  #written = '';
  /** Lets go of the twins that the index names. */
  #release: () => void = () => undefined;
  #running: Promise<void> = Promise.resolve();
  #due = false;

  constructor(ctx: LayoutContext) {
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
    const { storage, records, leases, log } = this.#ctx;
    const kept = records.list().filter((record) => record.blobsKept && !record.artifact);
    try {
      const images = (await Promise.all(kept.map((record) => this.#entry(record)))).filter((one) => one !== null);
      const text = `${layoutIndex(images)}\n`;
      const release = leases.hold(images.flatMap(({ twin }) => (twin === null ? [] : [twin.digest])));
      this.#release();
      this.#release = release;
      // held first: a sweep must not find them without a name
      for (const { twin, bytes } of images) if (twin !== null) await storage.content.put(twin.digest, bytes);
      if (text === this.#written) return;
      await storage.content.writeIndex(text);
      this.#written = text;
    } catch (error) {
      log.warn({ error }, 'the index of kept blobs could not be written');
    }
  }

  /** What the index says of an image; null for one whose manifest is not here. */
  async #entry({ manifestDigest, mediaType, repoTags: tags, id, layers }: ImageRecord) {
    const { content } = this.#ctx.storage;
    const size = content.size(manifestDigest);
    const configSize = content.size(id as string as Digest);
    if (size === null || configSize === null) return null;
    const manifest = { mediaType, digest: manifestDigest, size };
    const bytes =
      mediaType === mediaTypes.dockerManifest ? await this.#twinOf({ manifestDigest, id, configSize, layers }) : null;
    if (bytes === null) return { manifest, tags, twin: null, bytes: noBytes };
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}` as string as Digest;
    return { manifest, tags, twin: { mediaType: mediaTypes.ociManifest, digest, size: bytes.length }, bytes };
  }

  /** An OCI manifest of what one of Docker's type names; null where that is damaged. */
  async #twinOf({ manifestDigest, id, configSize, layers }: Twinned): Promise<Buffer | null> {
    const original = await this.#ctx.storage.content.read(manifestDigest);
    const blobs = layers.map(({ mediaType, digest, blobBytes: size }) => ({
      mediaType: ociLayerType(mediaType),
      digest,
      size,
    }));
    const config = { mediaType: '', digest: id as string as Digest, size: configSize };
    try {
      return Buffer.from(newManifest(config, blobs, original?.toString('utf8') ?? ''));
    } catch (error) {
      if (error instanceof SyntaxError) return null;
      throw error;
    }
  }
}

type Twinned = Pick<ImageRecord, 'manifestDigest' | 'id' | 'layers'> & { readonly configSize: number };

const noBytes = Buffer.alloc(0);
