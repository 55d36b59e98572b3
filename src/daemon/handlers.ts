// Runtime handlers beside our own: what Status tells of them. Wires, decides nothing.
import type { RuntimeHandlers } from '../config/runtimes.ts';
import { exhaustionIn } from '../lib/exhaustion.ts';
import { failureChain } from '../lib/failure.ts';
import type { Log } from '../log.ts';
import type { LaunchNative } from '../monitor/launch.ts';
import { runtimeFeatures, type RuntimeFeatures, type RuntimeProgram } from '../monitor/runtimes.ts';

/** A handler as Status lists it. */
export interface ListedHandler {
  readonly name: string;
  readonly recursiveReadOnly: boolean;
}

/**
 * Asks each runtime once, in the background; until it has answered nothing is claimed for it. One that could not be asked
 * because something had run out is asked again when they are listed.
 */
export function askHandlers(
  runtimes: RuntimeHandlers,
  { native, log }: { readonly native: LaunchNative; readonly log: Pick<Log, 'warn'> },
): () => readonly ListedHandler[] {
  const known = new Map<string, RuntimeFeatures>();
  const owed = new Set<string>();
  const ask = async (name: string, runtime: RuntimeProgram, first: boolean): Promise<void> => {
    try {
      known.set(name, await runtimeFeatures(native, runtime));
    } catch (error) {
      const ranOut = exhaustionIn(error) !== null;
      if (ranOut) owed.add(name);
      if (first || !ranOut)
        log.warn({ handler: name, error: failureChain(error) }, 'the runtime handler does not answer');
    }
  };
  for (const [name, runtime] of Object.entries(runtimes)) void ask(name, runtime, true);
  return () =>
    Object.entries(runtimes).map(([name, runtime]) => {
      if (owed.delete(name)) void ask(name, runtime, false);
      return { name, recursiveReadOnly: known.get(name)?.recursiveReadOnly ?? false };
    });
}
