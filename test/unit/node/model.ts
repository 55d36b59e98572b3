// A node as a model: what transactions do to it, and the points at which they can be killed or can fail.
import type { Found, Journal, Side } from '../../../src/node/journal.ts';
import type { Effects, JournalStore } from '../../../src/node/ports.ts';

/** What there is on the model's node. A runtime is known by its endpoint. */
export interface Host {
  kubelet: boolean;
  /** Endpoint that the kubelet is told, and the one that the running kubelet uses. */
  pointer: string;
  uses: string;
  cordoned: boolean;
  /** Endpoints whose runtime has pods. */
  readonly pods: Set<string>;
  /** Version of the running podwrightd; null when none runs. */
  daemon: string | null;
  /** Version that the link leads to. */
  placed: string | null;
  config: string | null;
}

export const oldEndpoint = 'unix:///old.sock';
export const newEndpoint = 'unix:///new.sock';

/** A runtime at work before podwright. */
export const oldSide: Side = { type: 'runtime', endpoint: oldEndpoint, name: '', version: '', pointer: null };
export const podwrightSide = (version: string, config: string | null = null): Side => ({
  type: 'podwright',
  release: `/opt/podwright/releases/${version}`,
  version,
  endpoint: newEndpoint,
  config,
});

/** Never comes back: the process is dead. */
const dead = new Promise<never>(() => undefined);

/** The node with its points. */
export class Model {
  readonly host: Host;
  /** Whether there is a kubelet at all. */
  readonly kubelet: boolean;
  journal: Journal | null = null;
  /** Points passed, in order. */
  readonly passed: string[] = [];
  /** Called at each point; may throw, or answer true for the death of the process. */
  onPoint: (name: string, number: number) => boolean = () => false;
  readonly killed = Promise.withResolvers<'killed'>();

  constructor(host: Host, kubelet: boolean) {
    this.host = host;
    this.kubelet = kubelet;
  }

  async #point(name: string): Promise<void> {
    this.passed.push(name);
    if (!this.onPoint(name, this.passed.length)) return;
    this.killed.resolve('killed');
    await dead;
  }

  /** What a service manager does with what it finds. */
  boot(): void {
    const { host } = this;
    host.daemon = host.placed;
    host.kubelet = this.kubelet;
    this.#kubeletRuns();
  }

  #kubeletRuns(): void {
    const { host } = this;
    if (!host.kubelet) return;
    host.uses = host.pointer;
    if (host.uses === oldEndpoint || host.daemon !== null) host.pods.add(host.uses);
  }

  readonly store: JournalStore = {
    read: () => this.journal,
    write: (journal) => {
      this.journal = structuredClone(journal);
    },
  };

  readonly effects: Effects = {
    preflight: async ({ from }): Promise<Found> => {
      await this.#point('look');
      const { cordoned, config } = this.host;
      const found: Side =
        from.type === 'runtime'
          ? { ...from, name: 'containerd', version: '2', pointer: this.host.pointer }
          : from.type === 'podwright'
            ? { ...from, config }
            : from;
      return { wasCordoned: cordoned, configBefore: config, from: found };
    },
    cordon: () => this.#change('cordon', () => (this.host.cordoned = true)),
    uncordon: async ({ wasCordoned }) => {
      if (!wasCordoned) await this.#change('uncordon', () => (this.host.cordoned = false));
    },
    stopKubelet: () => this.#change('stop kubelet', () => (this.host.kubelet = false)),
    startKubelet: () =>
      this.#change('start kubelet', () => {
        this.host.kubelet = true;
        this.#kubeletRuns();
      }),
    removePods: (_journal, side) =>
      this.#change('remove pods', () => {
        if (this.host.kubelet && side.type === 'runtime') throw new Error('a kubelet makes them again');
        if (side.type !== 'none') this.host.pods.delete(side.endpoint);
      }),
    stopDaemon: (_journal, side) =>
      this.#change('stop daemon', () => {
        if (side.type !== 'podwright') return;
        this.host.pods.delete(side.endpoint);
        this.host.daemon = null;
      }),
    place: async ({ direction, configBefore, to }, side) => {
      await this.#change('place config', () => {
        if (side.type === 'podwright' && side.config !== null) this.host.config = side.config;
        else if (side.type === 'podwright' && direction === 'back' && to.type === 'podwright' && to.config !== null)
          this.host.config = configBefore;
        else if (side.type !== 'podwright' && direction === 'back') this.host.config = configBefore;
      });
      await this.#change('place link', () => (this.host.placed = side.type === 'podwright' ? side.version : null));
    },
    startDaemon: async (_journal, side) => {
      if (side.type !== 'podwright') return;
      await this.#change('end daemon', () => (this.host.daemon = null));
      await this.#change('start daemon', () => {
        if (this.host.placed !== side.version) throw new Error('another release is in place');
        this.host.daemon = side.version;
      });
    },
    selfTest: (_journal, side) =>
      this.#change('self-test', () => {
        if (side.type === 'podwright' && this.host.daemon !== side.version) throw new Error('it does not answer');
      }),
    repointKubelet: (_journal, side) =>
      this.#change('repoint', () => {
        if (side.type === 'podwright') this.host.pointer = side.endpoint;
        if (side.type === 'runtime') this.host.pointer = side.pointer ?? '';
      }),
    ready: (_journal, side) =>
      this.#change('ready', () => {
        if (!this.host.kubelet) throw new Error('no kubelet');
        if (side.type !== 'none' && this.host.uses !== side.endpoint) throw new Error(`it uses ${this.host.uses}`);
      }),
  };

  async #change(name: string, change: () => unknown): Promise<void> {
    await this.#point(`before ${name}`);
    change();
    await this.#point(`after ${name}`);
  }
}
