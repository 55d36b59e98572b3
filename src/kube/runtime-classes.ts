// RuntimeClass objects of this node's handlers: each handler has one of its name, which leads pods to nodes that have the
// handler, by a label that they bear. Must not touch an object that does not bear our label.
import type { V1Node, V1NodeList, V1RuntimeClass, V1RuntimeClassList } from '@kubernetes/client-node';
import type { ApiRequest } from '../apiserver/apiserver.ts';
import { backOffMs, type KubePorts, type Outcome, send, Trouble } from './send.ts';

/** The label that says whose a RuntimeClass is. */
export const ownerLabel = 'app.kubernetes.io/managed-by';
const owner = 'podwright';
/** A node bears it with the handler's name behind, "true", for each handler it has. */
export const handlerLabel = 'podwright.handler.';

/** How often everything is looked at again: others may have changed it, nodes come and go. */
const lookMs = 300_000;
/** Of a list, in one answer; and answers at most. */
const pageSize = 500;
const mostPages = 20;
/** A label's name has at most 63 characters. */
const longestHandler = 63 - handlerLabel.length;

const base = '/apis/node.k8s.io/v1/runtimeclasses';

/** An outcome that ends the round. */
class NotNow extends Error {
  readonly outcome: Exclude<Outcome, { type: 'ok' }>;

  constructor(outcome: Exclude<Outcome, { type: 'ok' }>) {
    super(outcome.why);
    this.outcome = outcome;
  }
}

/** What is needed. */
export interface ClassParts {
  readonly ports: KubePorts;
  readonly node: string;
  /** Names of the handlers that this node has. */
  readonly handlers: readonly string[];
}

/** The labels to set (null: to take away) on a node that has these. */
export function labelChanges(
  labels: Readonly<Record<string, string>>,
  handlers: readonly string[],
): Record<string, string | null> {
  const wanted = new Set(handlers.map((handler) => `${handlerLabel}${handler}`));
  const stale = Object.keys(labels).filter((name) => name.startsWith(handlerLabel) && !wanted.has(name));
  const missing = [...wanted].filter((name) => labels[name] !== 'true');
  return Object.fromEntries([
    ...stale.map((name) => [name, null] as const),
    ...missing.map((name) => [name, 'true'] as const),
  ]);
}

/** The class of a handler. */
export const classOf = (handler: string) => ({
  apiVersion: 'node.k8s.io/v1',
  kind: 'RuntimeClass',
  metadata: { name: handler, labels: { [ownerLabel]: owner } },
  handler,
  scheduling: { nodeSelector: { [`${handlerLabel}${handler}`]: 'true' } },
});

/** Whether a class of ours still leads where it should. */
const leads = ({ scheduling }: V1RuntimeClass, handler: string): boolean =>
  scheduling?.nodeSelector?.[`${handlerLabel}${handler}`] === 'true';

/** Keeps the classes of one node's handlers. */
export class RuntimeClasses {
  readonly #parts: ClassParts;
  readonly #handlers: readonly string[];
  readonly #trouble: Trouble;
  readonly #foreign = new Set<string>();

  constructor(parts: ClassParts) {
    this.#parts = parts;
    this.#handlers = parts.handlers.filter((handler) => handler.length <= longestHandler);
    this.#trouble = new Trouble(parts.ports, 'keep RuntimeClass objects');
    const long = parts.handlers.filter((handler) => handler.length > longestHandler);
    if (long.length > 0)
      parts.ports.log(
        'warn',
        { handlers: long },
        `handlers with names above ${longestHandler} letters get no RuntimeClass`,
      );
  }

  /** Keeps them until the signal fires; then rejects with its reason. */
  async run(signal: AbortSignal): Promise<never> {
    const { random, rest } = this.#parts.ports;
    let failures = 0;
    for (;;) {
      const trouble = await this.#round(signal);
      failures = trouble === null ? 0 : failures + 1;
      this.#trouble.tell(trouble?.why ?? '');
      const retryAfterMs = trouble?.type === 'failed' ? trouble.retryAfterMs : null;
      await rest(failures === 0 ? lookMs : backOffMs(failures, retryAfterMs, random), signal);
    }
  }

  /** podwright leaves the node: takes its labels away. Classes that no other node needs are there for who looks next. */
  async leave(signal: AbortSignal): Promise<Outcome> {
    try {
      await this.#label([], signal);
      return { type: 'ok', body: null };
    } catch (error) {
      if (error instanceof NotNow) return error.outcome;
      throw error;
    }
  }

  async #round(signal: AbortSignal): Promise<Exclude<Outcome, { type: 'ok' }> | null> {
    try {
      // first the label: a class may lead here from then on, and nobody else takes it away
      await this.#label(this.#handlers, signal);
      const ours = await this.#list(signal);
      for (const handler of this.#handlers) await this.#keep(handler, ours.get(handler), signal);
      for (const one of ours.values()) if (!this.#handlers.includes(one.handler)) await this.#removeUnused(one, signal);
      return null;
    } catch (error) {
      if (error instanceof NotNow) return error.outcome;
      throw error;
    }
  }

  async #ask(request: ApiRequest, signal: AbortSignal): Promise<unknown> {
    const outcome = await send(this.#parts.ports, request, signal);
    if (outcome.type !== 'ok') throw new NotNow(outcome);
    return outcome.body;
  }

  async #label(handlers: readonly string[], signal: AbortSignal): Promise<void> {
    const path = `/api/v1/nodes/${encodeURIComponent(this.#parts.node)}`;
    const node = (await this.#ask({ method: 'GET', path, body: null }, signal)) as V1Node | null;
    const labels = labelChanges(node?.metadata?.labels ?? {}, handlers);
    if (Object.keys(labels).length === 0) return;
    const contentType = 'application/merge-patch+json';
    // the status of a node takes labels with it, and needs leave for that alone
    await this.#ask({ method: 'PATCH', path: `${path}/status`, body: { metadata: { labels } }, contentType }, signal);
  }

  /** Those with our label, by name. */
  async #list(signal: AbortSignal): Promise<Map<string, V1RuntimeClass>> {
    const found = new Map<string, V1RuntimeClass>();
    const selector = encodeURIComponent(`${ownerLabel}=${owner}`);
    let after = '';
    for (let page = 0; page < mostPages; page += 1) {
      const path = `${base}?labelSelector=${selector}&limit=${pageSize}${after}`;
      const list = (await this.#ask({ method: 'GET', path, body: null }, signal)) as V1RuntimeClassList | null;
      for (const one of list?.items ?? []) if (one.metadata?.name) found.set(one.metadata.name, one);
      // the library's type has another name for it than the wire
      const next = (list?.metadata as { readonly continue?: string } | undefined)?.continue ?? '';
      if (next === '') return found;
      after = `&continue=${encodeURIComponent(next)}`;
    }
    return found;
  }

  async #keep(handler: string, found: V1RuntimeClass | undefined, signal: AbortSignal): Promise<void> {
    const wanted = classOf(handler);
    if (found) {
      if (leads(found, handler)) return;
      const contentType = 'application/merge-patch+json';
      const body = { scheduling: wanted.scheduling };
      await this.#ask({ method: 'PATCH', path: `${base}/${handler}`, body, contentType }, signal);
      return;
    }
    const { ports } = this.#parts;
    const outcome = await send(ports, { method: 'POST', path: base, body: wanted }, signal);
    if (outcome.type === 'ok') return void this.#foreign.delete(handler);
    // another node was quicker, or it is somebody else's: then it stays as it is
    if (outcome.type !== 'refused' || outcome.status !== 409) throw new NotNow(outcome);
    if (!this.#foreign.has(handler))
      ports.log('info', { handler }, 'a RuntimeClass of this name is there and not ours; it stays as it is');
    this.#foreign.add(handler);
  }

  /** Takes a class away that no node has a handler for. */
  async #removeUnused({ metadata, handler }: V1RuntimeClass, signal: AbortSignal): Promise<void> {
    const { name = '', uid, resourceVersion } = metadata ?? {};
    if (name !== handler) return; // none that a daemon made
    const selector = encodeURIComponent(`${handlerLabel}${handler}=true`);
    const path = `/api/v1/nodes?labelSelector=${selector}&limit=1`;
    const nodes = (await this.#ask({ method: 'GET', path, body: null }, signal)) as V1NodeList | null;
    if (!Array.isArray(nodes?.items) || nodes.items.length > 0) return;
    const body = { kind: 'DeleteOptions', apiVersion: 'v1', preconditions: { uid, resourceVersion } };
    const outcome = await send(this.#parts.ports, { method: 'DELETE', path: `${base}/${name}`, body }, signal);
    // gone already, or changed meanwhile: the next round sees
    const settled = outcome.type === 'ok' || (outcome.type === 'refused' && [404, 409].includes(outcome.status));
    if (!settled) throw new NotNow(outcome);
  }
}
