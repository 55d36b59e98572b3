// Gives memory back when the daemon has been idle, or has grown: V8 collects only when it allocates, and the C heap
// keeps what is freed. Must not run while calls come in thick.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** The garbage collector of V8 (extensions/gc-extension.cc). */
type Collect = (options: { type: 'major'; flavor: 'last-resort'; execution: 'sync' }) => void;

/** Reaches the garbage collector: only contexts made after the flag have it, and with the flag a start takes longer. */
function collector(): Collect {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as Collect;
}

const quietMs = 5000;
/** A kubelet lists every second, so that it is never quiet: what has grown by so much is worth a collection then... */
const grownBytes = 12 * 1024 * 1024;
/** ...but not more often than this: one takes tens of milliseconds. */
const restMs = 60_000;

let lastWork = 0;

/** Tells that a call was served, or a stream ended. */
export const noteWork = (): void => {
  lastWork = performance.now();
};

/** What there is to know before memory is given back. Milliseconds of one steady counter, bytes. */
export interface MemoryFacts {
  readonly nowMs: number;
  readonly lastWorkMs: number;
  /** When memory was given back last, and what was held right after; 0 before the first time. */
  readonly trimmedMs: number;
  readonly heldAfterBytes: number;
  readonly heldBytes: number;
}

/** Whether to give memory back now: after some quiet seconds, once; or, with work going on, when it has grown. */
export function isTimeToTrim({ nowMs, lastWorkMs, trimmedMs, heldAfterBytes, heldBytes }: MemoryFacts): boolean {
  if (lastWorkMs <= trimmedMs) return false;
  if (nowMs - lastWorkMs >= quietMs) return true;
  return nowMs - trimmedMs >= restMs && heldBytes - heldAfterBytes >= grownBytes;
}

/** Starts watching. `trimHeap` returns free pages of the C heap. */
export function trimWhenIdle(
  trimHeap: () => Promise<unknown>,
  onError: (error: unknown) => void,
): { stop: () => void } {
  let collect: Collect | null = null;
  /** What is held by JavaScript is given back as well; the C heap also when that cannot be done. */
  const collectGarbage = (): void => {
    try {
      collect ??= collector();
    } catch (error) {
      onError(error);
      collect = () => undefined; // it is told once
    }
    collect({ type: 'major', flavor: 'last-resort', execution: 'sync' });
  };
  const held = (): number => process.memoryUsage.rss();
  let [trimmedMs, heldAfterBytes] = [0, 0];
  const trim = async (): Promise<void> => {
    collectGarbage();
    await trimHeap();
    heldAfterBytes = held();
  };
  const timer = setInterval(() => {
    const nowMs = performance.now();
    if (!isTimeToTrim({ nowMs, lastWorkMs: lastWork, trimmedMs, heldAfterBytes, heldBytes: held() })) return;
    trimmedMs = nowMs;
    trim().catch(onError);
  }, quietMs).unref();
  return { stop: () => clearInterval(timer) };
}
