// PURE
// The shape that auth and retry wrap: one request to one endpoint.
import type { Endpoint } from './endpoint.ts';
import type { HttpResponse } from './client.ts';

/** What is asked of an endpoint. */
export interface Ask {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT';
  /** The whole URL (endpoint.ts repositoryUrl). */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Of a POST or PUT; left out for none. */
  readonly body?: Uint8Array;
  readonly maxBytes: number;
}

/** Asks an endpoint. Rejects with TransportError, StatusError (not a 2xx) or the signal's reason. */
export type Exchange = (endpoint: Endpoint, ask: Ask, signal: AbortSignal) => Promise<HttpResponse>;
