// The room kube/ before a fake API server, with a clock and waits of the test's own.
import { boundedServer } from '../../src/apiserver/exchange.ts';
import type { HealthFacts } from '../../src/kube/condition.ts';
import { type Kube, type KubeSettings, runKube } from '../../src/kube/kube.ts';
import type { News, PodRef } from '../../src/kube/news.ts';
import type { KubePorts } from '../../src/kube/send.ts';
import { orAborted } from '../../src/lib/waiting.ts';
import { FakeApi } from './fake-api.ts';

/** A node on which nothing is wrong. */
export const wellFacts: HealthFacts = {
  notReady: null,
  network: { ready: true, message: '' },
  quarantined: 0,
  owedReleases: 0,
  owedRemovals: 0,
  owedWrites: 0,
  silentMonitors: 0,
  deadMonitors: 0,
  store: { freeBytes: 50, totalBytes: 100, freeInodes: 50, totalInodes: 100 },
};

/** A pod that there is news of. */
export const shopPod: PodRef = { namespace: 'shop', name: 'web', uid: 'u-1' };

/** News of a pull that failed. */
export const failedPull = (cause: string, pod = shopPod): News => ({
  type: 'pull-failed',
  pod,
  image: 'r.example/a',
  host: 'r.example',
  cause,
});

/** The room, and what it told the house. */
export class KubeRoom {
  readonly api: FakeApi;
  readonly fates: string[] = [];
  readonly requests: string[] = [];
  readonly lines: string[] = [];
  /** How long it would have waited each time, in milliseconds. */
  readonly rests: number[] = [];
  /** What a rest waits for in place of a moment: so a test can look between two rounds. */
  held: Promise<void> | null = null;
  facts: HealthFacts = wellFacts;
  nowMs = Date.parse('2026-03-01T10:00:00Z');
  #kube: Kube | null = null;

  constructor(api: FakeApi) {
    this.api = api;
  }

  /** Starts the parts that are wished for, as the bearer of a token; exchanges take at most so long. */
  start(wish: Partial<KubeSettings>, timeoutMs = 20_000): Kube {
    const access = {
      url: new URL(this.api.url),
      options: async () => ({ ca: this.api.pair.cert, headers: { authorization: 'Bearer secret' } }),
      refused: () => void this.lines.push('credentials are read anew'),
    };
    const ports: KubePorts = {
      api: boundedServer(access, { timeoutMs, maxBytes: 100_000, maxConnections: 2 }, 'test'),
      nowMs: () => this.nowMs,
      random: () => 1,
      log: (_, fields, message) => void this.lines.push(`${message} ${JSON.stringify(fields)}`),
      countEvent: (fate) => void this.fates.push(fate),
      countRequest: (outcome) => void this.requests.push(outcome),
      rest: async (ms, signal) => {
        this.rests.push(ms);
        if (this.held !== null) await orAborted(this.held, signal);
        else await new Promise((resolve) => setTimeout(resolve, 5));
        signal.throwIfAborted();
      },
    };
    const off = { events: false, condition: false, handlers: null };
    this.#kube = runKube(
      { kubeconfig: '', node: 'n-1', version: '1.2.3', ...off, ...wish },
      ports,
      async () => this.facts,
    );
    return this.#kube;
  }

  async end(): Promise<void> {
    await this.#kube?.stop();
    await this.api.end();
  }
}

/** A room for one test; all of it is gone afterwards. */
export async function withRoom(act: (room: KubeRoom) => Promise<void>): Promise<void> {
  const api = new FakeApi();
  await api.start();
  const room = new KubeRoom(api);
  try {
    await act(room);
  } finally {
    await room.end();
  }
}
