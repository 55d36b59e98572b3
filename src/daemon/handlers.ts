// Runtime handlers beside our own: what Status tells of them. Wires, decides nothing.
import type { RuntimeHandlers } from '../config/runtimes.ts';
import { failureChain } from '../lib/failure.ts';
import type { Log } from '../log.ts';
import { runtimeFeatures, type RuntimeFeatures } from '../monitor/runtimes.ts';
import type { Native } from '../native/load.ts';

/** A handler as Status lists it. */
export interface ListedHandler {
  readonly name: string;
  readonly recursiveReadOnly: boolean;
}

/** Asks each runtime once, in the background; until it has answered nothing is claimed for it. */
export function askHandlers(
  runtimes: RuntimeHandlers,
  { native, log }: { readonly native: Native; readonly log: Log },
): () => readonly ListedHandler[] {
  const known = new Map<string, RuntimeFeatures>();
  for (const [name, runtime] of Object.entries(runtimes)) {
    runtimeFeatures(native, runtime).then(
      (features) => void known.set(name, features),
      (error: unknown) =>
        log.warn({ handler: name, error: failureChain(error) }, 'the runtime handler does not answer'),
    );
  }
  return () =>
    Object.keys(runtimes).map((name) => ({ name, recursiveReadOnly: known.get(name)?.recursiveReadOnly ?? false }));
}
