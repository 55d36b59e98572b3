// Pauses between one look, kill or round and the next.
import { setTimeout as sleep } from 'node:timers/promises';

/** A pause that ends early when the signal fires: that is what it rejects with, and nothing else. */
export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => undefined);
