// Input of streaming clients past the event loop (native/crates/addon/src/carry.rs): a section of boundary.ts.
import type { Outcome } from './outcome.ts';

/** How input is framed on the client's connection, and where that stands. */
export type CarryFraming =
  /** DATA frames of one stream; `left` bytes of the current one are to come, 0 between frames. */
  | { readonly type: 'spdy'; readonly streamId: number; readonly left: number }
  /**
   * Binary messages of one frame that begin with the number of one channel. With `left` (at most 1 MiB) nothing is carried:
   * that many bytes, up to the end of the current frame, are given back.
   */
  | { readonly type: 'websocket'; readonly channel: number; readonly left: number; readonly longest: number };

/**
 * Why it went no further: something else than input came; nothing moved for a while; all that was asked is done; the
 * client's connection has ended; the monitor takes nothing any more; it was cancelled.
 */
export type CarryStop = 'other' | 'quiet' | 'done' | 'ended' | 'unread' | 'cancelled';

export interface CarryArgs {
  /** Chosen by the caller, unique among those that run: for carryCancel. */
  readonly handle: number;
  /** Descriptors of two non-blocking stream sockets: the client's, of which nobody else reads now, and the monitor's, to which
   * nobody else writes. Copies of them are used. */
  readonly from: number;
  readonly to: number;
  readonly framing: CarryFraming;
  /** Milliseconds without moving anything until it stops. */
  readonly quietMs: number;
  /** Milliseconds until it stops in any case. */
  readonly timeMs: number;
}

export interface CarryResult {
  /** Bytes of input that were passed on. */
  readonly bytes: number;
  /** Base64 of what the connection goes on with, before what is read from it now. */
  readonly rest: string;
  readonly stop: CarryStop;
}

export interface CarryExports {
  /** Carries input on a thread of its own until something else comes. */
  carryInput(args: CarryArgs): Promise<Outcome<CarryResult>>;
  /** Stops a carrying; false if there is none of that handle. */
  carryCancel(args: { readonly handle: number }): Outcome<boolean>;
}
