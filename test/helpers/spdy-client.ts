// A SPDY/3.1 client for tests: streams by their headers, what came on each, and frames of any kind to send.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { constants, createDeflate, type Deflate } from 'node:zlib';
import { headerDictionary } from '../../src/streaming/spdy/dictionary.ts';
import { dataFrame, type Frame, FrameReader, resetFrame, synStreamFrame } from '../../src/streaming/spdy/frames.ts';
import { headerBlock, HeaderInflater } from '../../src/streaming/spdy/headers.ts';
import { until } from './until.ts';

/** The client's end of a stream. */
export interface ClientStream {
  readonly id: number;
  readonly received: Buffer[];
  replied: boolean;
  ended: boolean;
  /** The status of RST_STREAM; 0 for none. */
  reset: number;
}

/** The answer to the upgrade request. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export interface UpgradeWish {
  readonly upgrade?: string;
  /** X-Stream-Protocol-Version; none unless given. */
  readonly protocols?: string;
  readonly method?: string;
  /** Further header lines. */
  readonly fields?: readonly string[];
}

/** Sends a request for an upgrade and answers with the response's head; what follows it is in `rest`. */
export async function requestUpgrade(
  url: string,
  { upgrade = 'SPDY/3.1', protocols, method = 'POST', fields = [] }: UpgradeWish,
): Promise<{ answer: HttpAnswer; socket: Socket; rest: Buffer }> {
  const { hostname, port, pathname } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  const lines = [`${method} ${pathname} HTTP/1.1`, 'Host: x', 'Connection: Upgrade', `Upgrade: ${upgrade}`, ...fields];
  if (protocols !== undefined) lines.push(`X-Stream-Protocol-Version: ${protocols}`);
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  let bytes = Buffer.alloc(0);
  let end = -1;
  socket.on('data', (chunk: Buffer) => void (bytes = Buffer.concat([bytes, chunk])));
  await until('the response', () => (end = bytes.indexOf('\r\n\r\n')) >= 0);
  socket.removeAllListeners('data').pause();
  const [first = '', ...answered] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const headers = answered.map((line) => line.split(/:\s*/, 2) as [string, string]);
  const rest = bytes.subarray(end + 4);
  const map = new Map(headers.map(([name, value]) => [name.toLowerCase(), value]));
  return { answer: { status: Number(first.split(' ')[1]), headers: map, body: rest.toString() }, socket, rest };
}

/** A connection that was upgraded. */
export class SpdyClient {
  readonly socket: Duplex;
  readonly streams = new Map<number, ClientStream>();
  readonly pings: number[] = [];
  goneAway = false;
  closed = false;
  readonly #reader = new FrameReader();
  readonly #inflater = new HeaderInflater();
  readonly #deflate: Deflate = createDeflate({ dictionary: headerDictionary });
  #nextId = 1;
  #tail = Promise.resolve();
  /** Blocks are compressed one after another: they share one state. */
  #opening = Promise.resolve();

  constructor(socket: Duplex, rest: Buffer) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('end', () => socket.end());
    socket.on('close', () => void (this.closed = true));
    this.#receive(rest);
    socket.resume();
  }

  static async connect(url: string, protocols = 'v4.channel.k8s.io'): Promise<SpdyClient> {
    const { answer, socket, rest } = await requestUpgrade(url, { protocols });
    if (answer.status !== 101) throw new Error(`${answer.status}: ${answer.body}`);
    return new SpdyClient(socket, rest);
  }

  /** Opens a stream and waits until it is taken. */
  async open(headers: Readonly<Record<string, string>>): Promise<ClientStream> {
    const stream: ClientStream = { id: this.#nextId, received: [], replied: false, ended: false, reset: 0 };
    this.#nextId += 2;
    this.streams.set(stream.id, stream);
    this.#opening = this.#opening.then(async () => {
      this.socket.write(synStreamFrame(stream.id, await this.compress(headers)));
    });
    await this.#opening;
    await until('the stream is answered', () => stream.replied || stream.reset > 0 || this.closed);
    return stream;
  }

  /** Opens the streams of a command by their types. */
  async openAll<T extends string>(...types: readonly T[]): Promise<Record<T, ClientStream>> {
    const all: Partial<Record<T, ClientStream>> = {};
    for (const type of types) all[type] = await this.open({ streamtype: type });
    return all as Record<T, ClientStream>;
  }

  /** A header block in this connection's compression. */
  async compress(headers: Readonly<Record<string, string>>): Promise<Buffer> {
    const pieces: Buffer[] = [];
    const take = (piece: Buffer): void => void pieces.push(piece);
    this.#deflate.on('data', take);
    this.#deflate.write(headerBlock(new Map(Object.entries(headers))));
    await new Promise<void>((resolve) => this.#deflate.flush(constants.Z_SYNC_FLUSH, () => resolve()));
    this.#deflate.off('data', take);
    return Buffer.concat(pieces);
  }

  send(stream: ClientStream, bytes: string | Buffer, fin = false): void {
    this.socket.write(dataFrame(stream.id, Buffer.from(bytes as string), fin));
  }

  reset(stream: ClientStream): void {
    this.socket.write(resetFrame(stream.id, 5));
  }

  /** What came on a stream so far. */
  text(stream: ClientStream): string {
    return Buffer.concat(stream.received).toString();
  }

  bytes(stream: ClientStream): number {
    return stream.received.reduce((sum, piece) => sum + piece.length, 0);
  }

  #receive(chunk: Buffer): void {
    this.#reader.push(chunk);
    for (let frame = this.#reader.next(); frame; frame = this.#reader.next()) this.#take(frame);
  }

  #take(frame: Frame): void {
    if (frame.kind === 'go-away') this.goneAway = true;
    else if (frame.kind === 'ping') this.pings.push(frame.id);
    else if (frame.kind === 'syn-reply') {
      const { streamId, block } = frame;
      this.#tail = this.#tail.then(async () => {
        await this.#inflater.read(block);
        const stream = this.streams.get(streamId);
        if (stream) stream.replied = true;
      });
    } else if (frame.kind === 'data') {
      const stream = this.streams.get(frame.streamId);
      if (frame.bytes.length > 0) stream?.received.push(frame.bytes);
      if (stream && frame.fin) stream.ended = true;
    } else if (frame.kind === 'reset') {
      const stream = this.streams.get(frame.streamId);
      if (stream) Object.assign(stream, { reset: frame.status, ended: true });
    }
  }
}
