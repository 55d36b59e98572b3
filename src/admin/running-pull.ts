// PURE
// How far a pull or a push is, in domain terms and as a message.
import type { RunningPull as RunningPullMessage } from '../proto/generated/admin/podwright/v1/RunningPull.ts';

/** A pull or a push under way. */
export interface RunningPull {
  /** Written out in full. */
  readonly reference: string;
  /** Unix nanoseconds. */
  readonly startedAt: bigint;
  /** Bottom first; empty until the manifest is known. */
  readonly layers: readonly {
    /** Of the compressed blob. */
    readonly digest: string;
    /** The addon's word for it, or `present`, `done`. */
    readonly stage: string;
    /** Compressed bytes. */
    readonly bytes: number;
    readonly totalBytes: number;
  }[];
}

/** podwright.v1.RunningPull. */
export const encodePull = ({ reference, startedAt, layers }: RunningPull): RunningPullMessage => ({
  reference,
  startedAtMs: String(startedAt / 1_000_000n),
  layers: layers.map(({ digest, stage, bytes, totalBytes }) => ({ digest, stage, doneBytes: bytes, totalBytes })),
});
