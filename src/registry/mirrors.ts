// Goes through the endpoints of a registry until one serves.
// Must not retry at one endpoint, and not go on after a failure that is ours (disk, cancelled).
import type { Failure } from '../lib/failure.ts';
import type { Endpoint } from './endpoint.ts';
import { allHostsFailure, exchangeFailure } from './failures.ts';

/** What one walk is for. */
export interface Walk {
  /** "get manifest of registry.k8s.io/pause:3.10". */
  readonly doing: string;
  /** Which endpoints may be asked. */
  readonly may: (endpoint: Endpoint) => boolean;
  readonly signal: AbortSignal;
}

/** The endpoints of one request; those that did not answer are asked last the next time. */
export class EndpointList {
  #order: Endpoint[];
  /** Bases to which no connection was had: what stands in for them may be asked. */
  readonly #unreachable = new Set<string>();

  constructor(endpoints: readonly Endpoint[]) {
    this.#order = [...endpoints];
  }

  /** The result of the first endpoint that gives one. Throws one failure that tells what each said. */
  async first<T>(walk: Walk, attempt: (endpoint: Endpoint) => Promise<T>): Promise<{ endpoint: Endpoint; value: T }> {
    const failures: Failure[] = [];
    for (const endpoint of this.#order.filter(walk.may)) {
      walk.signal.throwIfAborted();
      if (endpoint.insteadOf !== null && !this.#unreachable.has(endpoint.insteadOf)) continue;
      try {
        return { endpoint, value: await attempt(endpoint) };
      } catch (error) {
        walk.signal.throwIfAborted();
        const failure = exchangeFailure(error, walk.doing, endpoint.host);
        if (failure.details.host === undefined) throw failure; // not the host's fault
        if (failure.details.stage === 'tls' || failure.details.stage === 'connect')
          this.#unreachable.add(endpoint.base);
        if (failure.kind === 'registry-unavailable') this.#postpone(endpoint);
        failures.push(failure);
      }
    }
    throw allHostsFailure(failures, walk.doing);
  }

  #postpone(endpoint: Endpoint): void {
    this.#order = [...this.#order.filter((e) => e !== endpoint), endpoint];
  }
}
