// What the verbs and the records tell plugins, and what comes back. Nothing is done while there is no plugin.
import type { Duplex } from 'node:stream';
import { type Adjusted, type Planned, unadjusted } from '../container/adjusted.ts';
import type { Container } from '../container/container.ts';
import { mergeResources } from '../container/update-resources.ts';
import { Failure, failedPrecondition, failureChain, internal } from '../lib/failure.ts';
import type { OciSpec, SpecEdits } from '../oci/types.ts';
import type { LinuxResources, Sandbox } from '../sandbox/sandbox.ts';
import { adjustSpec, seccompPolicy } from './adjust-spec.ts';
import type { Origin } from './plugin.ts';
import { type Everything, Plugins, type PluginsPorts, type Wishes } from './plugins.ts';
import { refuseUnsupported } from './refused.ts';
import { type Limits, limitsOf, resourcesToWire, updateOf, withoutSwap } from './resources.ts';
import { containerToWire, podToWire, type PodFacts } from './told.ts';
import type { Adjustment, EventName, Update, WireContainer, WirePod } from './wire.ts';

export interface NriPorts extends Omit<PluginsPorts, 'everything' | 'carryOut'> {
  readonly sandboxes: () => readonly Sandbox[];
  readonly containers: () => readonly Container[];
  readonly sandbox: (id: string) => Sandbox | undefined;
  readonly podFacts: (sandbox: Sandbox) => PodFacts;
  /** The spec of a container's bundle, null when it is gone. */
  readonly specOf: (containerId: string) => OciSpec | null;
  /** What CDI devices by these names change. */
  readonly cdi: (names: readonly string[]) => Promise<SpecEdits>;
  readonly updateContainer: (id: string, limits: Limits, signal: AbortSignal) => Promise<void>;
  /** Stops a container; not waited for. */
  readonly evict: (id: string, reason: string) => void;
}

/** CRI UpdatePodSandboxResourcesRequest. */
export interface PodUpdate {
  readonly id: string;
  readonly overhead: LinuxResources | null;
  readonly resources: LinuxResources | null;
}

/** A container with its pod, as plugins are told of it. */
interface Told {
  readonly pod: WirePod;
  readonly container: WireContainer;
}

/** What is told between the event and the record that says so. */
interface InMaking {
  readonly pods: Map<string, Sandbox>;
  readonly containers: Map<string, { readonly container: Container; readonly spec: OciSpec }>;
}

/** The node's plugins, for those who make and change pods. */
export class Nri {
  readonly #ports: NriPorts;
  readonly #plugins: Plugins;
  readonly #making: InMaking = { pods: new Map(), containers: new Map() };
  /** Ids on record of which no plugin has heard yet, nor will when they go. */
  readonly #unborn = new Set<string>();
  /** Settles when the plugins that the daemon launches have joined, or have not. */
  #launched: Promise<unknown> | null = null;

  constructor(ports: NriPorts) {
    this.#ports = ports;
    this.#plugins = new Plugins({
      ...ports,
      everything: () => this.#everything(),
      carryOut: (wishes) => this.#carryOut(wishes),
    });
  }

  get list(): Plugins['list'] {
    return this.#plugins.list;
  }

  /** What is made waits for these: a plugin of the node must not miss the first pods after a start. */
  launching(all: Promise<unknown>): void {
    const launched = all.finally(() => {
      if (this.#launched === launched) this.#launched = null;
    });
    this.#launched = launched;
    launched.catch(() => undefined); // told in the log by whoever launches
  }

  join(socket: Duplex, origin: Origin): Promise<boolean> {
    return this.#plugins.join(socket, origin);
  }

  close(timeoutMs: number): Promise<void> {
    return this.#plugins.close(timeoutMs);
  }

  /** Whether there is nobody to be told or asked, and nobody on the way. */
  get idle(): boolean {
    return !this.#plugins.any && this.#launched === null;
  }

  /** RunPodSandbox: a pod is about to be ready. Throws when a plugin says no. */
  async running(sandbox: Sandbox): Promise<void> {
    const { id } = sandbox.identity;
    if (this.idle) return;
    await this.#launched;
    await this.#plugins.tell('RunPodSandbox', () => {
      this.#making.pods.set(id, sandbox);
      this.#unborn.delete(id);
      return { pod: this.#podOf(sandbox) };
    });
  }

  /** CreateContainer: what is made of a planned container. */
  async adjust(planned: Planned): Promise<Adjusted> {
    if (this.idle) return unadjusted(planned);
    await this.#launched;
    if (!this.#plugins.any) return unadjusted(planned);
    const { identity, sandbox, spec } = planned;
    const container = inCreation(planned);
    this.#making.containers.set(identity.id, { container, spec });
    this.#unborn.delete(identity.id);
    const { adjust, wishes, owners } = await this.#plugins.create(
      this.#podOf(sandbox),
      containerToWire(container, spec),
    );
    refuseUnsupported(adjust, identity.id, owners);
    await this.#mustCarryOut(wishes);
    return this.#adjusted(planned, adjust);
  }

  async #mustCarryOut(wishes: Wishes): Promise<void> {
    const [first] = await this.#carryOut(wishes);
    if (first) throw failedPrecondition(`what an NRI plugin wants of container ${first.containerId} failed`);
  }

  async #adjusted(planned: Planned, adjust: Adjustment): Promise<Adjusted> {
    const names = adjust.CDIDevices.map(({ name }) => name);
    const edits = await this.#ports.cdi(names);
    const { linux } = adjust;
    const wanted = linux?.resources ? withoutSwap(limitsOf(linux.resources)) : null;
    const policy = linux?.seccompPolicy ?? null;
    return {
      spec: adjustSpec(planned.spec, adjust, edits),
      resources:
        wanted !== null && changes(wanted.resources)
          ? mergeResources(planned.resources, wanted.resources, wanted.pidsLimit)
          : planned.resources,
      pidsLimit: wanted?.pidsLimit ?? null,
      seccomp: policy === null ? null : seccompPolicy(policy),
    };
  }

  /** StartContainer: throws when a plugin says no. */
  async starting(container: Container): Promise<void> {
    if (this.idle) return;
    await this.#launched;
    await this.#plugins.tell('StartContainer', () => this.#about(container));
  }

  /** UpdateContainer: the limits that are to be set instead of those asked for. */
  async updating(container: Container, resources: LinuxResources): Promise<Limits> {
    if (this.idle) return { resources, pidsLimit: null };
    await this.#launched;
    const { pod, container: told } = this.#about(container);
    const answer = await this.#plugins.update(pod, told, resourcesToWire(resources));
    const asked = updateOf(answer.resources);
    await this.#mustCarryOut(answer.wishes);
    const changed = asked.resources.memoryLimitBytes !== resources.memoryLimitBytes;
    const limits = changed ? withoutSwap(asked) : asked;
    return { ...limits, resources: { ...limits.resources, oomScoreAdj: resources.oomScoreAdj } };
  }

  /** PostUpdateContainer. */
  updated(id: string): void {
    this.#later('PostUpdateContainer', () => this.#aboutId(id));
  }

  /** UpdatePodSandbox: throws when a plugin says no. */
  async updatingPod({ id, overhead, resources }: PodUpdate): Promise<void> {
    const sandbox = this.idle ? undefined : this.#ports.sandbox(id);
    if (sandbox === undefined) return;
    await this.#launched;
    await this.#plugins.tell('UpdatePodSandbox', () => ({
      pod: this.#podOf(sandbox),
      overheadLinuxResources: overhead && resourcesToWire(overhead),
      linuxResources: resources && resourcesToWire(resources),
    }));
  }

  /** PostUpdatePodSandbox. */
  updatedPod(id: string): void {
    this.#later('PostUpdatePodSandbox', () => {
      const sandbox = this.#ports.sandbox(id);
      return sandbox ? { pod: this.#podOf(sandbox) } : null;
    });
  }

  /** A change of a container's record. */
  containerChanged(before: Container | null, after: Container | null): void {
    const container = after ?? before;
    if (container === null) return;
    const { id } = container.identity;
    const made = after?.status.phase === 'created';
    const told = this.#born(id, { begun: before === null, made, gone: after === null });
    if (made || after === null) this.#making.containers.delete(id);
    if (this.idle) return;
    const about = this.#snapshot(container);
    if (made && before?.status.phase === 'creating') this.#later('PostCreateContainer', about);
    if (before?.status.startedAt === 0n && after !== null && after.status.startedAt > 0n)
      this.#later('PostStartContainer', about);
    const over = (one: Container): boolean => one.status.exit !== null;
    if (told && before !== null && !over(before) && (after === null || over(after))) this.#stopped(about);
    if (told && after === null) this.#later('RemoveContainer', about);
  }

  /** A change of a sandbox's record. */
  sandboxChanged(before: Sandbox | null, after: Sandbox | null): void {
    const sandbox = after ?? before;
    if (sandbox === null) return;
    const { id } = sandbox.identity;
    const made = after?.status.phase === 'ready';
    const told = this.#born(id, { begun: before === null, made, gone: after === null });
    if (made || after === null) this.#making.pods.delete(id);
    if (this.idle) return;
    const about = () => ({ pod: this.#podOf(sandbox) });
    const ended = before?.status.phase === 'ready' && after?.status.phase !== 'ready';
    const never = this.#making.pods.has(id) && after?.status.phase === 'removing';
    if (told && (ended || never)) this.#later('StopPodSandbox', about);
    if (told && after === null) this.#later('RemovePodSandbox', about);
  }

  /** Whether plugins know of it: all that was made, or of which they were told while it was. */
  #born(id: string, now: { readonly begun: boolean; readonly made: boolean; readonly gone: boolean }): boolean {
    if (now.begun && !now.made) this.#unborn.add(id);
    if (now.made) this.#unborn.delete(id);
    const told = !this.#unborn.has(id);
    if (now.gone) this.#unborn.delete(id);
    return told;
  }

  #stopped(about: () => Told | null): void {
    const told = this.#plugins.wants('StopContainer') ? about() : null;
    if (told === null) return;
    this.#plugins
      .stopped(() => told)
      .then((wishes) => this.#carryOut(wishes))
      .catch((error: unknown) => this.#complain('StopContainer', error));
  }

  /** Tells an event that nobody waits for: what a plugin says of it is for the log. */
  #later(event: EventName, message: () => object | null): void {
    const told = this.#plugins.wants(event) ? message() : null;
    if (told === null) return;
    this.#plugins.tell(event, () => told).catch((error: unknown) => this.#complain(event, error));
  }

  #complain(event: EventName, error: unknown): void {
    this.#ports.log.warn({ event, error: failureChain(error) }, 'an NRI plugin failed an event');
  }

  #podOf(sandbox: Sandbox): WirePod {
    return podToWire(sandbox, this.#ports.podFacts(sandbox));
  }

  /** A container as it is now, read only if somebody is told: its bundle and its pod's record go soon. */
  #snapshot(container: Container): () => Told | null {
    return () => (this.#ports.sandbox(container.identity.sandboxId) ? this.#about(container) : null);
  }

  #about(container: Container): Told {
    const { id, sandboxId } = container.identity;
    const sandbox = this.#ports.sandbox(sandboxId);
    if (sandbox === undefined) throw internal(`container ${id} has no sandbox`);
    return { pod: this.#podOf(sandbox), container: containerToWire(container, this.#ports.specOf(id)) };
  }

  #aboutId(id: string): object | null {
    const container = this.#ports.containers().find(({ identity }) => identity.id === id);
    return container ? this.#snapshot(container)() : null;
  }

  #everything(): Everything {
    const pods = new Map(this.#making.pods);
    for (const s of this.#ports.sandboxes())
      if (['ready', 'stopped'].includes(s.status.phase)) pods.set(s.identity.id, s);
    const made = this.#ports.containers().filter(({ status }) => status.phase === 'created');
    const making = [...this.#making.containers.values()];
    return {
      pods: [...pods.values()].map((sandbox) => this.#podOf(sandbox)),
      containers: [
        ...made.map((container) => containerToWire(container, this.#ports.specOf(container.identity.id))),
        ...making.map(({ container, spec }) => containerToWire(container, spec)),
      ],
    };
  }

  /** Carries out what plugins want of other containers; one that is gone meanwhile wants nothing. */
  async #carryOut({ update, evict }: Wishes): Promise<Update[]> {
    const { log, timeouts } = this.#ports;
    const failed: Update[] = [];
    for (const wish of update) {
      const id = wish.containerId;
      try {
        const signal = AbortSignal.timeout(timeouts.requestMs);
        const limits = wish.linux?.resources ? withoutSwap(updateOf(wish.linux.resources)) : null;
        if (limits) await this.#ports.updateContainer(id, limits, signal);
      } catch (error) {
        if (error instanceof Failure && error.kind === 'not-found') continue;
        log.warn({ containerId: id, error: failureChain(error) }, 'what an NRI plugin wants of a container failed');
        if (!wish.ignoreFailure) failed.push(wish);
      }
    }
    for (const { containerId, reason } of evict) {
      log.warn({ containerId, reason }, 'an NRI plugin evicts a container');
      this.#ports.evict(containerId, reason);
    }
    return failed;
  }
}

/** Whether anything is set. */
const changes = (r: LinuxResources): boolean =>
  r.hugepageLimits.length > 0 ||
  Object.keys(r.unified).length > 0 ||
  r.cpusetCpus !== '' ||
  r.cpusetMems !== '' ||
  [r.cpuPeriod, r.cpuQuota, r.cpuShares, r.memoryLimitBytes, r.memorySwapLimitBytes].some((v) => v !== null);

/** A container that has a plan and a record, and nothing else. */
function inCreation({ identity, resources, spec }: Planned): Container {
  const { uid, gid, additionalGids } = spec.process.user;
  return {
    identity,
    status: {
      phase: 'creating',
      pid: 0,
      startTime: 0,
      bootId: '',
      startedAt: 0n,
      exit: null,
      user: { uid, gid, supplementalGroups: additionalGids },
      resources,
      stopRequestedAt: 0n,
      deliveredAt: 0n,
      notes: [],
    },
  };
}
