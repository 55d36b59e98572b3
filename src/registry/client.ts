// One HTTP exchange with a registry or a token server, over node:http and node:https (undici costs 23 MB
// and 122 ms at import). Must not know tokens, retries or mirrors. Blobs of layers do not come this way.
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import http from 'node:http';
import https from 'node:https';
import { TLSSocket } from 'node:tls';
import { AgentPool } from './agents.ts';
import type { TlsMaterial } from './endpoint.ts';
import { TransportError, transportError } from './transport-error.ts';

/** A request and what is needed to send it. */
export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  readonly tls: TlsMaterial;
  readonly proxy: string | null;
  readonly connectMs: number;
  /** Longest answer that is read; a longer one is an error of stage `too-large`. */
  readonly maxBytes: number;
}

/** An answer of any status, read to its end. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Where it came from after redirects. */
  readonly url: string;
}

/** Sends a request. Rejects with TransportError, or with the signal's reason. */
export type Send = (request: HttpRequest, signal: AbortSignal) => Promise<HttpResponse>;

export interface HttpClient {
  readonly send: Send;
  /** Ends idle connections. */
  close(): void;
}

export interface HttpClientOptions {
  /** Sent with every request. */
  readonly userAgent: string;
  /** Time without a byte after which an exchange fails. */
  readonly idleMs: number;
  /** Time that one exchange may take in all. */
  readonly totalMs: number;
}

const mostRedirects = 5;

/** A client with keep-alive connections for each set of TLS and proxy settings. */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  const agents = new AgentPool();
  const send: Send = async (request, signal) => {
    signal.throwIfAborted();
    const deadline = AbortSignal.timeout(options.totalMs);
    const both = AbortSignal.any([signal, deadline]);
    let at = request;
    for (let hops = 0; ; hops += 1) {
      const response = await exchange(at, { agents, userAgent: options.userAgent, idleMs: options.idleMs }, both).catch(
        (error: unknown) => {
          signal.throwIfAborted();
          if (deadline.aborted)
            throw new TransportError(
              { stage: 'timeout', host: hostOf(at.url) },
              `no answer within ${options.totalMs} ms`,
            );
          throw error;
        },
      );
      const next = redirectOf(at, response);
      if (next === null) return response;
      if (hops === mostRedirects)
        throw new TransportError({ stage: 'protocol', host: hostOf(request.url) }, 'too many redirects');
      at = next;
    }
  };
  return { send, close: () => agents.close() };
}

const hostOf = (url: string): string => URL.parse(url)?.host ?? url;

/** The request that follows a redirect, or null. Another origin sees no header that could be a secret. */
function redirectOf(request: HttpRequest, response: HttpResponse): HttpRequest | null {
  const location = response.headers.location;
  if (![301, 302, 303, 307, 308].includes(response.status) || location === undefined || request.method === 'POST')
    return null;
  const from = new URL(request.url);
  const to = URL.parse(location, from.href);
  if (to === null || !/^https?:$/.test(to.protocol)) {
    throw new TransportError({ stage: 'protocol', host: from.host }, 'redirect to something that is not a web address');
  }
  if (from.protocol === 'https:' && to.protocol === 'http:') {
    throw new TransportError({ stage: 'protocol', host: from.host }, `redirect from https to plain http at ${to.host}`);
  }
  if (to.origin === from.origin) return { ...request, url: to.href };
  const { accept } = request.headers;
  return {
    ...request,
    url: to.href,
    headers: accept === undefined ? {} : { accept },
    tls: { ...request.tls, cert: null, key: null, skipVerify: request.tls.skipVerify && to.host === from.host },
  };
}

interface Means {
  readonly agents: AgentPool;
  readonly userAgent: string;
  readonly idleMs: number;
}

async function exchange(request: HttpRequest, means: Means, signal: AbortSignal): Promise<HttpResponse> {
  const { host } = new URL(request.url);
  let outgoing: ClientRequest | undefined;
  try {
    outgoing = open(request, means, signal);
    const response = await answerOf(outgoing, request.connectMs, host);
    const body = await readBody(response, request.maxBytes, host);
    return { status: response.statusCode ?? 0, headers: response.headers, body, url: request.url };
  } catch (error) {
    outgoing?.destroy();
    throw transportError(error, host);
  }
}

function open(request: HttpRequest, { agents, userAgent, idleMs }: Means, signal: AbortSignal): ClientRequest {
  const url = new URL(request.url);
  const secure = url.protocol === 'https:';
  const outgoing = (secure ? https : http).request(url, {
    method: request.method,
    agent: agents.get({ secure, tls: request.tls, proxy: request.proxy }),
    headers: { 'user-agent': userAgent, 'accept-encoding': 'identity', ...request.headers },
    signal,
  });
  outgoing.setTimeout(idleMs, () => {
    outgoing.destroy(new TransportError({ stage: 'timeout', host: url.host }, `no byte for ${idleMs} ms`));
  });
  outgoing.end(request.body ?? undefined);
  return outgoing;
}

async function answerOf(outgoing: ClientRequest, connectMs: number, host: string): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const connecting = setTimeout(() => {
    outgoing.destroy(new TransportError({ stage: 'timeout', host }, `no connection within ${connectMs} ms`));
  }, connectMs);
  outgoing.on('socket', (socket) => {
    if (outgoing.reusedSocket || !socket.connecting) clearTimeout(connecting);
    else socket.once(socket instanceof TLSSocket ? 'secureConnect' : 'connect', () => clearTimeout(connecting));
  });
  outgoing.on('response', resolve);
  outgoing.on('error', reject);
  try {
    return await promise;
  } finally {
    clearTimeout(connecting);
  }
}

async function readBody(response: IncomingMessage, maxBytes: number, host: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes)
      throw new TransportError({ stage: 'too-large', host }, `answer is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}
