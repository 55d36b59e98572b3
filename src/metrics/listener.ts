// The HTTP side of metrics. Must not know what is measured.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { ListenOptions } from 'node:net';
import { dirname } from 'node:path';
import { failureChain, invalidArgument, unavailable } from '../lib/failure.ts';

/** A listener that is up. */
export interface MetricsServer {
  /** "host:port" in use, or the path of the socket. */
  readonly address: string;
  readonly close: () => Promise<void>;
}

const contentType = 'text/plain; version=0.0.4; charset=utf-8';

/** What is served, by path: each answers the text of a scrape. */
export type Scrapes = Readonly<Record<string, () => Promise<string>>>;

/** What a listener is made with. */
export interface Served {
  readonly scrapes: Scrapes;
  /** Told of what befalls the listener later: it goes on. */
  readonly onError: (error: unknown) => void;
}

/** What the listener does to its socket's file. */
export interface MetricsSocketFiles {
  /** chmod(2). */
  setMode(path: string, mode: number): Promise<void>;
  /** rename(2): replaces what is there. */
  rename(from: string, to: string): Promise<void>;
  /** unlink(2); nothing there is fine. */
  remove(path: string): Promise<void>;
  /** mkdir(2) with its parents, for root alone; one that is there stays as it is. */
  makeDirectory(path: string): Promise<void>;
}

/** Serves scrapes over HTTP at "host:port"; an address that cannot be had is an unavailable Failure. */
export async function serveMetrics(address: string, served: Served): Promise<MetricsServer> {
  const server = await listen(served, { ...parseAddress(address) }, address);
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw unavailable(`metrics address ${address} has no port`);
  return {
    address: bound.family === 'IPv6' ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`,
    close: () => close(server),
  };
}

/**
 * As serveMetrics, on a unix socket that its owner alone may open. It is bound beside its place and renamed into it: it
 * never exists there with another mode, and one that a daemon left is replaced.
 */
export async function serveMetricsSocket(
  path: string,
  served: Served,
  files: MetricsSocketFiles,
): Promise<MetricsServer> {
  const fresh = `${path}.new`;
  if (Buffer.byteLength(fresh) > 107) throw invalidArgument(`metrics socket ${path} is longer than 103 bytes`);
  try {
    await files.makeDirectory(dirname(path));
    await files.remove(fresh);
  } catch (error) {
    throw unavailable(`could not serve metrics on ${path}`, error);
  }
  const server = await listen(served, { path: fresh }, path);
  try {
    await files.setMode(fresh, 0o600);
    await files.rename(fresh, path);
  } catch (error) {
    await close(server);
    throw unavailable(`could not serve metrics on ${path}`, error);
  }
  return {
    address: path,
    async close() {
      await close(server);
      await files.remove(path);
    },
  };
}

async function listen({ scrapes, onError }: Served, at: ListenOptions, name: string): Promise<Server> {
  const server = createServer((request, response) => void answer(request, response, scrapes));
  server.headersTimeout = 5000;
  server.requestTimeout = 10_000;
  server.keepAliveTimeout = 60_000;
  server.maxConnections = 32;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(at, resolve);
  try {
    await promise;
  } catch (error) {
    throw unavailable(`could not serve metrics on ${name}`, error);
  }
  server.removeListener('error', reject);
  // what comes later, an accept(2) that fails for lack of descriptors, must not end the daemon; the next scrape shows it
  server.on('error', (error) => onError(unavailable(`the metrics listener on ${name} has a problem`, error)));
  return server.unref(); // the daemon lives as long as its CRI socket
}

async function close(server: Server): Promise<void> {
  const ended = Promise.withResolvers<void>();
  server.close(() => ended.resolve());
  server.closeAllConnections();
  await ended.promise;
}

function parseAddress(address: string): { host: string; port: number } {
  const [, host, port] = /^(.*):(\d+)$/.exec(address) ?? [];
  if (host === undefined || Number(port) > 65_535) throw invalidArgument(`metrics address ${address} is not host:port`);
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}

/** Never rejects: every end is an HTTP answer. */
async function answer(request: IncomingMessage, response: ServerResponse, scrapes: Scrapes): Promise<void> {
  const respond = (status: number, type: string, body: string): void => {
    response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  const path = request.url?.split('?', 1)[0] ?? '';
  const scrape = Object.hasOwn(scrapes, path) ? scrapes[path] : undefined;
  if (!scrape) return respond(404, 'text/plain', `metrics are at ${Object.keys(scrapes).join(' and ')}\n`);
  if (request.method !== 'GET' && request.method !== 'HEAD') return respond(405, 'text/plain', 'only GET\n');
  try {
    respond(200, contentType, await scrape());
  } catch (error) {
    respond(500, 'text/plain', `could not collect metrics: ${failureChain(error)}\n`);
  }
}
