// The end of everything on this node that is ours: pods, network, cgroups. It has a bound, and says what is left.
import { deadlineExceeded, failedPrecondition } from '../lib/failure.ts';
import { ResultList } from '../lib/result-list.ts';
import type { Network } from '../network/network.ts';
import type { Pods } from './live.ts';
import type { OwedLoop } from './owed.ts';

export interface ShutdownParts {
  readonly pods: Pick<Pods, 'sandboxes' | 'locks' | 'teardownSandbox' | 'abandonSandbox' | 'removeOwnCgroups'>;
  readonly network: Pick<Network, 'shutdown'>;
  readonly owed: Pick<OwedLoop, 'stop' | 'settled'>;
  /** Ends the plugins that the daemon has started: they are where it is, in a cgroup of our own. */
  readonly endPlugins: () => Promise<void>;
}

/** How long it may take, in milliseconds: what is tried again already, one pod, and then once more without its network. */
export interface ShutdownBounds {
  readonly owedMs: number;
  readonly podMs: number;
  readonly abandonMs: number;
}

/** A CNI plugin may take `network.plugin_timeout` for each of a chain: here it gets one try of this. */
export const shutdownBounds: ShutdownBounds = { owedMs: 30_000, podMs: 60_000, abandonMs: 30_000 };

/**
 * Ends every pod, all at once, and what the network keeps between pods; goes on after a failure and tells all of
 * them at the end. A pod whose network cannot be released goes without: its record stays, with what is owed.
 */
export async function shutdownNode(
  { pods, network, owed, endPlugins }: ShutdownParts,
  bounds: ShutdownBounds,
  onStep: (step: string) => void,
): Promise<void> {
  const results = new ResultList();
  owed.stop();
  // it holds the locks of its pods, whose own time would pass in waiting for it
  await within(bounds.owedMs, 'what is owed', () => owed.settled()).catch(() => undefined);
  await Promise.all(
    pods.sandboxes.list().map(async ({ identity }) => {
      const { id, config } = identity;
      const name = `pod ${config.metadata.namespace}/${config.metadata.name} (${id.slice(0, 13)})`;
      try {
        await within(bounds.podMs, name, () => underLock(pods, id, () => pods.teardownSandbox(id)));
        onStep(`removed ${name}`);
      } catch (error) {
        await results.attempt(`remove ${name}`, () => abandon(pods, id, { bounds, name, error }));
      }
    }),
  );
  await results.attempt('remove the network', () => network.shutdown({ removeAll: true }));
  await results.attempt('end NRI plugins', endPlugins);
  await results.attempt('remove cgroups', () => pods.removeOwnCgroups());
  if (results.ok) onStep('removed the network and the cgroups of our own');
  results.throwIfAny('shut down');
}

interface Abandoned {
  readonly bounds: ShutdownBounds;
  readonly name: string;
  /** Why it could not be removed. */
  readonly error: unknown;
}

/** Frees what can be freed of a pod: not its network, where that is in the way. Always throws: what is left is told. */
async function abandon(pods: ShutdownParts['pods'], id: string, { bounds, name, error }: Abandoned): Promise<never> {
  try {
    // a removal that still hangs holds the pod's lock: it is not waited for
    await within(bounds.abandonMs, name, () => pods.abandonSandbox(id));
  } catch {
    throw error; // what was in the way at first still is
  }
  throw failedPrecondition('its processes, namespaces and cgroups are gone, its record stays', error);
}

const never = new AbortController().signal;

const underLock = <T>({ locks }: ShutdownParts['pods'], id: string, work: () => Promise<T>): Promise<T> =>
  locks.run(`sandbox ${id}`, never, work);

/** Work that is given up, not ended, when its time is over. */
async function within(ms: number, what: string, work: () => Promise<void>): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(deadlineExceeded(`${what} did not end within ${ms} ms`)), ms);
  try {
    await Promise.race([work(), promise]);
  } finally {
    clearTimeout(timer);
  }
}
