// What the daemon knows of its own health, for the node's condition. Wires, decides nothing.
import type { HealthFacts } from '../kube/condition.ts';
import { failureChain } from '../lib/failure.ts';
import type { Network } from '../network/network.ts';
import type { Images } from './images.ts';
import type { Pods } from './live.ts';
import type { Recovery } from './recovery.ts';

export interface HealthParts {
  readonly pods: Pods;
  readonly images: Images;
  readonly network: Network;
  readonly writer: { readonly owed: number };
  readonly recovery: Pick<Recovery, 'notReady' | 'setAside' | 'owed'>;
}

async function roomOf({ storage }: Images): Promise<HealthFacts['store']> {
  try {
    const { availableBytes, totalBytes, freeInodes, totalInodes } = await storage.snapshots.room();
    return { freeBytes: availableBytes, totalBytes, freeInodes, totalInodes };
  } catch (error) {
    return failureChain(error);
  }
}

/** Looks at everything. */
export async function healthFacts({ pods, images, network, recovery, writer }: HealthParts): Promise<HealthFacts> {
  const { sandboxes, containers, monitors } = pods;
  const [net, store, quarantined] = await Promise.all([network.status(), roomOf(images), images.quarantined()]);
  const ready = sandboxes.list().filter(({ status }) => status.phase === 'ready');
  const alive = ready.filter(({ identity }) => monitors.isAlive(identity.id));
  const removing = [...sandboxes.list(), ...containers.list()].filter((o) => o.status.phase === 'removing');
  const unreadable = [...recovery.setAside, ...images.setAside];
  return {
    notReady: recovery.notReady(),
    network: { ready: net.ready, message: net.message },
    // what was set aside at this start lies in the same directory; a record of a newer release is left where it is
    quarantined: Math.max(quarantined.length, unreadable.length),
    owedReleases: network.owedReleases(),
    owedWrites: writer.owed,
    owedRemovals: removing.length + recovery.owed().length,
    silentMonitors: alive.filter(({ identity }) => !monitors.isReachable(identity.id)).length,
    deadMonitors: ready.length - alive.length,
    store,
  };
}
