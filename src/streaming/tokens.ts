// One-use tokens that stand for requests: who has one may connect, once, within its time.
// Must not know what a request is, or make randomness.
import { resourceExhausted } from '../lib/failure.ts';

/** How long a token is good for, in milliseconds. */
export const tokenLifetimeMs = 60_000;
/** Tokens that wait for their client, at most. */
export const mostTokens = 1000;

/** Where time and chance come from. */
export interface TokenSources {
  /** Monotonic milliseconds. */
  readonly elapsedMs: () => number;
  /** An unguessable text that may stand in a URL's path. */
  readonly random: () => string;
}

/** Requests by token. */
export class Tokens<T> {
  readonly #sources: TokenSources;
  /** In the order of their ends, as all live equally long. */
  readonly #waiting = new Map<string, { readonly request: T; readonly until: number }>();

  constructor(sources: TokenSources) {
    this.#sources = sources;
  }

  /** A token for a request. Throws resource-exhausted while too many wait. */
  issue(request: T): string {
    this.#dropOld();
    if (this.#waiting.size >= mostTokens)
      throw resourceExhausted(`${mostTokens} streaming requests wait for their clients already`);
    const token = this.#sources.random();
    this.#waiting.set(token, { request, until: this.#sources.elapsedMs() + tokenLifetimeMs });
    return token;
  }

  /** The request of a token, which is used up by this; null for an unknown, used or old one. */
  redeem(token: string): T | null {
    this.#dropOld();
    const found = this.#waiting.get(token);
    if (!found) return null;
    this.#waiting.delete(token);
    return found.request;
  }

  #dropOld(): void {
    const now = this.#sources.elapsedMs();
    for (const [token, { until }] of this.#waiting) {
      if (until > now) return;
      this.#waiting.delete(token);
    }
  }
}
