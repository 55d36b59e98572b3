// The way to podwrightd: HTTP on its unix socket, passed on as it comes, no faster than the client takes it.
// Must not keep an answer, or wait for anybody for ever.
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { pipeline } from 'node:stream/promises';

/** One scrape. */
export interface Scrape {
  readonly metricsSocket: string;
  readonly path: string;
  readonly method: string;
  /** Longest time, from the request to the last byte, in milliseconds. */
  readonly scrapeMs: number;
  /** Longest time without a byte in either direction. */
  readonly stallMs: number;
}

/** How long a connection to the socket may take, in milliseconds. */
const connectMs = 2000;

/** Whether somebody listens on the socket. */
export async function isServing(metricsSocket: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const probe = connect(metricsSocket);
  probe.setTimeout(connectMs, () => resolve(false));
  probe.once('connect', () => resolve(true));
  probe.once('error', () => resolve(false));
  const serving = await promise;
  probe.destroy();
  return serving;
}

const passedHeaders = ['content-type', 'content-length'] as const;

/** Passes an answer on; answers why it could not be, null when it was. The client may have had a part of it then. */
export async function passOn(response: ServerResponse, scrape: Scrape, gone: AbortSignal): Promise<string | null> {
  const signal = AbortSignal.any([gone, AbortSignal.timeout(scrape.scrapeMs)]);
  try {
    const answer = await ask(scrape, signal);
    const headers = passedHeaders.flatMap((name) => {
      const value = answer.headers[name];
      return value === undefined ? [] : [[name, value] as const];
    });
    response.writeHead(answer.statusCode ?? 502, { ...Object.fromEntries(headers), 'cache-control': 'no-store' });
    await pipeline(answer, response, { signal });
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function ask({ metricsSocket, path, method, stallMs }: Scrape, signal: AbortSignal): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  // a connection of its own: one that was left half read can be given up
  const sent = httpRequest({ socketPath: metricsSocket, path, method, agent: false, signal }, resolve);
  // nothing is read from it either while the client takes nothing
  sent.setTimeout(stallMs, () => sent.destroy(new Error(`no byte went through for ${stallMs} ms`)));
  sent.on('error', reject);
  sent.end();
  return promise;
}
