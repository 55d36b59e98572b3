// Carries out bridge networks: the addon for the kernel's part, the allocations on disk. Must not choose
// which network a pod gets.
import type { Native } from '../../native/load.ts';
import { NativeError } from '../../native/errors.ts';
import { deadlineExceeded, failedPrecondition, internal } from '../../lib/failure.ts';
import { ResultList } from '../../lib/result-list.ts';
import { closeSync } from 'node:fs';
import { podInterface, type Attachment, type AttachRequest, type NetworkLog } from '../request.ts';
import type { RulesBackend } from '../rules-backend.ts';
import { HostLocalStore } from './host-local.ts';
import * as plan from './plan.ts';
import { rangeSets, type BridgeNetwork } from './settings.ts';

/** The addon's part. */
export type BridgeNative = Pick<
  Native,
  | 'networkDefaultMtu'
  | 'networkSetupBridge'
  | 'networkRemoveBridge'
  | 'networkAttach'
  | 'networkDetach'
  | 'networkListLinks'
  | 'networkEnsureRules'
  | 'networkSetHostPorts'
  | 'networkPruneHostPorts'
  | 'networkRemoveRules'
  | 'networkTryLock'
  | 'networkLock'
>;

/** A pod's connection, as releasing it needs to know it. */
export interface BridgeAttachment {
  readonly network: BridgeNetwork;
  readonly pod: Pick<AttachRequest, 'sandboxId' | 'netns' | 'portMappings'>;
  /** One per range set; null when a crash may have come before they were written down. */
  readonly addresses: readonly string[] | null;
}

// errno(3): the bridge does not exist
const enodev = 19;
// an Ethernet's, for a host without a default route
const usualMtu = 1500;

interface Ready {
  readonly network: BridgeNetwork;
  readonly mtu: number;
}

/** What bridges need. */
export interface BridgesOptions {
  readonly native: BridgeNative;
  readonly log: NetworkLog;
  readonly lockTimeoutMs: number;
  /** What rules are made with. */
  readonly backend: () => RulesBackend;
  /** Milliseconds of a steady counter. */
  readonly elapsedMs: () => number;
}

/** So long rules that were made count as just made, for a start: later somebody (a firewall) may have taken them away. */
const freshMs = 5000;

/** All bridge networks of this host. */
export class Bridges {
  readonly #native: BridgeNative;
  readonly #log: NetworkLog;
  readonly #lockTimeoutMs: number;
  readonly #backend: () => RulesBackend;
  readonly #ready = new Map<string, { readonly key: string; readonly done: Promise<Ready> }>();
  /** Every network on each bridge that still has pods, so that rules for one do not drop another's. */
  readonly #networks = new Map<string, Map<string, BridgeNetwork>>();
  readonly #stores = new Map<string, HostLocalStore>();
  /** What the rules of each bridge were made for last, and when. */
  readonly #made = new Map<string, { readonly for: string; readonly atMs: number }>();
  readonly #elapsedMs: () => number;

  constructor(options: BridgesOptions) {
    this.#native = options.native;
    this.#backend = options.backend;
    this.#elapsedMs = options.elapsedMs;
    this.#log = options.log;
    this.#lockTimeoutMs = options.lockTimeoutMs;
  }

  /** Makes a network known that has pods from before this daemon. */
  remember(network: BridgeNetwork): void {
    const on = this.#networks.get(network.bridge) ?? new Map<string, BridgeNetwork>();
    on.set(JSON.stringify([network.name, network.sets]), network);
    this.#networks.set(network.bridge, on);
  }

  /** Names of all bridges that have or had networks of ours. */
  bridges(): string[] {
    return [...this.#networks.keys()];
  }

  /** Makes the bridge and its rules once; later calls cost nothing while the network stays the same. */
  prepare(network: BridgeNetwork): Promise<Ready> {
    const key = JSON.stringify(network);
    const before = this.#ready.get(network.bridge);
    if (before?.key === key) return before.done;
    const done = this.#prepare(network);
    this.#ready.set(network.bridge, { key, done });
    // what failed is tried anew by the next call
    done.catch(() => this.#forget(network.bridge, done));
    return done;
  }

  /**
   * Checks bridges and rules again and repairs what somebody else removed (a firewall's reload). With `atStart` it leaves
   * alone what was made for the same networks just before.
   */
  async repair(inUse: readonly BridgeNetwork[], { atStart }: { readonly atStart: boolean }): Promise<void> {
    this.#networks.clear();
    for (const network of inUse) this.remember(network);
    // the last network of a bridge is the one that new pods get: it stays the prepared one
    const latest = new Map(inUse.map((network) => [network.bridge, network]));
    for (const network of latest.values()) if (!(atStart && this.#isFresh(network))) await this.#again(network);
  }

  #isFresh(network: BridgeNetwork): boolean {
    const { bridge } = network;
    const made = this.#made.get(bridge);
    const isPrepared = this.#ready.get(bridge)?.key === JSON.stringify(network);
    return isPrepared && made?.for === this.#rulesAreFor(bridge) && this.#elapsedMs() - made.atMs < freshMs;
  }

  /** The networks that a bridge's rules are made for, to tell whether they are the same. */
  #rulesAreFor(bridge: string): string {
    return JSON.stringify([...(this.#networks.get(bridge)?.keys() ?? [])].toSorted());
  }

  #again(network: BridgeNetwork): Promise<Ready> {
    this.#ready.delete(network.bridge);
    return this.prepare(network);
  }

  #forget(bridge: string, done: Promise<Ready>): void {
    if (this.#ready.get(bridge)?.done === done) this.#ready.delete(bridge);
  }

  async #prepare(network: BridgeNetwork): Promise<Ready> {
    try {
      this.remember(network);
      const mtu = network.mtu || ((await this.#native.networkDefaultMtu()) ?? usualMtu);
      const { created } = await this.#native.networkSetupBridge(plan.bridgePlan(network, mtu));
      const all = [...(this.#networks.get(network.bridge)?.values() ?? [])];
      const rules = plan.rulesPlan(network, all.flatMap(plan.subnetsOfNetwork));
      const madeFor = this.#rulesAreFor(network.bridge);
      const beganMs = this.#elapsedMs();
      await this.#native.networkEnsureRules({ ...this.#madeWith(), ...rules });
      this.#made.set(network.bridge, { for: madeFor, atMs: beganMs });
      if (created) this.#log('info', { bridge: network.bridge, network: network.name, mtu }, 'bridge made');
      return { network, mtu };
    } catch (error) {
      throw internal(`set up bridge ${network.bridge} of network ${network.name}`, error);
    }
  }

  /** Reserves the pod's addresses. */
  reserve(network: BridgeNetwork, sandboxId: string): Promise<string[]> {
    return this.#store(network).reserve({ sandboxId, interface: podInterface }, rangeSets(network));
  }

  /** Gives addresses back: those known, or whatever the sandbox is found to have. */
  release(network: BridgeNetwork, sandboxId: string, known: readonly string[] | null): Promise<string[]> {
    return this.#store(network).release({ sandboxId, interface: podInterface }, known);
  }

  /** Connects a pod that has its addresses, or repairs its connection. */
  async attach({ network, pod }: BridgeAttachment, addresses: readonly string[]): Promise<Attachment> {
    const hostPorts = plan.hostPortsPlan(network, pod.portMappings, addresses);
    try {
      await this.#connect(network, pod, addresses);
      if (hostPorts.length > 0) await this.#publish(network, { id: pod.sandboxId, previous: [], wanted: hostPorts });
    } catch (error) {
      throw internal(`connect sandbox ${pod.sandboxId} to network ${network.name}`, error);
    }
    return { ips: [...addresses], interface: podInterface, hostInterface: plan.hostInterfaceOf(pod.sandboxId) };
  }

  async #connect(network: BridgeNetwork, pod: BridgeAttachment['pod'], addresses: readonly string[]): Promise<void> {
    const { mtu } = await this.prepare(network);
    const request = plan.attachPlan(network, pod, { addresses, mtu });
    try {
      await this.#native.networkAttach(request);
    } catch (error) {
      const bridgeGone = error instanceof NativeError && error.errno === enodev && error.object === network.bridge;
      if (!bridgeGone) throw error;
      this.#log('warn', { bridge: network.bridge }, 'the bridge was removed by somebody else; made anew');
      await this.#again(network);
      await this.#native.networkAttach(request);
    }
  }

  #madeWith(): { readonly backend?: 'nftables' } {
    const backend = this.#backend();
    return backend === 'nftables' ? { backend } : {};
  }

  async #publish(
    network: BridgeNetwork,
    ports: Pick<Parameters<BridgeNative['networkSetHostPorts']>[0], 'id' | 'previous' | 'wanted'>,
  ): Promise<void> {
    const bridge = ports.wanted.length > 0 ? network.bridge : null;
    const { flowsForgotten } = await this.#native.networkSetHostPorts({
      ...this.#madeWith(),
      chains: plan.chainsOf(network.bridge),
      bridge,
      ...ports,
    });
    if (flowsForgotten > 0) this.#log('debug', { sandbox: ports.id, flowsForgotten }, 'stale UDP flows forgotten');
  }

  /** Releases all that a pod has. Total and idempotent; the addresses go last, when nobody answers to them. */
  async detach({ network, pod, addresses }: BridgeAttachment): Promise<void> {
    const { sandboxId } = pod;
    const results = new ResultList();
    await Promise.all([
      results.attempt('delete the veth pair', () =>
        this.#native.networkDetach({ hostInterface: plan.hostInterfaceOf(sandboxId) }),
      ),
      results.attempt('withdraw the host ports', async () => {
        // an element of nftables is deleted by its port alone, whosever it is
        const planned = this.#backend() === 'nftables' ? plan.hostPortsPlan : plan.hostPortsEverPlan;
        const previous = addresses === null ? [] : planned(network, pod.portMappings, addresses);
        if (previous.length > 0) await this.#publish(network, { id: sandboxId, previous, wanted: [] });
      }),
    ]);
    if (results.ok) {
      await results.attempt('release the addresses', () => this.release(network, sandboxId, addresses));
    }
    results.throwIfAny(`disconnect sandbox ${sandboxId} from network ${network.name}`);
  }

  /** Whether a pod's connection is as it was made, as far as the host shows it. Throws what is not. */
  async check({ network, pod, addresses }: BridgeAttachment): Promise<void> {
    const name = plan.hostInterfaceOf(pod.sandboxId);
    const [link] = await this.#native.networkListLinks({ prefix: name });
    const lost = addresses === null ? [] : await this.#store(network).notOf(pod.sandboxId, addresses);
    const wrong = plan.wrongWith(network, pod.sandboxId, link ?? null);
    const all = [...wrong, ...lost.map((ip) => `address ${ip} is not allocated to it`)];
    if (all.length > 0)
      throw failedPrecondition(`network ${network.name} of sandbox ${pod.sandboxId}: ${all.join('; ')}`);
  }

  /** Removes what is left of sandboxes that no longer exist: pairs on this bridge, published ports, addresses. */
  async collect(network: BridgeNetwork, live: ReadonlySet<string>): Promise<void> {
    const results = new ResultList();
    const dead = (id: string | null): boolean => id !== null && !live.has(id);
    await results.attempt('remove stale pairs', async () => {
      const links = await this.#native.networkListLinks({ prefix: plan.hostInterfacePrefix });
      for (const { name, alias, bridge } of links) {
        if (bridge !== network.bridge || !dead(plan.sandboxOfAlias(alias))) continue;
        await this.#native.networkDetach({ hostInterface: name });
        this.#log('warn', { interface: name, sandbox: plan.sandboxOfAlias(alias) }, 'a stale veth pair was removed');
      }
    });
    await results.attempt('withdraw stale host ports', async () => {
      const gone = await this.#native.networkPruneHostPorts({ chains: plan.chainsOf(network.bridge), live: [...live] });
      if (gone.length > 0) this.#log('warn', { sandboxes: gone }, 'stale host ports were withdrawn');
    });
    if (network.ownDataDir) {
      await results.attempt('release stale addresses', async () => {
        const gone = await this.#store(network).collect(live);
        if (gone.length > 0) this.#log('warn', { addresses: gone }, 'stale addresses were released');
      });
    }
    results.throwIfAny(`collect what is left on bridge ${network.bridge}`);
  }

  /** Removes a bridge that we made and that has no ports, and all our rules for it. */
  async remove(bridge: string): Promise<void> {
    const results = new ResultList();
    await results.attempt('remove the rules', () => this.#native.networkRemoveRules({ chains: plan.chainsOf(bridge) }));
    await results.attempt('remove the bridge', () =>
      this.#native.networkRemoveBridge({ bridge, alias: plan.bridgeAlias }),
    );
    this.#ready.delete(bridge);
    this.#networks.delete(bridge);
    results.throwIfAny(`remove bridge ${bridge}`);
  }

  #store(network: BridgeNetwork): HostLocalStore {
    const key = `${network.dataDir}/${network.name}`;
    const store =
      this.#stores.get(key) ?? new HostLocalStore(network.dataDir, network.name, (path) => this.#lock(path));
    this.#stores.set(key, store);
    return store;
  }

  /** The lock, or a failure when a plugin holds it too long: then it is let go as soon as it comes. */
  async #lock(path: string): Promise<number> {
    const free = this.#native.networkTryLock({ path });
    if (free !== null) return free;
    const asked = this.#native.networkLock({ path });
    const { promise: late, reject } = Promise.withResolvers<never>();
    let waiting = true;
    const timer = setTimeout(() => {
      waiting = false;
      reject(deadlineExceeded(`the address allocations stayed locked by another program: ${path}`));
    }, this.#lockTimeoutMs);
    asked.then((fd) => (waiting ? undefined : closeSync(fd))).catch(() => undefined); // told to who waits
    try {
      return await Promise.race([asked, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
