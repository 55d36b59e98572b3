// The network room in a process of its own, started by host.ts inside a fresh network namespace: that
// namespace is the "host" of a test. One call at a time or many, by messages.
import { noStep } from '../../../src/lib/steps.ts';
import { loadNative } from '../../../src/native/load.ts';
import { failureChain, Failure } from '../../../src/lib/failure.ts';
import { createNetwork, type Network, type NetworkOptions } from '../../../src/network/network.ts';

/** What the process is started with. */
export interface RoomOptions {
  readonly addon: string;
  readonly sandboxes: string;
  readonly config: NetworkOptions['config'];
}

/** A call and its answer. */
export interface Call {
  readonly id: number;
  readonly method: keyof Network;
  readonly args: readonly unknown[];
}

export type Answer =
  | { readonly id: number; readonly value: unknown; readonly ms: number }
  | { readonly id: number; readonly failure: { readonly kind: string; readonly message: string } };

const options = JSON.parse(process.argv[2] ?? '') as RoomOptions;
const network = createNetwork({
  native: loadNative(options.addon),
  config: options.config,
  recordDir: (id) => `${options.sandboxes}/${id}`,
  step: noStep,
  log: (level, fields, message) => {
    if (process.env['ROOM_LOG']) console.error(level, message, JSON.stringify(fields));
  },
});

// what JSON cannot carry
function revive(method: keyof Network, args: readonly unknown[]): unknown[] {
  if (method === 'attach') return [args[0], AbortSignal.timeout(60_000)];
  if (method === 'collect') return [() => new Set(args[0] as string[])];
  return [...args];
}

async function answer({ id, method, args }: Call): Promise<Answer> {
  const start = performance.now();
  try {
    const call = network[method] as (...values: unknown[]) => unknown;
    const value = await call(...revive(method, args));
    return { id, value: value ?? null, ms: performance.now() - start };
  } catch (error) {
    const kind = error instanceof Failure ? error.kind : 'bug';
    return { id, failure: { kind, message: failureChain(error) } };
  }
}

process.on('message', (call: Call) => {
  answer(call).then(
    (result) => process.send?.(result),
    (error: unknown) => console.error(error),
  );
});
process.on('disconnect', () => process.exit());
