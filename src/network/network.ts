// The network of pods: which network they get, and the record of what each has. Must not know sandboxes
// beyond what a request says; bridge/ and cni/ do the work.
import type { Native } from '../native/load.ts';
import { failedPrecondition, failureChain, throwIfAborted } from '../lib/failure.ts';
import { type Step, withSteps } from '../lib/steps.ts';
import { ResultList } from '../lib/result-list.ts';
import { Bridges, type BridgeNative } from './bridge/bridge.ts';
import { checkPortMappings, hostInterfaceOf } from './bridge/plan.ts';
import { type BridgeNetwork, rangeSets } from './bridge/settings.ts';
import { type Choice, NetworkChoice } from './choice.ts';
import type { NetworkConfig } from './cni/conflist.ts';
import { addByPlugins, collectByPlugins, deleteByPlugins, pluginStatus, type PluginOptions } from './cni/plugins.ts';
import { HostPorts } from './host-ports.ts';
import { hostRoutes } from './host-routes.ts';
import { formatNetwork } from './ip.ts';
import { NetworkRecords, UnreadableRecord, networkName, type NetworkRecord, type PluginRecord } from './record.ts';
import { podInterface } from './request.ts';
import type { AttachRequest, Attachment, AttachmentView, NetworkLog } from './request.ts';
import { routeInTheWay } from './route-table.ts';
import { InterfaceStats, type InterfaceCounters, type StatsNative } from './stats.ts';

export type { AttachRequest, Attachment, AttachmentView, NetworkLog, PortMapping } from './request.ts';
export type { InterfaceCounters } from './stats.ts';

/** Whether pods can be connected now (CRI NetworkReady), and by what. */
export interface NetworkStatus {
  readonly ready: boolean;
  /** Empty when ready, else `NetworkPluginNotReady`. */
  readonly reason: string;
  readonly message: string;
  /** The network in use, for verbose status; null when there is none. */
  readonly config: unknown;
}

/** Connects pods. Calls for one sandbox must not overlap: the caller holds its lock. */
export interface Network {
  /** Connects a pod; for one that is connected already, repairs and answers the same. */
  readonly attach: (request: AttachRequest, signal: AbortSignal) => Promise<Attachment>;
  /** Releases all that a sandbox has. Total and idempotent; `netns` is null once the namespace is gone. */
  readonly detach: (sandboxId: string, netns: string | null) => Promise<void>;
  readonly status: () => Promise<NetworkStatus>;
  /** UpdateRuntimeConfig: the node's pod CIDR, or two of them joined by a comma. */
  readonly setPodCidr: (cidr: string) => void;
  /** Learns what earlier pods have, and makes the bridge ready if there is one to make. */
  readonly start: () => Promise<void>;
  /** Releases what belongs to sandboxes that no longer exist, and repairs the rules. Goes on after failures. */
  readonly collect: (live: ReadonlySet<string>) => Promise<void>;
  /** With `removeAll`, removes what the network keeps between pods: bridges that we made, chains. */
  readonly shutdown: (options: { readonly removeAll: boolean }) => Promise<void>;
  /** Every connected pod. */
  readonly attachments: () => readonly AttachmentView[];
  /** How many sandboxes could not be released so far. */
  readonly owedReleases: () => number;
  /** Traffic of a pod's interfaces, its own first; empty when it is not connected. */
  readonly interfaceStats: (sandboxId: string) => Promise<readonly InterfaceCounters[]>;
}

/** What the network is built from. */
export interface NetworkOptions {
  readonly native: BridgeNative & StatsNative & Pick<Native, 'networkLoopbackUp'>;
  readonly config: {
    readonly default: 'none' | 'bridge';
    readonly bridge: string;
    readonly subnet: string;
    readonly confDir: string;
    readonly binDirs: readonly string[];
    /** Where allocations of our own network are kept. */
    readonly hostLocalDir: string;
    readonly pluginTimeoutMs: number;
  };
  /** The directory of a sandbox's records. */
  readonly recordDir: (sandboxId: string) => string;
  readonly step: Step;
  readonly log: NetworkLog;
}

/** A connected pod with what its stats and its bridge's rules need. */
interface Attached {
  readonly view: AttachmentView;
  readonly netns: string;
  readonly on: BridgeNetwork | null;
}

type BridgeChoice = Extract<Choice, { driver: 'bridge' }>;

const notReady = 'NetworkPluginNotReady';
// STATUS executes plugins: the kubelet asks more often than the answer changes
const pluginStatusMs = 10_000;

const answer = (problem: string, config: unknown): NetworkStatus => {
  const ready = problem === '';
  return { ready, reason: ready ? '' : notReady, message: problem, config };
};

/** Networks that differ, the last of equals kept in its place. */
function distinct(networks: readonly (BridgeNetwork | null)[]): BridgeNetwork[] {
  const byContent = new Map<string, BridgeNetwork>();
  for (const network of networks) {
    if (network === null) continue;
    const key = JSON.stringify(network);
    byContent.delete(key);
    byContent.set(key, network);
  }
  return [...byContent.values()];
}

class PodNetwork {
  readonly #options: NetworkOptions;
  readonly #log: NetworkLog;
  readonly #choice: NetworkChoice;
  readonly #records: NetworkRecords;
  readonly #bridges: Bridges;
  readonly #plugins: PluginOptions;
  readonly #stats: InterfaceStats;
  readonly #attached = new Map<string, Attached>();
  readonly #hostPorts = new HostPorts();
  /** Whether the default subnet was found free: only then its bridge is made, and then it has a route of its own. */
  #subnetIsFree = false;
  readonly #owed = new Set<string>();
  /** Sandboxes that are being released. */
  readonly #leaving = new Set<string>();
  /** Sandboxes of before whose record cannot be read: what they have is unknown, and must not be collected. */
  readonly #unread = new Set<string>();
  #pluginStatus: { readonly config: NetworkConfig; readonly until: number; readonly problem: string } | null = null;

  constructor(options: NetworkOptions) {
    const { config, native, log } = options;
    this.#options = options;
    this.#log = log;
    this.#choice = new NetworkChoice(config, log);
    this.#plugins = { binDirs: config.binDirs, timeoutMs: config.pluginTimeoutMs };
    const bridges = new Bridges({ native, log, lockTimeoutMs: config.pluginTimeoutMs });
    this.#bridges = withSteps(bridges, { name: 'addresses', later: ['reserve', 'release'], atOnce: [] }, options.step);
    this.#stats = new InterfaceStats(native);
    const records = new NetworkRecords(options.recordDir, (error) =>
      log('error', { error }, 'network records could not be synced'),
    );
    this.#records = withSteps(
      records,
      { name: 'network record', later: [], atOnce: ['write', 'remove'] },
      options.step,
    );
  }

  async attach(request: AttachRequest, signal: AbortSignal): Promise<Attachment> {
    const { sandboxId } = request;
    throwIfAborted(signal, `connecting sandbox ${sandboxId}`);
    checkPortMappings(request.portMappings);
    const before = this.#records.read(sandboxId);
    const again = before && (await this.#reattach(before, request.netns));
    if (again) return again;
    if (before) await this.detach(sandboxId, request.netns);
    const choice = await this.#choice.current();
    if (choice.driver === 'none') throw failedPrecondition(`connect sandbox ${sandboxId}: ${choice.because}`);
    if (choice.driver === 'bridge') {
      const problem = await this.#subnetProblem(choice);
      if (problem !== '') throw failedPrecondition(`connect sandbox ${sandboxId}: ${problem}`);
      return this.#attachToBridge(choice.network, request, signal);
    }
    return this.#attachByPlugins(choice.config, request, signal);
  }

  /** The connection that an earlier call made whole, or as good as; null when it must be made anew. */
  async #reattach(record: NetworkRecord, netns: string): Promise<Attachment | null> {
    if (record.request.netns !== netns) return null;
    if (record.driver === 'plugins') return record.attachment;
    const { request: pod, network, addresses } = record;
    return addresses === null
      ? null
      : this.#keep(record, await this.#bridges.attach({ network, pod, addresses }, addresses));
  }

  async #attachToBridge(network: BridgeNetwork, request: AttachRequest, signal: AbortSignal): Promise<Attachment> {
    await this.#bridges.prepare(network);
    if (network.hostPorts) this.#hostPorts.claim(request);
    const record = { driver: 'bridge', request, network } as const;
    // addresses in a directory of our own are found by their owner: they need no record before
    if (!network.ownDataDir) this.#records.write({ ...record, addresses: null }, { sync: false });
    const addresses = await this.#bridges.reserve(network, request.sandboxId);
    const known = { ...record, addresses };
    try {
      this.#records.write(known, { sync: false });
    } catch (error) {
      // a full disk: what nobody will remember must not stay reserved
      await this.#bridges.release(network, request.sandboxId, addresses);
      throw error;
    }
    throwIfAborted(signal, `connecting sandbox ${request.sandboxId}`);
    return this.#keep(known, await this.#bridges.attach({ network, pod: request, addresses }, addresses));
  }

  async #attachByPlugins(config: NetworkConfig, request: AttachRequest, signal: AbortSignal): Promise<Attachment> {
    const { netns } = request;
    const record: PluginRecord = {
      driver: 'plugins',
      request,
      config,
      podCidr: this.#choice.podCidr,
      result: null,
      attachment: null,
    };
    // a plugin's IPAM may be far away: what we owe it must survive a power cut
    this.#records.write(record, { sync: true });
    await this.#options.native.networkLoopbackUp({ netns });
    const to = { config, pod: request, podCidr: this.#choice.podCidr };
    const { result, attachment } = await addByPlugins(this.#plugins, to, { netns, signal });
    const done = { ...record, result, attachment };
    this.#records.write(done, { sync: true });
    return this.#keep(done, attachment);
  }

  #keep(record: NetworkRecord, attachment: Attachment): Attachment {
    const { sandboxId, netns } = record.request;
    const view = { ...attachment, sandboxId, network: networkName(record), driver: record.driver };
    if (record.driver === 'bridge' && record.network.hostPorts) this.#hostPorts.remember(record.request);
    this.#attached.set(sandboxId, { view, netns, on: record.driver === 'bridge' ? record.network : null });
    return attachment;
  }

  async detach(sandboxId: string, netns: string | null): Promise<void> {
    const known = this.#attached.get(sandboxId)?.netns ?? netns;
    this.#leaving.add(sandboxId);
    try {
      if (known !== null) await this.#stats.forget(known);
      const record = this.#readable(sandboxId);
      if (record === null) await this.#options.native.networkDetach({ hostInterface: hostInterfaceOf(sandboxId) });
      else if (record.driver === 'bridge') await this.#bridges.detach({ ...record, pod: record.request });
      else await deleteByPlugins(this.#plugins, { ...record, pod: record.request }, { netns, result: record.result });
      this.#records.remove(sandboxId);
      this.#attached.delete(sandboxId);
      this.#hostPorts.release(sandboxId);
      this.#owed.delete(sandboxId);
      this.#unread.delete(sandboxId);
    } catch (error) {
      this.#owed.add(sandboxId);
      throw error;
    } finally {
      this.#leaving.delete(sandboxId);
    }
  }

  /** A sandbox's record. One that is damaged counts as none: what it names is collected later. */
  #readable(sandboxId: string): NetworkRecord | null {
    try {
      return this.#records.read(sandboxId);
    } catch (error) {
      if (!(error instanceof UnreadableRecord) || error.newer) throw error;
      this.#log('error', { sandbox: sandboxId, error }, 'a network record is damaged; released by name');
      return null;
    }
  }

  /** A sandbox's record at the start. One that cannot be read stays where it is, and all others count. */
  #recordOfBefore(sandboxId: string): NetworkRecord | null {
    try {
      return this.#records.read(sandboxId);
    } catch (error) {
      this.#unread.add(sandboxId);
      this.#log('error', { sandbox: sandboxId, error }, 'a network record cannot be read and is left alone');
      return null;
    }
  }

  async status(): Promise<NetworkStatus> {
    const choice = await this.#choice.current();
    if (choice.driver === 'none') return { ready: false, reason: notReady, message: choice.because, config: null };
    const { file, problems } = choice.loaded;
    const from = { driver: choice.driver, file, problems, podCidr: this.#choice.podCidr };
    if (choice.driver === 'bridge') {
      return answer(await this.#bridgeProblem(choice), { ...from, ...choice.network });
    }
    const { name, cniVersion, plugins } = choice.config;
    const what = { ...from, because: choice.because, name, cniVersion, plugins: plugins.map(({ type }) => type) };
    return answer(await this.#pluginProblem(choice.config), what);
  }

  async #bridgeProblem(choice: BridgeChoice): Promise<string> {
    const problem = await this.#subnetProblem(choice);
    return problem === '' ? this.#bridges.prepare(choice.network).then(() => '', failureChain) : problem;
  }

  /** The subnet of our own default may be anybody's: one that cuts into a route of the host is not used. "": free. */
  async #subnetProblem({ network, loaded }: BridgeChoice): Promise<string> {
    // who writes a configuration knows his network
    if (this.#subnetIsFree || loaded.config !== null) return '';
    const routes = await hostRoutes();
    for (const { subnet } of rangeSets(network).flat()) {
      const route = routeInTheWay(subnet, network.bridge, routes);
      if (route !== null)
        return `network.subnet ${formatNetwork(subnet)} overlaps the host's route to ${route}: set another`;
    }
    this.#subnetIsFree = true;
    return '';
  }

  async #pluginProblem(config: NetworkConfig): Promise<string> {
    const known = this.#pluginStatus;
    if (known?.config === config && performance.now() < known.until) return known.problem;
    const problem = await pluginStatus(this.#plugins, config).then(() => '', failureChain);
    this.#pluginStatus = { config, problem, until: performance.now() + pluginStatusMs };
    return problem;
  }

  setPodCidr(cidr: string): void {
    this.#choice.setPodCidr(cidr);
  }

  async start(): Promise<void> {
    for (const id of this.#records.ids()) {
      const record = this.#recordOfBefore(id);
      if (record?.driver === 'bridge') {
        this.#bridges.remember(record.network);
        if (record.addresses)
          this.#keep(record, { ips: record.addresses, interface: podInterface, hostInterface: hostInterfaceOf(id) });
      } else if (record?.attachment) this.#keep(record, record.attachment);
    }
    const choice = await this.#choice.current();
    if (choice.driver !== 'bridge') return;
    const problem = await this.#bridgeProblem(choice);
    if (problem !== '') this.#log('error', { problem }, 'the network is not ready');
  }

  async collect(live: ReadonlySet<string>): Promise<void> {
    const results = new ResultList();
    for (const id of this.#records.ids().filter((each) => !live.has(each))) {
      this.#log('warn', { sandbox: id }, 'releasing the network of a sandbox that no longer exists');
      await results.attempt(`release sandbox ${id}`, () => this.detach(id, null));
    }
    const choice = await this.#choice.current();
    const attached = [...this.#attached.values()];
    if (choice.driver === 'plugins') {
      const mine = attached.filter(({ view }) => view.driver === 'plugins' && view.network === choice.config.name);
      const ids = [...mine.map(({ view }) => view.sandboxId), ...this.#unread];
      await results.attempt('collect by plugins', () => collectByPlugins(this.#plugins, choice.config, ids));
    }
    const usable = choice.driver === 'bridge' && (await this.#subnetProblem(choice)) === '';
    const used = distinct([...attached.map(({ on }) => on), usable ? choice.network : null]);
    await results.attempt('repair bridges', () => this.#bridges.repair(used));
    for (const network of distinct([...used, this.#choice.own()])) {
      await results.attempt(`collect network ${network.name}`, () => this.#bridges.collect(network, live));
    }
    results.throwIfAny('collect stale networks');
  }

  async shutdown({ removeAll }: { readonly removeAll: boolean }): Promise<void> {
    await this.#records.flush();
    if (!removeAll) return;
    const results = new ResultList();
    const own = this.#choice.own();
    for (const bridge of new Set([...this.#bridges.bridges(), ...(own ? [own.bridge] : [])])) {
      await results.attempt(`remove ${bridge}`, () => this.#bridges.remove(bridge));
    }
    results.throwIfAny('remove the network');
  }

  attachments(): readonly AttachmentView[] {
    return [...this.#attached.values()].map(({ view }) => view);
  }

  owedReleases(): number {
    return this.#owed.size;
  }

  async interfaceStats(sandboxId: string): Promise<readonly InterfaceCounters[]> {
    const attached = this.#attached.get(sandboxId);
    // one that is being released, or was and not wholly, must not be looked into again: that would keep its namespace
    if (!attached || this.#leaving.has(sandboxId) || this.#owed.has(sandboxId)) return [];
    const { view, netns, on } = attached;
    // what a plugin calls the host's end need not be all that the pod has
    return this.#stats.of({ ...view, hostInterface: on ? view.hostInterface : null, netns });
  }
}

/** The network of one daemon. */
export function createNetwork(options: NetworkOptions): Network {
  const network = new PodNetwork(options);
  return {
    attach: (request, signal) => network.attach(request, signal),
    detach: (sandboxId, netns) => network.detach(sandboxId, netns),
    status: () => network.status(),
    setPodCidr: (cidr) => network.setPodCidr(cidr),
    start: () => network.start(),
    collect: (live) => network.collect(live),
    shutdown: (how) => network.shutdown(how),
    attachments: () => network.attachments(),
    owedReleases: () => network.owedReleases(),
    interfaceStats: (sandboxId) => network.interfaceStats(sandboxId),
  };
}
