// One node at a time: the Lease that a node holds while its runtime is changed.
// Must not know what is done with the turn.
import type { ApiServer } from '../apiserver/apiserver.ts';
import { notFound } from '../lib/failure.ts';
import { isSettled } from './decide.ts';
import { standing, statusAnnotation } from './labels.ts';
import { read, replace } from './objects.ts';

/** coordination.k8s.io/v1 Lease, as far as it is read. */
interface Lease {
  readonly metadata: { readonly name: string; readonly resourceVersion?: string };
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly renewTime?: string;
    readonly acquireTime?: string;
    readonly leaseTransitions?: number;
  };
}

/** Which Lease, who takes it, and how long it is kept after the last word of its holder. */
export interface TurnSettings {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  /** The pod that renews it is gone while its node's runtime is changed: only after that is its node looked at. */
  readonly seconds: number;
}

/** Takes, keeps and gives back the turn. */
export class Turn {
  readonly #api: ApiServer;
  readonly #settings: TurnSettings;
  readonly #nowMs: () => number;
  /** The Lease as it was last seen to change: how old it is goes by our own clock, for clocks of nodes differ. */
  #seen: { readonly resourceVersion: string; readonly atMs: number } | null = null;

  constructor(api: ApiServer, settings: TurnSettings, nowMs: () => number) {
    this.#api = api;
    this.#settings = settings;
    this.#nowMs = nowMs;
  }

  get #path(): string {
    const { namespace, name } = this.#settings;
    return `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${name}`;
  }

  /**
   * Takes the turn, or renews it: answers null when it is this node's now, else whose it is. One that nobody has renewed for
   * long is taken over only from a node that is well: a walk back may last, and no other node may be lost beside it.
   */
  async take(signal: AbortSignal): Promise<string | null> {
    const lease = await this.#read(signal);
    const { node, seconds } = this.#settings;
    const holder = lease.spec?.holderIdentity ?? '';
    if (holder !== '' && holder !== node) {
      if (!this.#isSilent(lease)) return holder;
      const hindrance = await this.#hindrance(holder, signal);
      if (hindrance !== null) return `${holder}, which ${hindrance}`;
    }
    const now = new Date(this.#nowMs()).toISOString().replace('Z', '000Z'); // MicroTime
    const spec = {
      ...lease.spec,
      holderIdentity: node,
      leaseDurationSeconds: seconds,
      renewTime: now,
      ...(holder !== node && { acquireTime: now, leaseTransitions: (lease.spec?.leaseTransitions ?? 0) + 1 }),
    };
    const taken = await replace(this.#api, { path: this.#path, body: { ...lease, spec } }, signal);
    return taken === null ? 'another node that was first' : null;
  }

  /** Gives the turn back when it is this node's. */
  async giveBack(signal: AbortSignal): Promise<void> {
    const lease = await this.#read(signal);
    if (lease.spec?.holderIdentity !== this.#settings.node) return;
    await replace(
      this.#api,
      { path: this.#path, body: { ...lease, spec: { ...lease.spec, holderIdentity: '' } } },
      signal,
    );
  }

  async #read(signal: AbortSignal): Promise<Lease> {
    const lease = await read<Lease>(this.#api, this.#path, signal);
    if (lease === null) throw notFound(`lease ${this.#settings.namespace}/${this.#settings.name} is not there`);
    return lease;
  }

  /** Why a silent holder keeps the turn; null when its node is gone, or Ready with nothing under way. */
  async #hindrance(holder: string, signal: AbortSignal): Promise<string | null> {
    const node = await standing(this.#api, holder, signal);
    if (node === null) return null;
    if (!node.ready) return 'is not Ready (mend it, or delete its Node)';
    if (isSettled(node.status)) return null;
    // its installer may be gone for good, and then nobody says anything else
    const remedy = `where podwright node status there tells of nothing to be done: kubectl annotate node ${holder} ${statusAnnotation}-`;
    return `said last: ${node.status} (${remedy})`;
  }

  #isSilent({ metadata, spec }: Lease): boolean {
    const resourceVersion = metadata.resourceVersion ?? '';
    const now = this.#nowMs();
    if (this.#seen?.resourceVersion !== resourceVersion) this.#seen = { resourceVersion, atMs: now };
    return now - this.#seen.atMs > (spec?.leaseDurationSeconds ?? 0) * 1000;
  }
}
