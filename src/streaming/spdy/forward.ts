// Port-forward over SPDY: for each connection the client opens a pair of streams, data and error, joined by their
// `requestid` header; any number of pairs on one SPDY connection.
import type { Duplex } from 'node:stream';
import type { ForwardClient } from '../forward.ts';
import type { Chunk, Outlet } from '../streams.ts';
import { SpdyConnection } from './connection.ts';
import { resetStatus } from './frames.ts';
import type { Headers } from './headers.ts';
import type { SpdyStream } from './stream.ts';

/** The one version there is. */
export const forwardProtocols = ['portforward.k8s.io'] as const;

/** Streams of one connection, at most: half as many forwarded connections. */
const mostStreams = 1000;

/** One stalled connection may have this much on its way before it holds up the others. */
const mostHeld = { stream: 256 * 1024, all: 512 * 1024 };

/** What a connection for port-forward is made from. */
export interface SpdyForwardOptions {
  readonly wire: Duplex;
  readonly head: Buffer;
  /** How long the other stream of a pair is waited for, in milliseconds. */
  readonly creationTimeoutMs: number;
  readonly onClient: (client: ForwardClient) => void;
  readonly onLost: (why: string) => void;
}

interface HalfPair {
  readonly streams: Map<'data' | 'error', SpdyStream>;
  readonly timer: NodeJS.Timeout;
}

/** The port a stream is for; null when it names none. */
export function portOf(headers: Headers): number | null {
  const text = headers.get('port') ?? '';
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : null;
}

/** Which pair a stream is of. Old clients give no id: their error stream comes right before the data stream. */
export function requestIdOf(headers: Headers, streamId: number): string {
  const id = headers.get('requestid') ?? '';
  if (id !== '') return id;
  return String(headers.get('streamtype') === 'error' ? streamId : streamId - 2);
}

const typeOf = (headers: Headers): 'data' | 'error' | null => {
  const type = headers.get('streamtype');
  return type === 'data' || type === 'error' ? type : null;
};

/** Pairs the streams of a connection. */
export class SpdyForward {
  readonly #connection: SpdyConnection;
  readonly #options: SpdyForwardOptions;
  readonly #half = new Map<string, HalfPair>();

  constructor(options: SpdyForwardOptions) {
    this.#options = options;
    this.#connection = new SpdyConnection(options.wire, {
      mostStreams,
      mostHeld,
      accepts: (headers) => portOf(headers) !== null && typeOf(headers) !== null,
      onStream: (stream) => this.#add(stream),
      onLost: (why) => {
        this.#forgetHalves();
        options.onLost(why);
      },
    });
    this.#connection.unshift(options.head);
  }

  /** Ends every stream and the connection. */
  end(): void {
    this.#forgetHalves();
    this.#connection.end();
  }

  #add(stream: SpdyStream): void {
    const id = requestIdOf(stream.headers, stream.id);
    const type = typeOf(stream.headers) ?? 'error';
    const pair = this.#half.get(id) ?? this.#begin(id);
    if (pair.streams.has(type)) {
      pair.streams
        .get('error')
        ?.writeText(`error processing stream for request ${id}: ${type} stream already assigned`);
      stream.reset(resetStatus.protocolError);
      return;
    }
    pair.streams.set(type, stream);
    stream.onReset(() => this.#giveUp(id, pair));
    const [data, error] = [pair.streams.get('data'), pair.streams.get('error')];
    if (!data || !error) return;
    clearTimeout(pair.timer);
    this.#half.delete(id);
    this.#options.onClient(new SpdyForwardClient(data, error));
  }

  #begin(id: string): HalfPair {
    const timer = setTimeout(() => {
      this.#half.delete(id);
      for (const stream of pair.streams.values()) {
        if (typeOf(stream.headers) === 'error') stream.writeText(`request ${id}: timed out waiting for streams`);
        stream.end();
        stream.reset();
      }
    }, this.#options.creationTimeoutMs).unref();
    const pair: HalfPair = { streams: new Map(), timer };
    this.#half.set(id, pair);
    return pair;
  }

  /** A half pair of which the client has reset a stream will never be one. */
  #giveUp(id: string, pair: HalfPair): void {
    if (this.#half.get(id) !== pair) return;
    clearTimeout(pair.timer);
    this.#half.delete(id);
    for (const stream of pair.streams.values()) stream.reset();
  }

  #forgetHalves(): void {
    for (const { timer } of this.#half.values()) clearTimeout(timer);
    this.#half.clear();
  }
}

class SpdyForwardClient implements ForwardClient {
  readonly halfCloses = true;
  readonly port: number;
  readonly inlet: SpdyStream;
  readonly outlet: Outlet;
  readonly #error: SpdyStream;

  constructor(data: SpdyStream, error: SpdyStream) {
    this.port = portOf(data.headers) ?? 0;
    this.inlet = data;
    this.#error = error;
    this.outlet = {
      write: (chunk: Chunk, flushed) => data.write(chunk, flushed),
      end: () => {
        data.end();
        error.end();
      },
    };
  }

  onCut(then: () => void): void {
    this.inlet.onReset(then);
  }

  fail(message: string): void {
    this.#error.writeText(message);
    this.#error.end();
    this.close();
  }

  close(): void {
    this.outlet.end();
    this.inlet.reset();
    this.#error.reset();
  }
}
