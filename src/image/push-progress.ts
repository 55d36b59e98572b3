// How far a push is: told to its caller as it goes on.
// Must not know what is pushed.
import type { Digest } from '../lib/id.ts';

/** What becomes of a blob. `present`, `mounted` and `done` are ends. */
export type PushStage = 'queued' | 'checking' | 'compressing' | 'uploading' | 'present' | 'mounted' | 'done';

/** One blob of a running push. */
export interface PushedBlob {
  /** As the image's manifest names it; the blob that is sent may have another. */
  readonly digest: Digest;
  readonly stage: PushStage;
  /** Uncompressed while compressing, else those sent. */
  readonly bytes: number;
  /** 0 when it is not known. */
  readonly totalBytes: number;
}

/** A push as its verb keeps it. */
export class PushProgress {
  readonly #blobs: Map<Digest, PushedBlob>;
  readonly #tell: (blobs: readonly PushedBlob[]) => void;

  constructor(blobs: readonly { digest: Digest; size: number }[], tell: (blobs: readonly PushedBlob[]) => void) {
    this.#blobs = new Map(
      blobs.map(({ digest, size }) => [digest, { digest, stage: 'queued', bytes: 0, totalBytes: size }]),
    );
    this.#tell = tell;
    this.#told();
  }

  /** A blob is somewhere else now, or farther. */
  at(digest: Digest, now: Partial<Omit<PushedBlob, 'digest'>>): void {
    const before = this.#blobs.get(digest);
    if (!before) return;
    this.#blobs.set(digest, { ...before, ...now });
    this.#told();
  }

  #told(): void {
    this.#tell([...this.#blobs.values()]);
  }
}
