// The network of pods: which network they get, and the record of what each has. Must not know sandboxes
// beyond what a request says; bridge/ and cni/ do the work.
import { Failure, failedPrecondition, failureChain, notFound, throwIfAborted } from '../lib/failure.ts';
import { withSteps } from '../lib/steps.ts';
import { ResultList } from '../lib/result-list.ts';
import { SharedTurns } from '../lib/shared-turns.ts';
import { Bridges } from './bridge/bridge.ts';
import { checkPortMappings, hostInterfaceOf } from './bridge/plan.ts';
import { type BridgeNetwork, distinctNetworks, rangeSets } from './bridge/settings.ts';
import { type Choice, NetworkChoice } from './choice.ts';
import { PluginNetworks } from './cni/driver.ts';
import type { NetworkConfig } from './cni/conflist.ts';
import { HostPorts } from './host-ports.ts';
import { hostRoutes } from './host-routes.ts';
import { formatNetwork } from './ip.ts';
import type { CollectOptions, Network, NetworkOptions, NetworkStatus } from './port.ts';
import { NetworkRecords, UnreadableRecord, networkName, type NetworkRecord, type PluginRecord } from './record.ts';
import { podInterface } from './request.ts';
import type { AttachRequest, Attachment, AttachmentView, NetworkLog } from './request.ts';
import { decidedBackend, programDirs } from './rules-backend.ts';
import { routeInTheWay } from './route-table.ts';
import { InterfaceStats, type InterfaceCounters } from './stats.ts';

export type { Network, NetworkOptions, NetworkStatus } from './port.ts';
export type { AttachRequest, Attachment, AttachmentView, NetworkLog, PortMapping } from './request.ts';
export type { InterfaceCounters } from './stats.ts';

/** A connected pod with what its stats and its bridge's rules need. */
interface Attached {
  readonly view: AttachmentView;
  readonly netns: string;
  readonly on: BridgeNetwork | null;
}

interface Collection extends Required<CollectOptions> {
  readonly results: ResultList;
}

type BridgeChoice = Extract<Choice, { driver: 'bridge' }>;

const notReady = 'NetworkPluginNotReady';
const answer = (problem: string, config: unknown): NetworkStatus => {
  const ready = problem === '';
  return { ready, reason: ready ? '' : notReady, message: problem, config };
};

class PodNetwork {
  readonly #options: NetworkOptions;
  readonly #log: NetworkLog;
  readonly #choice: NetworkChoice;
  readonly #records: NetworkRecords;
  readonly #bridges: Bridges;
  readonly #plugins: PluginNetworks;
  readonly #stats: InterfaceStats;
  readonly #attached = new Map<string, Attached>();
  readonly #hostPorts = new HostPorts();
  /** Whether the default subnet was found free: only then its bridge is made, and then it has a route of its own. */
  #subnetIsFree = false;
  readonly #owed = new Set<string>();
  readonly #turns = new SharedTurns();
  /** Collections: one at a time. */
  readonly #collections = new SharedTurns();
  /** Sandboxes that are being released. */
  readonly #leaving = new Set<string>();
  /** Sandboxes of before whose record cannot be read: what they have is unknown, and must not be collected. */
  readonly #unread = new Set<string>();
  #watching: { readonly close: () => void } | null = null;

  constructor(options: NetworkOptions) {
    const { config, native, log } = options;
    this.#options = options;
    this.#log = log;
    this.#choice = new NetworkChoice(config, log);
    const { binDirs, cacheDir, pluginTimeoutMs } = config;
    this.#plugins = new PluginNetworks({ binDirs, cacheDir, timeoutMs: pluginTimeoutMs, log });
    const bridges = new Bridges({
      native,
      log,
      lockTimeoutMs: config.pluginTimeoutMs,
      elapsedMs: () => performance.now(),
      backend: decidedBackend(config.rules, programDirs(process.env['PATH'] ?? '')),
    });
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

  /** Not while stale ones are collected: whoever does that does not know this pod. */
  attach(request: AttachRequest, signal: AbortSignal): Promise<Attachment> {
    return this.#turns.shared(() => this.#attach(request, signal));
  }

  async #attach(request: AttachRequest, signal: AbortSignal): Promise<Attachment> {
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
    let addresses: string[] | null = null;
    try {
      addresses = await this.#bridges.reserve(network, request.sandboxId);
      this.#records.write({ ...record, addresses }, { sync: false });
    } catch (error) {
      // a full disk: what nobody will remember must not stay reserved; where none could be had there is nothing
      if (addresses !== null || !(error instanceof Failure))
        await this.#giveBack(network, request.sandboxId, addresses);
      throw error;
    }
    throwIfAborted(signal, `connecting sandbox ${request.sandboxId}`);
    const attached = await this.#bridges.attach({ network, pod: request, addresses }, addresses);
    return this.#keep({ ...record, addresses }, attached);
  }

  /** After a failure, which is the one that its caller is told. */
  async #giveBack(network: BridgeNetwork, sandbox: string, addresses: readonly string[] | null): Promise<void> {
    const told = (error: unknown): void => this.#log('error', { sandbox, error }, 'addresses stay reserved');
    await this.#bridges.release(network, sandbox, addresses).catch(told);
  }

  async #attachByPlugins(wanted: NetworkConfig, request: AttachRequest, signal: AbortSignal): Promise<Attachment> {
    const { netns } = request;
    const { podCidr } = this.#choice;
    const config = await this.#plugins.agree({ config: wanted, pod: request, podCidr });
    const record: PluginRecord = { driver: 'plugins', request, config, podCidr, result: null, attachment: null };
    // a plugin's IPAM may be far away: what we owe it must survive a power cut
    this.#records.write(record, { sync: true });
    await this.#options.native.networkLoopbackUp({ netns });
    const { result, attachment } = await this.#plugins.attach({ config, pod: request, podCidr }, { netns, signal });
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
      await this.#release(sandboxId, record, netns);
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

  async #release(sandboxId: string, record: NetworkRecord | null, netns: string | null): Promise<void> {
    if (record?.driver === 'bridge') await this.#bridges.detach({ ...record, pod: record.request });
    else if (record) await this.#plugins.detach({ ...record, pod: record.request }, { netns, result: record.result });
    else if ((await this.#plugins.detachCached(sandboxId, netns)) === 0)
      await this.#options.native.networkDetach({ hostInterface: hostInterfaceOf(sandboxId) });
  }

  async check(sandboxId: string): Promise<void> {
    const record = this.#records.read(sandboxId);
    const attached = this.#attached.get(sandboxId);
    if (!record || !attached) throw notFound(`sandbox ${sandboxId} is not connected`);
    const { netns } = attached;
    if (record.driver === 'bridge') await this.#bridges.check({ ...record, pod: record.request });
    else await this.#plugins.check({ ...record, pod: record.request }, { netns, result: record.result });
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
    return answer(await this.#plugins.problem(choice.config), what);
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
    const ready = this.#makeReady(choice);
    // a plugin that hangs must not keep the daemon from its other work: status asks it as well, and tells
    if (choice.driver === 'bridge') await ready;
    else ready.catch((error: unknown) => this.#log('error', { error }, 'the network could not be asked for its state'));
    // what changes is told and made ready at once; that it is used does not depend on it
    this.#watching ??= this.#choice.watch((choice) => this.#makeReady(choice));
  }

  async #makeReady(choice: Choice): Promise<void> {
    if (choice.driver === 'none') return;
    const bridge = choice.driver === 'bridge';
    const problem = await (bridge ? this.#bridgeProblem(choice) : this.#plugins.problem(choice.config));
    if (problem !== '') this.#log('error', { problem }, 'the network is not ready');
  }

  collect(live: () => ReadonlySet<string>, { atStart = false }: CollectOptions = {}): Promise<void> {
    return this.#collections.alone(async () => {
      const results = new ResultList();
      // a plugin may take its time to release a pod, and new pods need not wait for that: they are among the living
      await this.#releaseDead(live(), results);
      await this.#turns.alone(() => this.#collect(live(), { results, atStart }));
      results.throwIfAny('collect stale networks');
    });
  }

  async #releaseDead(live: ReadonlySet<string>, results: ResultList): Promise<void> {
    for (const id of this.#records.ids().filter((each) => !live.has(each))) {
      this.#log('warn', { sandbox: id }, 'releasing the network of a sandbox that no longer exists');
      await results.attempt(`release sandbox ${id}`, () => this.detach(id, null));
    }
  }

  async #collect(live: ReadonlySet<string>, { results, atStart }: Collection): Promise<void> {
    const choice = await this.#choice.current();
    const attached = [...this.#attached.values()];
    if (choice.driver === 'plugins') {
      const { config } = choice;
      await results.attempt('collect by plugins', () => this.#plugins.collect(config, this.#connectedTo(config.name)));
    }
    const usable = choice.driver === 'bridge' && (await this.#subnetProblem(choice)) === '';
    const used = distinctNetworks([...attached.map(({ on }) => on), usable ? choice.network : null]);
    await results.attempt('repair bridges', () => this.#bridges.repair(used, { atStart }));
    for (const network of distinctNetworks([...used, this.#choice.own()])) {
      await results.attempt(`collect network ${network.name}`, () => this.#bridges.collect(network, live));
    }
  }

  /**
   * The sandboxes that are connected to a network, or are about to be, or may be: their records do not tell. Also those
   * on our own bridge of that name: plugins that took it over share its allocations.
   */
  #connectedTo(network: string): string[] {
    return this.#records.ids().filter((id) => {
      if (this.#unread.has(id)) return true;
      const record = this.#readable(id);
      return record !== null && networkName(record) === network;
    });
  }

  async shutdown({ removeAll }: { readonly removeAll: boolean }): Promise<void> {
    this.#watching?.close();
    this.#watching = null;
    await this.#records
      .flush()
      .catch((error: unknown) => this.#log('error', { error }, 'not all records of the network are durable'));
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

  owed(): readonly string[] {
    return [...this.#owed];
  }

  releaseAgain(sandboxId: string): Promise<void> {
    // a collection releases the same
    return this.#collections.alone(async () => {
      if (this.#owed.has(sandboxId)) await this.detach(sandboxId, null);
    });
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
    check: (sandboxId) => network.check(sandboxId),
    status: () => network.status(),
    setPodCidr: (cidr) => network.setPodCidr(cidr),
    start: () => network.start(),
    collect: (live, options) => network.collect(live, options),
    shutdown: (how) => network.shutdown(how),
    attachments: () => network.attachments(),
    owedReleases: () => network.owed().length,
    owed: () => network.owed(),
    releaseAgain: (sandboxId) => network.releaseAgain(sandboxId),
    interfaceStats: (sandboxId) => network.interfaceStats(sandboxId),
  };
}
