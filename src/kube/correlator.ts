// PURE
// Which events are sent, and which only raise the count of one that was: as client-go's event correlator does it, so that
// a crash loop costs the API server one object. Must not send.
import type { EventDraft } from './news.ts';

/** What to do with an event. */
export type Decision =
  /** A new object. */
  | { readonly type: 'create'; readonly key: string; readonly draft: EventDraft }
  /** The object of this name happened so many times now, the last time with this message. */
  | {
      readonly type: 'count';
      readonly key: string;
      readonly name: string;
      readonly count: number;
      readonly draft: EventDraft;
    }
  /** Too many: of this object, or of the whole node. */
  | { readonly type: 'drop' };

/** Bounds; the first four are client-go's. */
export const correlatorBounds = {
  /** Events of one object at once, and how long it takes to earn another. */
  objectBurst: 25,
  objectRefillMs: 300_000,
  /** After so many different messages of one reason within the interval they share one object. */
  similar: 10,
  similarMs: 600_000,
  /** Events of this node at once, and how long it takes to earn another. */
  nodeBurst: 50,
  nodeRefillMs: 200,
  /** Objects, and events, that are remembered. */
  most: 2048,
};

class Bucket {
  #tokens: number;
  #atMs: number;
  readonly #burst: number;
  readonly #refillMs: number;

  constructor(burst: number, refillMs: number, nowMs: number) {
    this.#tokens = burst;
    this.#burst = burst;
    this.#refillMs = refillMs;
    this.#atMs = nowMs;
  }

  take(nowMs: number): boolean {
    const earned = Math.max(0, nowMs - this.#atMs) / this.#refillMs;
    this.#tokens = Math.min(this.#burst, this.#tokens + earned);
    this.#atMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

/** A map that forgets what was not used for longest. */
class Recent<T> {
  readonly #items = new Map<string, T>();
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  get(key: string, make: () => T): T {
    const found = this.#items.get(key) ?? make();
    this.#items.delete(key);
    this.#items.set(key, found);
    const [oldest] = this.#items.keys();
    if (this.#items.size > this.#most && oldest !== undefined) this.#items.delete(oldest);
    return found;
  }
}

/** Messages of one reason. */
interface Similar {
  messages: Set<string>;
  sinceMs: number;
}

/** An event that was made. */
interface Known {
  name: string | null;
  count: number;
}

const join = (...parts: readonly string[]): string => parts.join('\0');
const combined = '(combined from similar events): ';

/** Decides, and remembers what it decided. */
export class Correlator {
  readonly #bounds: typeof correlatorBounds;
  readonly #node: Bucket;
  readonly #objects: Recent<Bucket>;
  readonly #similar: Recent<Similar>;
  readonly #known: Recent<Known>;

  constructor(nowMs: number, bounds = correlatorBounds) {
    this.#bounds = bounds;
    this.#node = new Bucket(bounds.nodeBurst, bounds.nodeRefillMs, nowMs);
    this.#objects = new Recent(bounds.most);
    this.#similar = new Recent(bounds.most);
    this.#known = new Recent(bounds.most);
  }

  /** What to do with an event that comes now. */
  decide(draft: EventDraft, nowMs: number): Decision {
    const { pod, container, type, reason, message } = draft;
    const object = pod === null ? 'node' : join(pod.namespace, pod.name, pod.uid);
    const { objectBurst, objectRefillMs, similar: most, similarMs } = this.#bounds;
    const group = join(object, container, type, reason);
    const similar = this.#similar.get(group, () => ({ messages: new Set(), sinceMs: nowMs }));
    if (nowMs - similar.sinceMs > similarMs) {
      similar.messages = new Set();
      similar.sinceMs = nowMs;
    }
    if (similar.messages.size < most) similar.messages.add(message);
    const alike = !similar.messages.has(message);
    const key = alike ? group : join(group, message);
    const known = this.#known.get(key, () => ({ name: null, count: 0 }));
    known.count += 1;
    if (!this.#objects.get(object, () => new Bucket(objectBurst, objectRefillMs, nowMs)).take(nowMs))
      return { type: 'drop' };
    if (!this.#node.take(nowMs)) return { type: 'drop' };
    const told = alike ? { ...draft, message: `${combined}${message}`.slice(0, 1024) } : draft;
    if (known.name === null) return { type: 'create', key, draft: told };
    return { type: 'count', key, name: known.name, count: known.count, draft: told };
  }

  /** The object of a decision was made under this name. */
  made(key: string, name: string): void {
    this.#known.get(key, () => ({ name, count: 1 })).name = name;
  }

  /** The object of a decision is no longer there: its time to live is over. */
  gone(key: string): void {
    const known = this.#known.get(key, () => ({ name: null, count: 1 }));
    known.name = null;
    known.count = 1;
  }
}
