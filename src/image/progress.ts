// How far the running pulls are. The CRI has no field for it: the CLI, the log and the metrics show it.
import type { ChainId, Digest } from '../lib/id.ts';
import { isHandleOf } from '../storage/layer-handle.ts';
import type { FetchProgress } from '../storage/ports.ts';

/** One layer of a running pull. */
export interface LayerProgress {
  readonly digest: Digest;
  readonly chainId: ChainId;
  /** Compressed bytes. */
  readonly bytes: number;
  readonly totalBytes: number;
  readonly stage: FetchProgress['stage'] | 'present' | 'done';
}

/** One running pull. */
export interface PullView {
  readonly reference: string;
  /** Unix nanoseconds. */
  readonly startedAt: bigint;
  /** Empty until the manifest is known. */
  readonly layers: readonly LayerProgress[];
}

/** A running pull as its verb keeps it. */
export class PullProgress {
  readonly reference: string;
  readonly startedAt: bigint;
  #layers: { digest: Digest; chainId: ChainId; totalBytes: number; stage: 'queued' | 'present' | 'done' }[] = [];

  constructor(reference: string, startedAt: bigint) {
    this.reference = reference;
    this.startedAt = startedAt;
  }

  /** The layers are known. */
  expect(layers: readonly { digest: Digest; chainId: ChainId; size: number }[]): void {
    this.#layers = layers.map(({ digest, chainId, size }) => ({ digest, chainId, totalBytes: size, stage: 'queued' }));
  }

  /** A layer is there: it was before, or has come. */
  arrived(chainId: ChainId, stage: 'present' | 'done'): void {
    for (const layer of this.#layers) if (layer.chainId === chainId) layer.stage = stage;
  }

  /** Bytes of layers that this pull brought. */
  get bytes(): number {
    return this.#layers.reduce((sum, layer) => sum + (layer.stage === 'done' ? layer.totalBytes : 0), 0);
  }

  /** The pull with what the fetches say of it now. */
  view(running: readonly FetchProgress[]): PullView {
    const layers = this.#layers.map((layer): LayerProgress => {
      const fetch = layer.stage === 'queued' ? running.find((f) => isHandleOf(f.handle, layer.chainId)) : undefined;
      return fetch
        ? { ...layer, bytes: fetch.bytes, stage: fetch.stage }
        : { ...layer, bytes: layer.stage === 'queued' ? 0 : layer.totalBytes };
    });
    return { reference: this.reference, startedAt: this.startedAt, layers };
  }
}
