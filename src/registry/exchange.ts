// PURE
// The shape that auth and retry wrap: one request to one endpoint.
import type { Endpoint } from './endpoint.ts';
import type { HttpResponse } from './client.ts';

/** What is asked of an endpoint. */
export interface Ask {
  readonly method: 'GET' | 'HEAD';
  /** The whole URL (endpoint.ts repositoryUrl). */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly maxBytes: number;
}

/** Asks an endpoint. Rejects with TransportError, StatusError (not a 2xx) or the signal's reason. */
export type Exchange = (endpoint: Endpoint, ask: Ask, signal: AbortSignal) => Promise<HttpResponse>;
