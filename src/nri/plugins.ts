// All plugins: who they are, in which order they are asked, and that one call is told to all before the next one.
import type { Duplex } from 'node:stream';
import { failureChain } from '../lib/failure.ts';
import { Collected, seenBy, Updates } from './collect.ts';
import { Owners } from './owners.ts';
import { type About, type Origin, Plugin, type PluginLog, type Timeouts } from './plugin.ts';
import { type ValidatorSettings, validateByDefault } from './validator.ts';
import type { Adjustment, EventName, Eviction, Update, WireContainer, WirePod, WireResources } from './wire.ts';

/** Everything that there is, as a plugin is told when it joins. */
export interface Everything {
  readonly pods: readonly WirePod[];
  readonly containers: readonly WireContainer[];
}

/** What plugins want done to containers beside the one that a call is about. */
export interface Wishes {
  readonly update: readonly Update[];
  readonly evict: readonly Eviction[];
}

export interface PluginsPorts {
  readonly about: About;
  readonly timeouts: Timeouts;
  readonly validator: ValidatorSettings;
  /** The most that may be connected. */
  readonly most: number;
  readonly log: PluginLog;
  /** The configuration that a plugin of this name is given, "" for none. */
  readonly configOf: (index: string, base: string) => Promise<string>;
  readonly everything: () => Everything;
  /** Carries out wishes; answers the updates that failed. */
  readonly carryOut: (wishes: Wishes) => Promise<Update[]>;
}

interface Answer {
  readonly adjust: Adjustment | null;
  readonly update?: readonly Update[];
  readonly evict?: readonly Eviction[];
}

/** What all plugins want of a container that is made. */
export interface Created {
  readonly adjust: Adjustment;
  readonly owners: Owners;
  readonly wishes: Wishes;
}

const nothing: Wishes = { update: [], evict: [] };

/** The plugins of this node. */
export class Plugins {
  readonly #ports: PluginsPorts;
  readonly #connecting = new Set<Plugin>();
  #plugins: Plugin[] = [];
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ports: PluginsPorts) {
    this.#ports = ports;
  }

  /** Whether anybody has a say in what is made. */
  get any(): boolean {
    return this.#plugins.length > 0 || this.#ports.validator.validate;
  }

  /** Whether anybody is to be told of an event. */
  wants(event: EventName): boolean {
    return this.#plugins.some((plugin) => plugin.wants(event));
  }

  get list(): readonly { readonly name: string; readonly origin: Origin['kind'] }[] {
    return this.#plugins.map(({ name, origin }) => ({ name, origin }));
  }

  /** Takes a connection. Resolves to whether the plugin is one of ours now; the log says why when it is not. */
  async join(socket: Duplex, origin: Origin): Promise<boolean> {
    const { log, timeouts, most } = this.#ports;
    if (this.#plugins.length + this.#connecting.size >= most) {
      log.warn({ most }, 'an NRI plugin was turned away: there are as many as may be');
      socket.destroy();
      return false;
    }
    const plugin = new Plugin(socket, origin, {
      timeouts,
      log,
      updateContainers: (name, update, evict) => {
        log.info({ plugin: name, updates: update.length, evictions: evict.length }, 'an NRI plugin changes containers');
        return this.#ports.carryOut({ update, evict });
      },
      onClose: (closed, why) => this.#left(closed, why),
    });
    this.#connecting.add(plugin);
    try {
      await plugin.start(this.#ports.about, await this.#configOf(origin));
      const update = await this.#alone(() => this.#add(plugin));
      await this.#ports.carryOut({ update, evict: [] });
      log.info({ plugin: plugin.name, origin: plugin.origin }, 'an NRI plugin has joined');
      return true;
    } catch (error) {
      const name = plugin.name === '-' ? origin.kind : plugin.name;
      log.error({ plugin: name, error: failureChain(error) }, 'an NRI plugin could not join');
      plugin.close('it could not join');
      return false;
    } finally {
      this.#connecting.delete(plugin);
    }
  }

  /** An external plugin brings its own configuration. */
  #configOf({ kind, index, name }: Origin): Promise<string> {
    return kind === 'launched' ? this.#ports.configOf(index, name) : Promise.resolve('');
  }

  async #add(plugin: Plugin): Promise<Update[]> {
    const { pods, containers } = this.#ports.everything();
    const update = await plugin.synchronize(pods, containers);
    if (plugin.closed) return [];
    this.#plugins = [...this.#plugins, plugin].toSorted((a, b) => (a.index < b.index ? -1 : a.index > b.index ? 1 : 0));
    return update;
  }

  #left(plugin: Plugin, why: string): void {
    if (!this.#plugins.includes(plugin)) return;
    this.#plugins = this.#plugins.filter((one) => one !== plugin);
    this.#ports.log.warn({ plugin: plugin.name, why }, 'an NRI plugin has left');
  }

  /** One call after the other, in the order in which they come. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work, work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** Tells an event that needs no answer; throws when a plugin says no. `message` is made when its turn comes. */
  tell(event: EventName, message: () => object): Promise<void> {
    return this.#alone(async () => {
      if (!this.wants(event)) return;
      const told = message();
      for (const plugin of this.#plugins) await plugin.tell(event, told);
    });
  }

  /** Asks what is to be different in a container that is made. */
  create(pod: WirePod, container: WireContainer): Promise<Created> {
    return this.#alone(async () => {
      const collected = new Collected(container.id);
      const updates = new Updates(collected.owners, container.id);
      const asked: Plugin[] = [];
      for (const plugin of this.#plugins) {
        asked.push(plugin);
        const seen = seenBy(container, collected.adjustment);
        const answer = await plugin.tell<Answer>('CreateContainer', { pod, container: seen });
        if (answer === null) continue;
        collected.add(answer.adjust, plugin.name);
        updates.add(answer.update ?? [], plugin.name);
        collected.evict.push(...(answer.evict ?? []));
      }
      const { adjustment: adjust, owners, evict } = collected;
      const plugins = asked.map(({ base, index }) => ({ name: base, index }));
      validateByDefault(this.#ports.validator, { pod, container, adjust, owners, plugins });
      const request = { pod, container, adjust, update: updates.all, owners: owners.toWire(), plugins };
      const validators = this.#plugins.filter((plugin) => plugin.validates);
      await Promise.all(validators.map((plugin) => plugin.validate(request)));
      return { adjust, owners, wishes: { update: updates.all, evict } };
    });
  }

  /** Asks what is to be different in an update of limits. */
  update(
    pod: WirePod,
    container: WireContainer,
    resources: WireResources,
  ): Promise<{ readonly resources: WireResources; readonly wishes: Wishes }> {
    return this.#alone(async () => {
      const updates = newUpdates(container.id, resources);
      const evict: Eviction[] = [];
      for (const plugin of this.#plugins) {
        const now = updates.all.find(({ containerId }) => containerId === container.id)?.linux?.resources ?? resources;
        const answer = await plugin.tell<Answer>('UpdateContainer', { pod, container, linuxResources: now });
        updates.add(answer?.update ?? [], plugin.name);
        evict.push(...(answer?.evict ?? []));
      }
      const own = updates.all.find(({ containerId }) => containerId === container.id);
      const others = updates.all.filter((one) => one !== own);
      return { resources: own?.linux?.resources ?? resources, wishes: { update: others, evict } };
    });
  }

  /** Tells that a container has stopped; answers what is to be done to others. */
  stopped(message: () => { readonly pod: WirePod; readonly container: WireContainer }): Promise<Wishes> {
    return this.#alone(async () => {
      if (!this.wants('StopContainer')) return nothing;
      const updates = new Updates(new Owners());
      const told = message();
      for (const plugin of this.#plugins) {
        const answer = await plugin.tell<Answer>('StopContainer', told);
        updates.add(answer?.update ?? [], plugin.name);
      }
      return { update: updates.all, evict: [] };
    });
  }

  /** Says good-bye to all. */
  async close(timeoutMs: number): Promise<void> {
    const all = [...this.#plugins, ...this.#connecting];
    await Promise.all(this.#plugins.map((plugin) => plugin.shutdown(timeoutMs)));
    this.#plugins = [];
    for (const plugin of all) plugin.close('the runtime goes down');
  }
}

function newUpdates(id: string, resources: WireResources): Updates {
  const updates = new Updates(new Owners());
  updates.begin(id, resources);
  return updates;
}
