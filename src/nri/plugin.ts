// One plugin: from its connection to its answers. Must not know the other ones.
import type { Duplex } from 'node:stream';
import { failedPrecondition } from '../lib/failure.ts';
import { decodeNri, encodeNri } from '../proto/nri-codec.ts';
import { CallFailed, Channel, Refusal } from './channel.ts';
import { codes, Oversized } from './ttrpc.ts';
import { allEvents, type EventName, eventNumbers, type FailurePolicy, hasEvent, oldEvents } from './wire.ts';
import type { Eviction, Update, WireContainer, WirePod } from './wire.ts';

/** The log that plugins are told of in. */
export interface PluginLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Milliseconds. */
export interface Timeouts {
  readonly registrationMs: number;
  readonly requestMs: number;
}

/** Where a plugin comes from: its file says who a launched one is. */
export interface Origin {
  readonly kind: 'external' | 'launched';
  readonly index: string;
  readonly name: string;
}

export interface PluginPorts {
  readonly timeouts: Timeouts;
  readonly log: PluginLog;
  /** Carries out updates that the plugin asks for by itself; answers those that failed. */
  readonly updateContainers: (
    plugin: string,
    updates: readonly Update[],
    evict: readonly Eviction[],
  ) => Promise<Update[]>;
  readonly onClose: (plugin: Plugin, why: string) => void;
}

/** What plugins are told of the runtime. */
export interface About {
  readonly runtimeName: string;
  readonly runtimeVersion: string;
}

/** The version of NRI that is spoken here. */
export const nriVersion = 'v0.12.5';

/** Longest name that is told in logs and conflicts. */
const longestName = 128;

/** Why a plugin's name or index cannot be, null when they can. */
export function wrongName(index: string, name: string): string | null {
  if (!/^[0-9]{2}$/.test(index)) return `its index ${JSON.stringify(index.slice(0, 16))} is not two digits`;
  if (!/^[a-zA-Z0-9_.+-]+$/.test(name) || name.length > longestName)
    return `its name ${JSON.stringify(name.slice(0, longestName))} is none`;
  return null;
}

interface Registration {
  readonly pluginName: string;
  readonly pluginIdx: string;
}

interface UpdateContainers {
  readonly update: Update[];
  readonly evict: Eviction[];
}

interface Configured {
  readonly events: number;
  readonly failurePolicy: FailurePolicy | null;
}

/** A plugin that is connected, or was. */
export class Plugin {
  readonly origin: Origin['kind'];
  readonly #channel: Channel;
  readonly #ports: PluginPorts;
  readonly #registered = Promise.withResolvers<void>();
  readonly #old = new Set<EventName>();
  #index: string;
  #base: string;
  #events = 0;
  #known = false;
  #policy: FailurePolicy | null = null;

  constructor(socket: Duplex, origin: Origin, ports: PluginPorts) {
    this.origin = origin.kind;
    this.#index = origin.index;
    this.#base = origin.name;
    this.#ports = ports;
    this.#registered.promise.catch(() => undefined); // whoever waits for it is told
    this.#channel = new Channel(socket, {
      serve: (method, payload) => this.#serve(method, payload),
      onClose: (why) => {
        this.#registered.reject(failedPrecondition(`the plugin did not register: ${why}`));
        ports.onClose(this, why);
      },
    });
  }

  get index(): string {
    return this.#index;
  }

  get base(): string {
    return this.#base;
  }

  /** "INDEX-NAME". */
  get name(): string {
    return `${this.#index}-${this.#base}`;
  }

  get closed(): boolean {
    return this.#channel.closed;
  }

  get validates(): boolean {
    return hasEvent(this.#events, 'ValidateContainerAdjustment');
  }

  wants(event: EventName): boolean {
    return hasEvent(this.#events, event);
  }

  close(why: string): void {
    this.#channel.close(why);
  }

  /** Waits until it has said who it is, and asks what it wants to be told of. Throws when it does not. */
  async start(about: About, config: string): Promise<void> {
    const { registrationMs, requestMs } = this.#ports.timeouts;
    const timer = setTimeout(() => this.close(`it did not register within ${registrationMs} ms`), registrationMs);
    try {
      await this.#registered.promise;
    } finally {
      clearTimeout(timer);
    }
    const { events, failurePolicy } = await this.#ask<Configured>('Configure', {
      request: ['ConfigureRequest', { config, ...about, ...this.#told(), NRIVersion: nriVersion }],
      response: 'ConfigureResponse',
      timeoutMs: requestMs,
    });
    if ((events & ~allEvents) !== 0)
      throw failedPrecondition(`it wants unknown events (0x${(events >>> 0).toString(16)})`);
    this.#events = events === 0 ? allEvents : events;
    this.#policy = failurePolicy;
  }

  #told() {
    const { registrationMs, requestMs } = this.#ports.timeouts;
    return { registrationTimeout: String(registrationMs), requestTimeout: String(requestMs) };
  }

  /** Tells it all that there is, in as many messages as that takes, within one request's time. Answers what it wants changed. */
  async synchronize(pods: readonly WirePod[], containers: readonly WireContainer[]): Promise<Update[]> {
    const until = performance.now() + this.#ports.timeouts.requestMs;
    let share = Math.max(1, pods.length + containers.length);
    let [podsAt, containersAt] = [0, 0];
    for (;;) {
      const some = pods.slice(podsAt, podsAt + share);
      const others = containers.slice(containersAt, containersAt + Math.max(0, share - some.length));
      const more = podsAt + some.length < pods.length || containersAt + others.length < containers.length;
      try {
        const answer = await this.#ask<{ readonly update: Update[]; readonly more: boolean }>('Synchronize', {
          request: ['SynchronizeRequest', { pods: some, containers: others, more }],
          response: 'SynchronizeResponse',
          timeoutMs: Math.max(1, Math.ceil(until - performance.now())),
        });
        if (!more) return answer.update;
        if (answer.update.length > 0 || !answer.more)
          throw failedPrecondition('it does not take what there is in more than one message');
        podsAt += some.length;
        containersAt += others.length;
      } catch (error) {
        if (!(error instanceof Oversized) || share === 1) throw error;
        share = Math.floor(share / 2);
      }
    }
  }

  /**
   * Tells it an event and answers what it says; null when it does not want the event, or does not answer and its
   * policy lets the call go on without it. Throws failed-precondition when the plugin says no.
   */
  async tell<T>(event: EventName, message: object): Promise<T | null> {
    if (this.closed || !this.wants(event)) return null;
    try {
      return await this.#request<T>(event, message);
    } catch (error) {
      return this.#failed(event, error);
    }
  }

  /** As tell, but a validator that does not answer has not agreed. */
  async validate(message: object): Promise<void> {
    if (this.closed) return;
    const event = 'ValidateContainerAdjustment';
    let answer: { readonly reject: boolean; readonly reason: string };
    try {
      answer = await this.#request(event, message);
    } catch (error) {
      this.#drop(event, error);
      throw failedPrecondition(`NRI validator ${this.name} did not agree`, error);
    }
    if (answer.reject)
      throw failedPrecondition(
        `NRI validator ${this.name} rejects the container: ${answer.reason || 'it does not say why'}`,
      );
  }

  /** Says that the runtime goes down. */
  async shutdown(timeoutMs: number): Promise<void> {
    await this.#ask('Shutdown', { request: ['Empty', {}], response: 'Empty', timeoutMs }).catch(() => undefined);
  }

  async #request<T>(event: EventName, message: object): Promise<T> {
    const timeoutMs = this.#ports.timeouts.requestMs;
    if (!this.#old.has(event)) {
      try {
        const request = [`${event}Request`, message] as const;
        return await this.#ask<T>(event, { request, response: `${event}Response`, timeoutMs });
      } catch (error) {
        const unknown = error instanceof CallFailed && error.trouble === 'status' && error.code === codes.unimplemented;
        if (!unknown || !oldEvents.has(event)) throw error;
        this.#old.add(event);
      }
    }
    // plugins of before 0.11 have one call for all that needs no answer
    const request = ['StateChangeEvent', { ...message, event: eventNumbers[event] }] as const;
    await this.#ask('StateChange', { request, response: 'Empty', timeoutMs });
    return {} as T;
  }

  async #ask<T>(
    method: string,
    call: { readonly request: readonly [string, object]; readonly response: string; readonly timeoutMs: number },
  ): Promise<T> {
    const payload = await this.#channel.call(method, encodeNri(...call.request), call.timeoutMs);
    try {
      return decodeNri(call.response, payload) as T;
    } catch (error) {
      this.close(`its answer to ${method} is no ${call.response}`);
      throw new CallFailed('closed', `its answer to ${method} is no ${call.response}: ${(error as Error).message}`);
    }
  }

  /** Ends the connection of a plugin that did not answer, unless it asked to be kept over timeouts. Whether it did not. */
  #drop(event: EventName, error: unknown): boolean {
    if (!(error instanceof CallFailed) || error.trouble === 'status') return false;
    const kept = error.trouble === 'timeout' && this.#policy?.keepConnected === true;
    if (!kept) this.close(`it did not handle ${event}: ${error.message}`);
    return true;
  }

  #failed(event: EventName, error: unknown): null {
    if (!this.#drop(event, error))
      throw failedPrecondition(`NRI plugin ${this.name} fails ${event}: ${(error as Error).message}`);
    if (this.#policy?.failRequest === true)
      throw failedPrecondition(`NRI plugin ${this.name} did not handle ${event}: ${(error as Error).message}`);
    this.#ports.log.warn({ plugin: this.name, event, why: (error as Error).message }, 'going on without an NRI plugin');
    return null;
  }

  async #serve(method: string, payload: Buffer): Promise<Buffer> {
    if (method === 'RegisterPlugin') return this.#register(payload);
    if (method !== 'UpdateContainers') throw new Refusal(codes.unimplemented, `method ${method}`);
    if (this.#events === 0) throw new Refusal(codes.invalidArgument, 'not registered');
    const { update, evict } = decodeNri('UpdateContainersRequest', payload) as UpdateContainers;
    const failed = await this.#ports.updateContainers(this.name, update, evict);
    return encodeNri('UpdateContainersResponse', { failed });
  }

  #register(payload: Buffer): Buffer {
    if (this.#known) throw new Refusal(codes.invalidArgument, 'registered already');
    this.#known = true;
    const { pluginIdx, pluginName } = decodeNri('RegisterPluginRequest', payload) as Registration;
    if (this.origin === 'external') {
      const wrong = wrongName(pluginIdx, pluginName);
      if (wrong !== null) {
        // the answer goes first: the connection ends then
        setImmediate(() => this.#registered.reject(failedPrecondition(`the plugin cannot be: ${wrong}`)));
        throw new Refusal(codes.invalidArgument, wrong);
      }
      [this.#index, this.#base] = [pluginIdx, pluginName];
    }
    this.#registered.resolve();
    return encodeNri('Empty', {});
  }
}
