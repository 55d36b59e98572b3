// Input on its way from a client's connection to a stream of the monitor without passing through here.
// Must not know what else comes on that connection.
import { Buffer } from 'node:buffer';
import type { CarryFraming, CarryStop } from '../native/boundary.ts';
import { NativeError } from '../native/errors.ts';
import type { Native } from '../native/load.ts';

/** What was done. */
export interface CarriedInput {
  /** Bytes that were passed on. */
  readonly bytes: number;
  /** What the client's connection goes on with, before what is read from it now; null: nothing of it was read. */
  readonly rest: Buffer | null;
  readonly stop: CarryStop;
}

/** From where to where, by descriptors. */
export interface CarryWay {
  readonly from: number;
  readonly to: number;
  readonly framing: CarryFraming;
}

/** What carries. */
export interface Carrier {
  /** Whether one more may be carried now. */
  readonly hasRoom: () => boolean;
  readonly carry: (way: CarryWay, signal: AbortSignal) => Promise<CarriedInput>;
}

/** Calls that come before the first byte is read (native/crates/carry, addon/src/long_work.rs). */
const preparing = new Set(['dup', 'fcntl', 'eventfd', 'pipe2', 'clone']);
/** Each has a thread: so many at the same time. The others are served by the event loop. */
const mostCarried = 8;
/** A client that sends nothing, or whose reader takes nothing, for so long is served by the event loop again, in milliseconds. */
const quietMs = 200;
/** After so long in any case, so that its progress is seen. */
const timeMs = 1000;

/** Carries by the addon's threads. */
export function nativeCarrier(native: Pick<Native, 'carryInput' | 'carryCancel'>): Carrier {
  let running = 0;
  let last = 0;
  return {
    hasRoom: () => running < mostCarried,
    async carry(way, signal) {
      if (signal.aborted) return { bytes: 0, rest: null, stop: 'cancelled' };
      last = (last + 1) % 2 ** 31;
      const handle = last;
      const cancel = (): void => void native.carryCancel({ handle });
      running += 1;
      signal.addEventListener('abort', cancel, { once: true });
      try {
        const { bytes, rest, stop } = await native.carryInput({ handle, ...way, quietMs, timeMs });
        return { bytes, rest: Buffer.from(rest, 'base64'), stop };
      } catch (error) {
        // nothing was read yet, for lack of descriptors or threads: the event loop goes on with it
        if (error instanceof NativeError && preparing.has(error.syscall))
          return { bytes: 0, rest: null, stop: 'quiet' };
        throw error;
      } finally {
        running -= 1;
        signal.removeEventListener('abort', cancel);
      }
    },
  };
}

/** Where there is no addon. */
export const noCarrier: Carrier = {
  hasRoom: () => false,
  carry: () => Promise.reject(new Error('nothing carries input here')),
};
