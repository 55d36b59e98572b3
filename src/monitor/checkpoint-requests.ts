// The daemon's calls about checkpoints to a sandbox's monitor, typed. Must not decide anything.
import type { MonitorCall } from './client.ts';
import type { Monitors } from './monitors.ts';
import { expect, type Loose } from './replies.ts';

type Checkpoint = NonNullable<MonitorCall['checkpoint']>;

const never = new AbortController().signal;

/** How long a monitor may take to say that it gives up, in milliseconds. */
const cancelTimeoutMs = 5000;

/** All of them. */
export const checkpointRequests = (monitors: Monitors) => ({
  /** Once the signal fires the checkpoint is given up, and this waits for its end. */
  async checkpoint(id: string, checkpoint: Loose<Checkpoint>, signal: AbortSignal) {
    const giveUp = (): void => {
      // it has ended, or its monitor has: either is told by the call below
      monitors.call(id, { cancelCheckpoint: {} }, AbortSignal.timeout(cancelTimeoutMs)).catch(() => undefined);
    };
    const call = monitors.call(id, { checkpoint: checkpoint as Checkpoint }, never);
    signal.addEventListener('abort', giveUp, { once: true });
    if (signal.aborted) giveUp();
    try {
      const reply = await call;
      return { frozenMs: Number(expect(reply, 'checkpoint').frozenMs) };
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  },
  async loadCheckpoint(id: string, request: { path: string; shm: boolean }, signal: AbortSignal): Promise<Buffer> {
    const reply = await monitors.call(id, { loadCheckpoint: { ...request, deadlineMs: 0 } }, signal);
    return Buffer.from(expect(reply, 'loadCheckpoint').manifest);
  },
});
