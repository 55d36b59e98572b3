// The steps of a transaction on a real node: each one a call of the hand that does it.
// Must not decide what comes next.
import { join } from 'node:path';
import type { Client } from '../cli/client.ts';
import { isUnreachable } from '../cli/client.ts';
import { failedPrecondition, internal } from '../lib/failure.ts';
import { orAborted } from '../lib/waiting.ts';
import { daemonHand, type DaemonHand, daemonPid } from './daemon-control.ts';
import { namesIn, removeTree } from './files.ts';
import type { Journal, Settings, Side } from './journal.ts';
import { kubeletHealthy, kubeletHost, pointKubelet, startKubelet, stopKubelet } from './kubelet.ts';
import type { KubernetesNode } from './kubernetes.ts';
import { place } from './place.ts';
import type { Effects, StepContext } from './ports.ts';
import { placesWith, preflight } from './preflight.ts';
import type { RunProgram } from './programs.ts';
import { removeAllPods } from './remove-pods.ts';
import { daemonPlaces, type DaemonPlaces } from './release-files.ts';
import { selfTestPod } from './self-test.ts';
import { until } from './wait.ts';

type Podwright = Extract<Side, { readonly type: 'podwright' }>;

/** What the effects are made of. */
export interface EffectParts {
  readonly run: RunProgram;
  /** A connection to a CRI socket; `server` is what its failures call the other end. */
  readonly connect: (socket: string, server: string) => Client;
  /** The node in the API; null when nobody said how to reach it. */
  readonly kubernetes: (settings: Settings) => Promise<KubernetesNode | null>;
  readonly nowMs: () => number;
}

const socketOf = (endpoint: string): string => endpoint.replace(/^unix:\/\//, '');

/** How long one call about versions may take, in milliseconds. */
const versionMs = 10_000;

/** All effects on this machine. */
export function realEffects(parts: EffectParts): Effects {
  const node = new NodeEffects(parts);
  return {
    preflight: (journal, { signal }) => node.preflight(journal, signal),
    cordon: ({ settings }, { signal, warn }) => node.cordon(settings, signal, warn),
    uncordon: ({ settings, wasCordoned }, { signal }) => node.uncordon(settings, wasCordoned, signal),
    stopKubelet: ({ settings }, { signal }) => stopKubelet(parts.run, kubeletOf(settings).control, signal),
    startKubelet: (journal, ctx) => node.startKubelet(journal, ctx),
    removePods: (journal, side, ctx) => node.removePods(journal, side, ctx),
    stopDaemon: (journal, side, ctx) => node.stopDaemon(journal, side, ctx),
    place: (journal, side, { signal }) => place(parts.run, journal, { side, signal }),
    startDaemon: (journal, side, ctx) => node.startDaemon(journal, side, ctx),
    selfTest: (journal, side, ctx) => node.selfTest(journal, side, ctx),
    repointKubelet: async ({ settings, from, to }, side) => pointKubelet(kubeletOf(settings), { from, to, side }),
    ready: (journal, side, ctx) => node.ready(journal, side, ctx),
  };
}

function kubeletOf(settings: Settings): NonNullable<Settings['kubelet']> {
  if (settings.kubelet === null) throw internal('a step about the kubelet on a node without one');
  return settings.kubelet;
}

class NodeEffects {
  readonly #parts: EffectParts;
  /** When the kubelet was last started by us, on the monotonic clock; a heartbeat after it counts. */
  #kubeletSinceMs: number | null = null;

  constructor(parts: EffectParts) {
    this.#parts = parts;
  }

  /** Has a connection while the work lasts. */
  async #with<T>(endpoint: string, work: (client: Client) => Promise<T>): Promise<T> {
    const client = this.#parts.connect(socketOf(endpoint), 'a container runtime');
    try {
      return await work(client);
    } finally {
      client.close();
    }
  }

  async #version(endpoint: string): Promise<{ readonly name: string; readonly version: string }> {
    return this.#with(endpoint, async (client) => {
      const { runtime_name: name, runtime_version: version } = await client.call('Version', {}, versionMs);
      return { name, version };
    });
  }

  async preflight(journal: Journal, signal: AbortSignal): ReturnType<Effects['preflight']> {
    const node = await this.#parts.kubernetes(journal.settings);
    const ports = {
      kubelet: kubeletHost,
      run: this.#parts.run,
      version: (endpoint: string) => this.#version(endpoint),
      isCordoned: node && ((until: AbortSignal) => node.isCordoned(until)),
    };
    return preflight(ports, journal, signal);
  }

  async cordon(settings: Settings, signal: AbortSignal, warn: StepContext['warn']): Promise<void> {
    const node = await this.#parts.kubernetes(settings);
    if (node === null) warn('the node was not cordoned: no kubeconfig is known');
    else await node.setCordoned(true, signal);
  }

  /** The API server may be one of the node's own pods: it is asked until it answers. */
  async uncordon(settings: Settings, wasCordoned: boolean, signal: AbortSignal): Promise<void> {
    const node = await this.#parts.kubernetes(settings);
    if (node === null || wasCordoned) return;
    const within = AbortSignal.any([signal, AbortSignal.timeout(60_000)]);
    const ask = (): Promise<null> => node.setCordoned(false, within).then(() => null);
    await until(ask, {
      signal: within,
      everyMs: 1000,
      failure: (complaint) => failedPrecondition(`uncordon: ${complaint}`),
    });
  }

  async startKubelet({ settings }: Journal, { signal }: StepContext): Promise<void> {
    this.#kubeletSinceMs = performance.now();
    await startKubelet(this.#parts.run, kubeletOf(settings).control, signal);
  }

  async ready({ settings }: Journal, side: Side, { signal, warn }: StepContext): Promise<void> {
    const node = await this.#parts.kubernetes(settings);
    if (node === null) {
      warn('Ready was not asked of the API server, only health of the kubelet: no kubeconfig is known');
      return kubeletHealthy(kubeletOf(settings).healthUrl, signal);
    }
    const on =
      side.type === 'none' ? '' : side.type === 'podwright' ? `podwright://${side.version}` : `${side.name}://`;
    const since = this.#kubeletSinceMs;
    // by the clock as it is set now: it may have been set since
    const sinceMs = since === null ? 0 : this.#parts.nowMs() - (performance.now() - since);
    await node.awaitReady(on, sinceMs, signal);
  }

  async removePods(journal: Journal, side: Side, ctx: StepContext): Promise<void> {
    if (side.type === 'none') return;
    if (side.type === 'podwright') {
      const daemon = await this.#daemonOf(journal, side, ctx.signal);
      if (!(await this.#serving(daemon, ctx.signal))) return;
    }
    const { graceMs } = journal.settings;
    await this.#with(side.endpoint, (client) => removeAllPods({ client, graceMs, signal: ctx.signal }));
  }

  /** Ends what a daemon keeps between pods, and the daemon. */
  async stopDaemon(journal: Journal, side: Side, ctx: StepContext): Promise<void> {
    if (side.type !== 'podwright') return;
    const daemon = await this.#daemonOf(journal, side, ctx.signal);
    await daemon.hand.disable(ctx.signal);
    if (await this.#serving(daemon, ctx.signal)) {
      await this.#with(side.endpoint, async (client) => {
        const whole = async (): Promise<void> => {
          for await (const _ of client.stream('Shutdown', {}));
        };
        await orAborted(whole(), ctx.signal);
      });
    }
    await daemon.hand.stop(ctx.signal);
    await removeTree(daemon.places.state);
  }

  async startDaemon(journal: Journal, side: Side, { signal }: StepContext): Promise<void> {
    if (side.type !== 'podwright') return;
    const { hand } = await this.#daemonOf(journal, side, signal);
    await hand.restart(signal);
    const ask = async (): Promise<string | null> => {
      const { version } = await this.#version(side.endpoint);
      if (version !== side.version) return `it is ${version}, not ${side.version}`;
      return this.#with(side.endpoint, async (client) => {
        const { status } = await client.call('Status', {}, versionMs);
        const runtime = status?.conditions.find(({ type }) => type === 'RuntimeReady');
        return runtime?.status === true ? null : `it is not ready: ${runtime?.message}`;
      });
    };
    const within = AbortSignal.any([signal, AbortSignal.timeout(90_000)]);
    const failure = (complaint: string): Error => failedPrecondition(`podwrightd did not start: ${complaint}`);
    await until(ask, { signal: within, everyMs: 200, failure });
  }

  async selfTest({ from }: Journal, side: Side, { signal, warn }: StepContext): Promise<void> {
    if (side.type === 'none') return;
    if (side.type === 'runtime') return void (await this.#version(side.endpoint));
    const needsNetwork = from.type === 'runtime' && (await this.#hasNetwork(from.endpoint));
    await this.#with(side.endpoint, (client) =>
      selfTestPod({
        client,
        release: side.release,
        needsNetwork,
        agentsGone: from.type === 'runtime',
        signal,
        warn,
      }),
    );
  }

  async #hasNetwork(endpoint: string): Promise<boolean> {
    return this.#with(endpoint, async (client) => {
      const { status } = await client.call('Status', {}, versionMs);
      return status?.conditions.some(({ type, status: holds }) => type === 'NetworkReady' && holds) === true;
    });
  }

  async #daemonOf({ settings }: Journal, side: Podwright, signal: AbortSignal): Promise<Daemon> {
    const { run } = this.#parts;
    const config = join(settings.configDir, 'config.toml');
    const placed = namesIn(settings.configDir).includes('config.toml');
    const places = placed
      ? await daemonPlaces(run, { dir: side.release, config }, signal)
      : await placesWith(run, { settings, to: side }, signal);
    return { side, places, hand: daemonHand({ run, settings, state: places.state }) };
  }

  /** Whether the daemon serves; one that does not is started when it has left something to be ended. */
  async #serving({ side, places, hand }: Daemon, signal: AbortSignal): Promise<boolean> {
    const answers = async (): Promise<boolean> => {
      try {
        await this.#version(side.endpoint);
        return true;
      } catch (error) {
        if (!isUnreachable(error)) throw error;
        return false;
      }
    };
    if (await answers()) return true;
    if (namesIn(places.state).length === 0) return false;
    if (daemonPid(places.state) === null) await hand.restart(signal);
    const within = AbortSignal.any([signal, AbortSignal.timeout(60_000)]);
    const ask = async (): Promise<string | null> => ((await answers()) ? null : 'it does not answer');
    const failure = (complaint: string): Error =>
      failedPrecondition(`podwrightd is needed to end its pods: ${complaint}`);
    await until(ask, { signal: within, everyMs: 200, failure });
    return true;
  }
}

interface Daemon {
  readonly side: Podwright;
  readonly places: DaemonPlaces;
  readonly hand: DaemonHand;
}
