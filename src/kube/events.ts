// Events on their way to the API server: a bounded queue, one request at a time. What finds no room is counted and lost.
// Must not hold up whoever has news: putting something into the queue is all that they wait for.
import { randomBytes } from 'node:crypto';
import type { CoreV1Event } from '@kubernetes/client-node';
import { Correlator, type Decision } from './correlator.ts';
import type { EventDraft } from './news.ts';
import { backOffMs, type KubePorts, type Outcome, send, Trouble } from './send.ts';

/** Events that may wait; news of a node that cannot reach the API server for long is dropped. */
const mostWaiting = 256;
/** An event is tried for so long; the API server itself forgets events after an hour. */
const longestTryMs = 600_000;

type Wire = Omit<CoreV1Event, 'eventTime' | 'firstTimestamp' | 'lastTimestamp'> & {
  readonly firstTimestamp: string;
  readonly lastTimestamp: string;
};

const timestamp = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

/** The namespace that an event is in: its pod's; of a node the default one, as the kubelet has it. */
const namespaceOf = ({ pod }: EventDraft): string => pod?.namespace ?? 'default';

/** The object to make. Nodes' events bear the node's name as uid, as the kubelet's do: `kubectl describe` looks for that. */
function eventObject(draft: EventDraft, node: string, name: string): Wire {
  const { pod, container, type, reason, message, atMs } = draft;
  const at = timestamp(atMs);
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace: namespaceOf(draft) },
    involvedObject:
      pod === null
        ? { apiVersion: 'v1', kind: 'Node', name: node, uid: node }
        : {
            apiVersion: 'v1',
            kind: 'Pod',
            ...pod,
            ...(container !== '' && { fieldPath: `spec.containers{${container}}` }),
          },
    type,
    reason,
    message,
    firstTimestamp: at,
    lastTimestamp: at,
    count: 1,
    source: { component: 'podwrightd', host: node },
    reportingComponent: 'podwrightd',
    reportingInstance: node,
  };
}

/** Names of events are `<object>.<something>`, at most 253 characters. */
const newName = (draft: EventDraft, node: string): string =>
  `${(draft.pod?.name ?? node).slice(0, 230).replace(/[.-]+$/, '')}.${randomBytes(8).toString('hex')}`;

const pathOf = (draft: EventDraft): string => `/api/v1/namespaces/${encodeURIComponent(namespaceOf(draft))}/events`;

/** The queue. */
export class EventQueue {
  readonly #ports: KubePorts;
  readonly #node: string;
  readonly #waiting: EventDraft[] = [];
  readonly #correlator: Correlator;
  readonly #trouble: Trouble;
  #wake: (() => void) | null = null;

  constructor(ports: KubePorts, node: string) {
    this.#ports = ports;
    this.#node = node;
    this.#correlator = new Correlator(ports.nowMs());
    this.#trouble = new Trouble(ports, 'send events');
  }

  /** Takes an event, if there is room. Never throws, never waits. */
  put(draft: EventDraft): void {
    if (this.#waiting.length >= mostWaiting) return this.#ports.countEvent('overflow');
    this.#waiting.push(draft);
    this.#wake?.();
    return undefined;
  }

  /** Sends until the signal fires; then rejects with its reason. */
  async run(signal: AbortSignal): Promise<never> {
    signal.addEventListener('abort', () => this.#wake?.(), { once: true });
    for (;;) {
      signal.throwIfAborted();
      const draft = this.#waiting.shift();
      if (draft) await this.#tell(draft, signal);
      else await this.#news();
    }
  }

  #news(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    return promise;
  }

  async #tell(draft: EventDraft, signal: AbortSignal): Promise<void> {
    const { nowMs, random, rest, countEvent } = this.#ports;
    const decision = this.#correlator.decide(draft, nowMs());
    if (decision.type === 'drop') return countEvent('limited');
    for (let failures = 1; ; failures += 1) {
      const outcome = await this.#attempt(decision, signal);
      this.#trouble.tell(outcome.type === 'ok' ? '' : outcome.why);
      if (outcome.type === 'ok') return countEvent(decision.type === 'create' ? 'created' : 'counted');
      if (outcome.type === 'refused') return countEvent('refused');
      if (nowMs() - draft.atMs > longestTryMs) return countEvent('expired');
      await rest(backOffMs(failures, outcome.retryAfterMs, random), signal);
    }
  }

  async #attempt(decision: Exclude<Decision, { type: 'drop' }>, signal: AbortSignal): Promise<Outcome> {
    const { draft, key } = decision;
    if (decision.type === 'count') {
      const { name, count } = decision;
      const body = { count, message: draft.message, lastTimestamp: timestamp(draft.atMs) };
      const path = `${pathOf(draft)}/${name}`;
      const contentType = 'application/merge-patch+json';
      const outcome = await send(this.#ports, { method: 'PATCH', path, body, contentType }, signal);
      if (outcome.type !== 'refused' || outcome.status !== 404) return outcome;
      this.#correlator.gone(key);
    }
    const name = newName(draft, this.#node);
    const body = eventObject(draft, this.#node, name);
    const outcome = await send(this.#ports, { method: 'POST', path: pathOf(draft), body }, signal);
    if (outcome.type === 'ok') this.#correlator.made(key, name);
    return outcome;
  }
}
