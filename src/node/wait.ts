// Asking again until it is so. Must not know what.
import { orAborted, pause } from '../lib/waiting.ts';

/** Asks until the answer is null; the last complaint, or error, is that of the failure when the signal fires first. */
export async function until(
  ask: () => Promise<string | null>,
  { signal, everyMs, failure }: { signal: AbortSignal; everyMs: number; failure: (complaint: string) => Error },
): Promise<void> {
  let complaint = '';
  for (;;) {
    try {
      const answer = await orAborted(ask(), signal);
      if (answer === null) return;
      complaint = answer;
    } catch (error) {
      if (signal.aborted) throw failure(complaint);
      complaint = error instanceof Error ? error.message : String(error);
    }
    try {
      await pause(everyMs, signal);
    } catch {
      throw failure(complaint);
    }
  }
}
