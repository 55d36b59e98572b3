// The node's condition PodwrightHealthy and its heartbeat, as node-problem-detector keeps its own: told when it changes,
// and every few minutes so that an old one is seen to be old. Must not decide what is healthy: condition.ts does.
import type { V1Node } from '@kubernetes/client-node';
import { failureChain } from '../lib/failure.ts';
import { type Health, type HealthFacts, HealthWatch } from './condition.ts';
import { backOffMs, type KubePorts, type Outcome, send, Trouble } from './send.ts';

/** The condition's type. */
export const conditionType = 'PodwrightHealthy';

/** How often the facts are looked at, in milliseconds. */
const lookMs = 10_000;
/** How long an unchanged condition stays untold. */
const heartbeatMs = 300_000;

/** What a condition is made of. */
export interface ConditionParts {
  readonly ports: KubePorts;
  readonly node: string;
  readonly version: string;
  /** Looks at the facts; may take its time. */
  readonly facts: () => Promise<HealthFacts>;
}

/** What was told last. */
interface Told extends Health {
  readonly atMs: number;
  /** When the status became what it is. */
  readonly since: string;
}

const timestamp = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
const same = (a: Health, b: Health): boolean =>
  a.status === b.status && a.reason === b.reason && a.message === b.message;

/** The condition of one node. */
export class NodeCondition {
  readonly #parts: ConditionParts;
  readonly #watch: HealthWatch;
  readonly #trouble: Trouble;
  #told: Told | null = null;
  #read = false;

  constructor(parts: ConditionParts) {
    this.#parts = parts;
    this.#watch = new HealthWatch(parts.version);
    this.#trouble = new Trouble(parts.ports, 'tell the condition of the node');
  }

  /** Tells until the signal fires; then rejects with its reason. */
  async run(signal: AbortSignal): Promise<never> {
    let failures = 0;
    for (;;) {
      const outcome = await this.#once(signal).catch((error: unknown): Outcome => {
        signal.throwIfAborted();
        return { type: 'failed', why: failureChain(error), retryAfterMs: null };
      });
      failures = outcome === null || outcome.type === 'ok' ? 0 : failures + 1;
      if (outcome) this.#trouble.tell(outcome.type === 'ok' ? '' : outcome.why);
      // a node that has not joined yet is "refused" with 404: that too is tried again, by the same clock
      const retryAfterMs = outcome?.type === 'failed' ? outcome.retryAfterMs : null;
      const { random, rest } = this.#parts.ports;
      await rest(failures === 0 ? lookMs : Math.max(lookMs, backOffMs(failures, retryAfterMs, random)), signal);
    }
  }

  /** Nobody looks from now on: tells so. */
  async farewell(signal: AbortSignal): Promise<void> {
    const message = 'podwrightd has ended; pods live on';
    await this.#tell({ status: 'Unknown', reason: 'DaemonStopped', message }, signal);
  }

  /** podwright leaves the node: takes the condition away. */
  async leave(signal: AbortSignal): Promise<Outcome> {
    return this.#patch({ $patch: 'delete', type: conditionType }, signal);
  }

  /** Null when there was nothing to tell. */
  async #once(signal: AbortSignal): Promise<Outcome | null> {
    const { ports, facts } = this.#parts;
    const health = this.#watch.judge(await facts(), ports.nowMs());
    const told = this.#told;
    if (told && same(told, health) && ports.nowMs() - told.atMs < heartbeatMs) return null;
    if (!this.#read) {
      const outcome = await this.#readBefore(signal);
      if (outcome.type !== 'ok') return outcome;
    }
    return this.#tell(health, signal);
  }

  /** What a daemon of before told: a status that stays the same has been so since then. */
  async #readBefore(signal: AbortSignal): Promise<Outcome> {
    const { ports, node } = this.#parts;
    const path = `/api/v1/nodes/${encodeURIComponent(node)}`;
    const outcome = await send(ports, { method: 'GET', path, body: null }, signal);
    if (outcome.type !== 'ok') return outcome;
    this.#read = true;
    const before = (outcome.body as V1Node | null)?.status?.conditions?.find(({ type }) => type === conditionType);
    const since = before?.lastTransitionTime as unknown;
    if (before && typeof since === 'string' && ['True', 'False', 'Unknown'].includes(before.status))
      this.#told = { status: before.status as Health['status'], reason: '', message: '', since, atMs: 0 };
    return outcome;
  }

  async #tell(health: Health, signal: AbortSignal): Promise<Outcome> {
    const nowMs = this.#parts.ports.nowMs();
    const since = this.#told?.status === health.status ? this.#told.since : timestamp(nowMs);
    const condition = {
      type: conditionType,
      ...health,
      lastHeartbeatTime: timestamp(nowMs),
      lastTransitionTime: since,
    };
    const outcome = await this.#patch(condition, signal);
    if (outcome.type === 'ok') this.#told = { ...health, since, atMs: nowMs };
    return outcome;
  }

  #patch(condition: object, signal: AbortSignal): Promise<Outcome> {
    const { ports, node } = this.#parts;
    const path = `/api/v1/nodes/${encodeURIComponent(node)}/status`;
    const body = { status: { conditions: [condition] } };
    // merges the list by type: the kubelet's conditions stay
    const contentType = 'application/strategic-merge-patch+json';
    return send(ports, { method: 'PATCH', path, body, contentType }, signal);
  }
}
