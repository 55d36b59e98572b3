// Exchanges over HTTPS with bounds on everything: time, size of the answer, connections.
// Must not know where credentials come from, or what is asked for.
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import { unavailable } from '../lib/failure.ts';
import { orAborted } from '../lib/waiting.ts';
import type { ApiAnswer, ApiRequest, ApiServer } from './apiserver.ts';

/** Where an API server is, and how one shows who one is. */
export interface ApiAccess {
  /** "https://host:port", perhaps with a path before "/api". */
  readonly url: URL;
  /** TLS settings and headers for the next request; asked anew each time, for tokens and certificates are renewed. */
  readonly options: () => Promise<RequestOptions>;
  /** The server did not take the credentials: the next ones are to be read anew. */
  readonly refused: () => void;
}

/** Bounds of each exchange. */
export interface ApiBounds {
  /** From the request to the last byte of the answer. */
  readonly timeoutMs: number;
  /** Largest answer. */
  readonly maxBytes: number;
  /** Connections at the same time. */
  readonly maxConnections: number;
}

/** An API server behind bounded exchanges. */
export function boundedServer(access: ApiAccess, bounds: ApiBounds, userAgent: string): ApiServer {
  // one of our own only while the access brings none, such as one by a proxy
  const agent = new Agent({ keepAlive: true, keepAliveMsecs: 30_000, maxSockets: bounds.maxConnections });
  const { url } = access;
  return {
    url: url.origin,
    close: () => agent.destroy(),
    async exchange(request, caller) {
      caller.throwIfAborted();
      const signal = AbortSignal.any([caller, AbortSignal.timeout(bounds.timeoutMs)]);
      const doing = `${request.method} ${request.path.split('?', 1)[0]} of ${url.origin}`;
      try {
        const options = await orAborted(access.options(), signal);
        const answer = await once({ agent, url, userAgent, maxBytes: bounds.maxBytes }, { request, options, signal });
        if (answer.status === 401) access.refused();
        return answer;
      } catch (error) {
        caller.throwIfAborted();
        if (isTls(error)) access.refused();
        throw unavailable(doing, signal.aborted ? new Error(`no answer within ${bounds.timeoutMs} ms`) : error);
      }
    },
  };
}

/** A handshake that failed: a certificate of ours or of theirs was renewed perhaps. */
const isTls = (error: unknown): boolean =>
  /^(ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|EPROTO)/.test(
    (error as { readonly code?: string }).code ?? '',
  );

interface Wire {
  readonly agent: Agent;
  readonly url: URL;
  readonly userAgent: string;
  readonly maxBytes: number;
}

interface Asked {
  readonly request: ApiRequest;
  readonly options: RequestOptions;
  readonly signal: AbortSignal;
}

function once({ agent, url, userAgent, maxBytes }: Wire, { request, options, signal }: Asked): Promise<ApiAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<ApiAnswer>();
  const body = request.body === null ? null : Buffer.from(JSON.stringify(request.body));
  const own = {
    accept: 'application/json',
    'user-agent': userAgent,
    ...(body && { 'content-type': request.contentType ?? 'application/json', 'content-length': body.length }),
  };
  const sent = httpsRequest(
    {
      agent,
      ...options,
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port === '' ? 443 : Number(url.port),
      method: request.method,
      path: `${url.pathname.replace(/\/$/, '')}${request.path}`,
      headers: { ...(options.headers as OutgoingHttpHeaders | undefined), ...own },
      signal,
    },
    (answer) => void read(answer, maxBytes).then(resolve, reject),
  );
  sent.on('error', reject);
  sent.end(body ?? undefined);
  return promise;
}

/** The whole answer, which may not be larger than so many bytes. */
async function read(answer: IncomingMessage, maxBytes: number): Promise<ApiAnswer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of answer as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > maxBytes) {
      answer.destroy();
      throw new Error(`its answer is larger than ${maxBytes} bytes`);
    }
    parts.push(part);
  }
  if (!answer.complete) throw new Error('the connection ended before the answer did');
  const status = answer.statusCode ?? 0;
  return {
    status,
    body: parse(Buffer.concat(parts).toString('utf8'), status),
    retryAfterMs: retryAfter(answer.headers['retry-after']),
  };
}

function parse(text: string, status: number): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // a proxy on the way answers in HTML: its status tells enough, unless it claims success
    if (status < 200 || status > 299) return null;
    throw new Error('its answer is not JSON');
  }
}

/** Longest time that a server can have us wait. */
const longestWaitMs = 3_600_000;

/** Seconds, or a date, which is rare enough to count as not said. */
const retryAfter = (value: string | undefined): number | null =>
  value !== undefined && /^\d{1,9}$/.test(value.trim()) ? Math.min(Number(value) * 1000, longestWaitMs) : null;
