// The relay's HTTPS side: takes scrapes with a bearer token, and passes on what podwrightd answers as it comes.
// Must not decide who may: the gatekeeper does, and without its yes nothing is passed on.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { KeyPair } from '../lib/certificate.ts';
import { invalidArgument, unavailable } from '../lib/failure.ts';
import type { Verdict } from './gatekeeper.ts';
import { isServing, passOn } from './upstream.ts';

/** What the relay says of itself. */
export type RelayLog = (level: 'info' | 'warn' | 'error', message: string, error?: unknown) => void;

/** What a server is made with. */
export interface RelayServerOptions {
  /** "host:port", or ":port" for every address. */
  readonly listen: string;
  readonly keyPair: KeyPair;
  readonly metricsSocket: string;
  readonly gatekeeper: { judge(token: string, path: string, signal: AbortSignal): Promise<Verdict> };
  readonly log: RelayLog;
  readonly bounds: typeof scrapeBounds;
}

/** What there is to scrape, and may be asked for. */
const paths: ReadonlySet<string> = new Set(['/metrics', '/metrics/cadvisor']);
/** Probes, without a token: they tell no more than that somebody listens. */
const alive = '/healthz';
const ready = '/readyz';

/** Connections at the same time, at most. */
const mostConnections = 256;
/** Bounds of scrapes. */
export const scrapeBounds = {
  /** At the same time, at most; each costs the daemon a collection. */
  atOnce: 8,
  /** Longest scrape, in milliseconds. */
  scrapeMs: 120_000,
  /** Longest time without a byte of it. */
  stallMs: 20_000,
};
/** Of a request's line and headers, in bytes. */
const maxHeaderBytes = 16 * 1024;

function parseListen(listen: string): { readonly host?: string; readonly port: number } {
  const [, host = '', port = ''] = /^(.*):(\d{1,5})$/.exec(listen) ?? [];
  if (port === '' || Number(port) > 65_535) throw invalidArgument(`listen address ${listen} is not host:port or :port`);
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  return { ...(bare !== '' && { host: bare }), port: Number(port) };
}

/** A server that listens. */
export class RelayServer {
  readonly #options: RelayServerOptions;
  readonly #server: Server;
  #scrapes = 0;

  private constructor(options: RelayServerOptions) {
    this.#options = options;
    const limits = { maxHeaderSize: maxHeaderBytes, handshakeTimeout: 5000 };
    this.#server = createServer({ ...limits, minVersion: 'TLSv1.2', ...options.keyPair });
    this.#server.headersTimeout = 5000;
    this.#server.requestTimeout = 10_000;
    this.#server.keepAliveTimeout = 90_000;
    this.#server.maxConnections = mostConnections;
    this.#server.on('request', (request, response) => void this.#answer(request, response));
  }

  /** Listens. An address that cannot be had is an unavailable Failure. */
  static async listen(options: RelayServerOptions): Promise<RelayServer> {
    const at = parseListen(options.listen);
    const relay = new RelayServer(options);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    relay.#server.once('error', reject);
    relay.#server.listen(at, resolve);
    try {
      await promise;
    } catch (error) {
      throw unavailable(`listen on ${options.listen}`, error);
    }
    relay.#server.on('error', (error) => options.log('error', 'the listener failed', error));
    return relay;
  }

  /** "host:port" in use. */
  get address(): string {
    const bound = this.#server.address();
    if (bound === null || typeof bound === 'string') return '';
    return bound.family === 'IPv6' ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`;
  }

  /** New connections get this certificate. Throws what OpenSSL says of a pair that is none. */
  setKeyPair(keyPair: KeyPair): void {
    this.#server.setSecureContext({ minVersion: 'TLSv1.2', ...keyPair });
  }

  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    await promise;
  }

  /** Never rejects: every end is an answer, or a connection that is cut. */
  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => response.destroy());
    request.resume(); // a body nobody asked for
    try {
      await this.#route(request, response);
    } catch (error) {
      this.#options.log('error', 'a bug: a scrape failed in an unforeseen way', error);
      if (response.headersSent) response.destroy();
      else say(response, { status: 500, text: 'internal error' });
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split('?', 1)[0] ?? '';
    const { metricsSocket, bounds } = this.#options;
    if (request.method !== 'GET' && request.method !== 'HEAD') return say(response, { status: 405, text: 'only GET' });
    if (path === alive) return say(response, { status: 200, text: 'ok' });
    if (path === ready) {
      const serving = await isServing(metricsSocket);
      return serving
        ? say(response, { status: 200, text: 'ok' })
        : say(response, { status: 503, text: 'podwrightd does not answer' });
    }
    if (!paths.has(path)) return say(response, { status: 404, text: `metrics are at ${[...paths].join(' and ')}` });
    const gone = new AbortController();
    response.once('close', () => gone.abort(new Error('the client went away')));
    if (!(await this.#mayPass(request, response, { path, signal: gone.signal }))) return undefined;
    if (this.#scrapes >= bounds.atOnce)
      return say(response, { status: 503, text: 'too many scrapes at the same time', headers: { 'retry-after': '5' } });
    this.#scrapes += 1;
    try {
      const why = await passOn(response, { metricsSocket, path, method: request.method, ...bounds }, gone.signal);
      if (why === null) return undefined;
      this.#options.log('warn', `a scrape of ${path} failed: ${why}`);
      if (response.headersSent) response.destroy();
      else say(response, { status: 503, text: 'podwrightd does not answer' });
    } finally {
      this.#scrapes -= 1;
    }
    return undefined;
  }

  /** Answers whoever may not. */
  async #mayPass(
    request: IncomingMessage,
    response: ServerResponse,
    { path, signal }: { readonly path: string; readonly signal: AbortSignal },
  ): Promise<boolean> {
    const token = /^Bearer +([^\s]+) *$/i.exec(request.headers.authorization ?? '')?.[1];
    const nobody = { 'www-authenticate': 'Bearer realm="podwright metrics"' };
    if (token === undefined) return no(response, { status: 401, text: 'a bearer token is needed', headers: nobody });
    let verdict: Verdict;
    try {
      verdict = await this.#options.gatekeeper.judge(token, path, signal);
    } catch {
      response.destroy(); // the client went away
      return false;
    }
    if (verdict.type === 'allowed') return true;
    if (verdict.type === 'unknown')
      return no(response, { status: 401, text: 'the token is not valid', headers: nobody });
    if (verdict.type === 'denied') return no(response, { status: 403, text: `${verdict.user} may not get ${path}` });
    this.#options.log('warn', `a scrape of ${path} was refused without a decision: ${verdict.why}`);
    return no(response, {
      status: 503,
      text: 'the API server did not say whether this is allowed',
      headers: { 'retry-after': '10' },
    });
  }
}

/** Something to say, with a status and headers of its own. */
interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function no(response: ServerResponse, answer: Answer): false {
  say(response, answer);
  return false;
}

function say(response: ServerResponse, { status, text, headers = {} }: Answer): void {
  const body = `${text.replace(/[^\x20-\x7e]+/g, '?').slice(0, 500)}\n`;
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': body.length,
    'cache-control': 'no-store',
    // whoever got nothing to scrape keeps no connection that others need
    connection: 'close',
    ...headers,
  });
  response.end(body);
}
