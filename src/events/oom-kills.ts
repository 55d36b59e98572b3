// OOM kills as they happen: counted for metrics, kept for who asks about a container, told to who listens.
// Must not know who that is, nor how a kill is found.
import type { OomKill, OomKills, OomLimit } from '../lib/oom.ts';

/** Kills of one kind since the start. */
export interface OomCount {
  /** What was killed: a container's main process, or another one of it. */
  readonly process: 'main' | 'child';
  readonly limit: OomLimit;
  readonly count: number;
}

/** The kills of all containers. */
export class OomNews {
  readonly #counts = new Map<string, OomCount>();
  readonly #last = new Map<string, OomKill>();
  readonly #listeners = new Set<(kill: OomKill) => void>();

  /** A kill was found. Listeners hear of it in this turn; they must not throw and not wait. */
  publish(kill: OomKill): void {
    this.#last.set(kill.containerId, kill);
    this.#add('main', kill.limit, kill.main ? 1 : 0);
    this.#add('child', kill.limit, kill.newKills - (kill.main ? 1 : 0));
    for (const listener of this.#listeners) listener(kill);
  }

  /** From now on `listener` is told of each kill; answers what ends that. */
  subscribe(listener: (kill: OomKill) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** What was told of a container, null when nothing was. */
  of(containerId: string): OomKills | null {
    const kill = this.#last.get(containerId);
    return kill ? { kills: kill.kills, limit: kill.limit, limitBytes: kill.limitBytes } : null;
  }

  /** The container is gone. */
  forget(containerId: string): void {
    this.#last.delete(containerId);
  }

  /** All kills by kind. */
  counts(): readonly OomCount[] {
    return [...this.#counts.values()];
  }

  #add(process: OomCount['process'], limit: OomLimit, count: number): void {
    if (count <= 0) return;
    const key = `${process} ${limit}`;
    this.#counts.set(key, { process, limit, count: (this.#counts.get(key)?.count ?? 0) + count });
  }
}
