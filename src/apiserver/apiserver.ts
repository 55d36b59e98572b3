// The API server of Kubernetes as rooms are handed it: one bounded exchange at a time, answered as it came.
// Must not know what is asked for, ask again, or log.

/** One request. */
export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With its query: "/api/v1/nodes/a?limit=1". */
  readonly path: string;
  /** Sent as JSON; null for none. */
  readonly body: object | null;
  /** Of the body; `application/json` unless given, as patches need. */
  readonly contentType?: string;
}

/** What came back: any status, 2xx or not. */
export interface ApiAnswer {
  readonly status: number;
  /** The JSON document; null when there is none, or when an answer that is no success has another form. */
  readonly body: unknown;
  /** What Retry-After says, in milliseconds; null without one. */
  readonly retryAfterMs: number | null;
}

/** The API server, as whoever these credentials are. */
export interface ApiServer {
  /** "https://10.0.0.1:6443", for people. */
  readonly url: string;
  /**
   * One exchange. Rejects with an unavailable Failure when no whole answer came in time (connection, TLS, credentials
   * that cannot be had, an answer that is too large or is not JSON), with the signal's reason when that fired.
   */
  exchange(request: ApiRequest, signal: AbortSignal): Promise<ApiAnswer>;
  /** Ends its connections. */
  close(): void;
}

/** The message of a Status object of the API ("" for anything else), short and printable. */
export function statusMessage(body: unknown): string {
  const { message } = (body ?? {}) as { readonly message?: unknown };
  return typeof message === 'string' ? printable(message, 300) : '';
}

/** Text of somebody else's, cut short, without what a terminal or a log would take for more than text. */
export const printable = (text: string, most: number): string =>
  text
    .slice(0, most)
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim();
