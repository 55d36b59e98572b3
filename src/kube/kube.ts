// What this node tells the API server: events of its pods, its condition, the classes of its handlers. Loaded only when a
// kubeconfig is configured. Must not hold up, or fail, a call of the CRI: everything here is told after the fact, and may be lost.
import { boundedServer } from '../apiserver/exchange.ts';
import type { HealthFacts } from './condition.ts';
import { EventQueue } from './events.ts';
import { eventDraft, type News } from './news.ts';
import { NodeCondition } from './node-condition.ts';
import { RuntimeClasses } from './runtime-classes.ts';
import { failureChain } from '../lib/failure.ts';
import { orAborted, pause } from '../lib/waiting.ts';
import type { KubePorts } from './send.ts';

/** What is told, and as whom. */
export interface KubeSettings {
  readonly kubeconfig: string;
  /** This node's name in the cluster. */
  readonly node: string;
  readonly version: string;
  readonly events: boolean;
  readonly condition: boolean;
  /** Handlers that get a RuntimeClass; null: none is kept. */
  readonly handlers: readonly string[] | null;
}

/** What the house gives. */
export interface KubeHouse extends Omit<KubePorts, 'api' | 'rest'> {
  readonly facts: () => Promise<HealthFacts>;
}

/** The room as the daemon drives it. */
export interface Kube {
  /** Takes news; never throws, never waits. */
  tell(news: News): void;
  /** Ends everything, within a second. With `leaving` what is told of the node is taken away first: within five. */
  stop(how?: { readonly leaving: boolean }): Promise<void>;
}

/** Of each exchange. Two connections: a condition need not wait for events. */
const bounds = { timeoutMs: 15_000, maxBytes: 2 * 1024 * 1024, maxConnections: 2 };
/** How long the end of the daemon waits for the last word. */
const farewellMs = 1000;
/** How long it waits when nobody will come back to put it right; and of that for what is on its way to the API server. */
const leaveMs = 5000;
const settleMs = 2000;

/** Starts telling. Throws a Failure for a kubeconfig that cannot be used. */
export async function startKube(settings: KubeSettings, house: KubeHouse): Promise<Kube> {
  const { kubeconfigAccess } = await import('../apiserver/kubeconfig.ts');
  const access = await kubeconfigAccess(settings.kubeconfig, house.nowMs);
  const api = boundedServer(access, bounds, `podwrightd/${settings.version}`);
  const ports: KubePorts = { ...house, api, rest: (ms, signal) => pause(ms, signal, { quiet: true }) };
  return runKube(settings, ports, house.facts);
}

/** As startKube, with an API server that is there. */
export function runKube(settings: KubeSettings, ports: KubePorts, facts: KubeHouse['facts']): Kube {
  const { node, version, handlers } = settings;
  const ending = new AbortController();
  /** No more rounds: what is on its way comes to its end. */
  const resting = new AbortController();
  const rest: KubePorts['rest'] = (ms, signal) => ports.rest(ms, AbortSignal.any([signal, resting.signal]));
  const inner: KubePorts = { ...ports, rest };
  const events = settings.events ? new EventQueue(inner, node) : null;
  const condition = settings.condition ? new NodeCondition({ ports: inner, node, version, facts }) : null;
  const classes = handlers === null ? null : new RuntimeClasses({ ports: inner, node, handlers });
  const started = (part: NodeCondition | RuntimeClasses | EventQueue | null): Promise<void> | undefined =>
    part?.run(ending.signal).catch((error: unknown) => {
      if (!resting.signal.aborted)
        ports.log('warn', { error }, 'a bug: a part of what is told to the API server ended');
    });
  void started(events);
  const rounds = Promise.all([started(condition), started(classes)]);
  const end = new Error('podwrightd ends');
  return {
    tell: (news) => events?.put(eventDraft(news, ports.nowMs())),
    async stop({ leaving } = { leaving: false }) {
      resting.abort(end);
      const bound = AbortSignal.timeout(leaveMs);
      // a server goes on with what its client has given up, and would tell it of the node again afterwards
      if (leaving) await orAborted(rounds, AbortSignal.timeout(settleMs)).catch(() => undefined);
      ending.abort(end);
      if (leaving) await leave(ports, [condition, classes], bound);
      else await condition?.farewell(AbortSignal.timeout(farewellMs)).catch(() => undefined); // it was to be quick, not sure
      ports.api.close();
    },
  };
}

/** Takes away what is told of the node; what stays is logged, and is for an administrator. */
async function leave(
  ports: KubePorts,
  parts: readonly (NodeCondition | RuntimeClasses | null)[],
  signal: AbortSignal,
): Promise<void> {
  await Promise.all(
    parts.map(async (part) => {
      const outcome = await part
        ?.leave(signal)
        .catch((error: unknown) => ({ type: 'failed', why: failureChain(error) }));
      if (outcome && 'why' in outcome)
        ports.log('warn', { why: outcome.why }, 'the node keeps a condition or labels of podwright');
    }),
  );
}
