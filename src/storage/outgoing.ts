// Blobs on their way to a registry: made into files where they are not kept, and sent part by part.
// Must not choose what is sent where: it is told each request.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure, failedPrecondition } from '../lib/failure.ts';
import { type Digest, digestHex } from '../lib/id.ts';
import type { SendBlobRequest, SentBlob } from '../native/boundary.ts';
import type { Compression, ExportJob, Exports } from './exports.ts';
import { fetchCall } from './fetch-call.ts';
import { diskFailure } from './native-failure.ts';
import type { FetchBounds, StorageNative } from './ports.ts';

/** A blob that is a file. */
export interface OutgoingBlob {
  readonly path: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

/** One request with bytes of a blob (registry UploadTarget and UploadPart). */
export interface OutgoingPart extends Omit<SendBlobRequest, 'handle' | 'stallMs' | 'answerMs' | 'file'> {
  /** For failures. */
  readonly host: string;
}

export interface OutgoingOptions {
  /** Emptied by a start. */
  readonly ingestDir: string;
  readonly native: Pick<StorageNative, 'sendBlob' | 'fetchCancel' | 'fetchProgress'>;
  readonly exports: Exports;
  readonly bounds: FetchBounds;
}

/** Requests and files of this process until now. */
let serial = 0;
const tellMs = 250;
/** A registry may read a large blob anew, or copy it to its store, before it says that it has it. */
const answerMs = 900_000;

/** Sends blobs. */
export class Outgoing {
  readonly #options: OutgoingOptions;

  constructor(options: OutgoingOptions) {
    this.#options = options;
  }

  /**
   * Makes a blob that is not kept, in a file of its own until `use` has settled: its digest must be known before it is
   * sent, and it may have to be sent again.
   */
  async made<T>(
    job: ExportJob & { readonly compression: Compression },
    signal: AbortSignal,
    use: (blob: OutgoingBlob) => Promise<T>,
  ): Promise<T> {
    const { ingestDir, exports } = this.#options;
    const dir = join(ingestDir, `push-${(serial += 1)}`);
    try {
      await mkdir(dir, { mode: 0o700 }).catch((error: unknown) => {
        throw diskFailure(error, `make ${job.what}`);
      });
      const { digest, size } = await exports.into(dir, job, signal);
      return await use({ path: join(dir, digestHex(digest)), digest, size });
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }

  /**
   * Sends a part of a blob. Throws as a download does, with `host` in the details for failures that are the host's;
   * failed-precondition for a file that is not what its digest says.
   */
  async send(
    part: OutgoingPart,
    { file, onBytes }: { readonly file: OutgoingBlob; readonly onBytes: (bytes: number) => void },
    signal: AbortSignal,
  ): Promise<SentBlob> {
    const { native, bounds } = this.#options;
    const { host, ...request } = part;
    const handle = `push-${(serial += 1)}`;
    const timer = setInterval(() => {
      const now = native.fetchProgress().find((one) => one.handle === handle);
      if (now && now.stage === 'uploading') onBytes(now.bytes);
    }, tellMs);
    try {
      const start = (): Promise<SentBlob> =>
        native.sendBlob({ ...request, handle, stallMs: bounds.stallMs, answerMs, file });
      return await fetchCall(native, { handle, doing: `push blob ${file.digest}`, host, signal, start });
    } catch (error) {
      throw this.#damaged(error, file) ?? error;
    } finally {
      clearInterval(timer);
    }
  }

  /** What is read of a file and is not its digest's is no registry's fault, and no other one helps. */
  #damaged(error: unknown, { path, digest }: OutgoingBlob): Failure | null {
    if (!(error instanceof Failure) || error.details.stage !== 'digest') return null;
    return failedPrecondition(
      path.startsWith(`${this.#options.ingestDir}/`)
        ? `blob ${digest}, made to be pushed, was damaged before it was sent: push it again`
        : `kept blob ${digest} is damaged: run podwright images repair`,
      error.cause,
      { stage: 'digest' },
    );
  }
}
