// PURE
// The heavy calls of the addon that can be made in a process of their own, and what is said between it and the daemon.
// Must not run anything.
import type { FetchProgress, Outcome, RawAddon } from '../native/boundary.ts';

/** What pulls, reads archives, verifies, saves, pushes and frees. Their arguments and outcomes are plain JSON. */
export const heavyCalls = [
  'fetchLayer',
  'fetchBlob',
  'archiveIndex',
  'unpackFromArchive',
  'verifyBlob',
  'exportBlob',
  'sendBlob',
  'sweepTrash',
] as const satisfies readonly (keyof RawAddon)[];

export type HeavyCall = (typeof heavyCalls)[number];

/** From the daemon. */
export type WorkRequest =
  | { readonly id: number; readonly call: HeavyCall; readonly args: unknown }
  | { readonly cancel: string };

/** To the daemon: what a call came to, and how far those are that run. */
export type WorkReply =
  | { readonly id: number; readonly outcome: Outcome<unknown> }
  | { readonly progress: readonly FetchProgress[] };
