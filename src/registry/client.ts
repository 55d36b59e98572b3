// One HTTP exchange with a registry or a token server, over node:http and node:https (undici costs 23 MB
// and 122 ms at import). Must not know tokens, retries or mirrors. Blobs of layers do not come this way.
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import http from 'node:http';
import https from 'node:https';
import { TLSSocket } from 'node:tls';
import { AgentPool } from './agents.ts';
import type { TlsMaterial } from './endpoint.ts';
import { checkReach, lookupWithin, type Reach, reachOf, reachOfOwnHost } from './reach.ts';
import { TransportError, transportError } from './transport-error.ts';

/** A request and what is needed to send it. */
export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | null;
  readonly tls: TlsMaterial;
  readonly proxy: string | null;
  readonly connectMs: number;
  /** Longest answer that is read; a longer one is an error of stage `too-large`. Of a refusal the beginning is read. */
  readonly maxBytes: number;
  /** Where it may go, and so who named its host. */
  readonly reach: Reach;
}

/** An answer of any status, read to its end. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Whether a redirect led to another host on the way, even if a later one led back. */
  readonly strayed: boolean;
  /** Address of who answered; its name where a proxy is between. */
  readonly peer: string;
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
/** What is read of an answer that is no success. */
const longestRefusal = 16 * 1024;

/** A client with keep-alive connections for each set of TLS and proxy settings. */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  const agents = new AgentPool();
  const send: Send = async (request, signal) => {
    signal.throwIfAborted();
    const deadline = AbortSignal.timeout(options.totalMs);
    const both = AbortSignal.any([signal, deadline]);
    let at = request;
    let strayed = false;
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
      if (next === null) return { ...response, strayed };
      strayed ||= new URL(next.url).origin !== new URL(at.url).origin;
      if (hops === mostRedirects)
        throw new TransportError({ stage: 'protocol', host: hostOf(request.url) }, 'too many redirects');
      at = next;
    }
  };
  return { send, close: () => agents.close() };
}

const hostOf = (url: string): string => URL.parse(url)?.host ?? url;

/** What writes is not sent elsewhere because a server says so. */
const isReading = ({ method }: HttpRequest): boolean => method === 'GET' || method === 'HEAD';

/** The request that follows a redirect, or null. Another origin sees no header that could be a secret. */
function redirectOf(request: HttpRequest, response: HttpResponse): HttpRequest | null {
  const location = response.headers.location;
  if (![301, 302, 303, 307, 308].includes(response.status) || location === undefined || !isReading(request))
    return null;
  const from = new URL(request.url);
  const refuse = (why: string): never => {
    throw new TransportError({ stage: 'protocol', host: from.host }, `redirect ${why}`);
  };
  const to = URL.parse(location, from.href);
  if (to === null || !/^https?:$/.test(to.protocol) || to.hostname === '') {
    return refuse('to something that is not a web address');
  }
  if (to.username !== '' || to.password !== '') refuse('with credentials in it');
  if (from.protocol === 'https:' && to.protocol === 'http:') refuse(`from https to plain http at ${shown(to)}`);
  const onOwnHost = reachOfOwnHost(request.reach, response.peer);
  if (to.origin === from.origin) return { ...request, url: to.href, reach: onOwnHost };
  const { accept } = request.headers;
  return {
    ...request,
    url: to.href,
    headers: accept === undefined ? {} : { accept },
    tls: { ...request.tls, cert: null, key: null, skipVerify: request.tls.skipVerify && to.host === from.host },
    // another port of a host is as far away as the host itself was: its name may lead elsewhere by now
    reach: to.hostname === from.hostname ? onOwnHost : reachOf(response.peer),
  };
}

const shown = (url: URL): string => url.host.slice(0, 255);

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
    const status = response.statusCode ?? 0;
    const isRefusal = status < 200 || status > 299;
    const peer = request.proxy === null ? (response.socket.remoteAddress ?? '') : new URL(request.url).hostname;
    const answer = { status, headers: response.headers, strayed: false, peer };
    if (isRefusal) return { ...answer, body: await readBeginning(response, longestRefusal) };
    const coding = response.headers['content-encoding'] ?? 'identity';
    if (coding !== 'identity') {
      throw new TransportError({ stage: 'protocol', host }, 'the answer is compressed, which was not asked for');
    }
    return { ...answer, body: await readBody(response, request.maxBytes, host) };
  } catch (error) {
    outgoing?.destroy();
    throw transportError(error, host);
  }
}

function open(request: HttpRequest, { agents, userAgent, idleMs }: Means, signal: AbortSignal): ClientRequest {
  const url = new URL(request.url);
  const secure = url.protocol === 'https:';
  checkReach(request.reach, url);
  // a proxy resolves names itself
  const lookup = request.proxy === null ? lookupWithin(request.reach) : null;
  const outgoing = (secure ? https : http).request(url, {
    method: request.method,
    agent: agents.get({ secure, tls: request.tls, proxy: request.proxy }),
    headers: { 'user-agent': userAgent, 'accept-encoding': 'identity', ...request.headers },
    signal,
    ...(lookup === null ? {} : { lookup }),
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

/** The body of a refusal, cut off where it gets long: only its beginning is shown. */
async function readBeginning(response: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let left = maxBytes;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk.subarray(0, left));
    left -= chunk.length;
    if (left <= 0) break; // ends the connection too
  }
  return Buffer.concat(chunks);
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
