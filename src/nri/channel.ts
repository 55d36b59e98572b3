// One plugin's connection: calls to it and calls from it, over one multiplexed socket. Must not know what a call means.
import type { Duplex } from 'node:stream';
import { decodeNri, encodeNri } from '../proto/nri-codec.ts';
import type { Request__Output } from '../proto/generated/ttrpc/ttrpc/Request.ts';
import type { Response__Output } from '../proto/generated/ttrpc/ttrpc/Response.ts';
import { connections, encodeMux, MuxDecoder } from './mux.ts';
import { codes, encodeTtrpc, messageTypes, TtrpcDecoder, type TtrpcMessage } from './ttrpc.ts';

/** What became of a call that brought no answer. */
export type Trouble = 'closed' | 'timeout' | 'status';

/** A call without a good answer: the plugin's error, or none at all. */
export class CallFailed extends Error {
  readonly trouble: Trouble;
  /** gRPC code of a `status`. */
  readonly code: number;

  constructor(trouble: Trouble, message: string, code: number = codes.unknown) {
    super(message);
    this.trouble = trouble;
    this.code = code;
  }
}

/** An error with which a call of the plugin is answered. */
export class Refusal extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export interface ChannelPorts {
  /** Serves a call of the plugin; throws a Refusal. */
  readonly serve: (method: string, payload: Buffer) => Promise<Buffer>;
  /** Called once, with why in a few words. */
  readonly onClose: (why: string) => void;
}

export const services = { plugin: 'nri.pkg.api.v1alpha1.Plugin', runtime: 'nri.pkg.api.v1alpha1.Runtime' } as const;

/** Calls of one plugin that are served at a time, and bytes that it may leave unread. */
const bounds = { served: 16, unreadBytes: 16 * 1024 * 1024 } as const;

interface Pending {
  readonly resolve: (payload: Buffer) => void;
  readonly reject: (error: CallFailed) => void;
}

/** The two ends of ttrpc on one socket: a client of the plugin's service, a server of the runtime's. */
export class Channel {
  readonly #socket: Duplex;
  readonly #ports: ChannelPorts;
  readonly #mux = new MuxDecoder();
  readonly #answers = new TtrpcDecoder();
  readonly #requests = new TtrpcDecoder();
  readonly #pending = new Map<number, Pending>();
  #nextStream = 1;
  #lastServed = 0;
  #serving = 0;
  #closed: string | null = null;

  constructor(socket: Duplex, ports: ChannelPorts) {
    this.#socket = socket;
    this.#ports = ports;
    socket.on('data', (chunk: Buffer) => this.#guarded(() => this.#take(chunk)));
    socket.on('error', (error) => this.close(error.message));
    socket.on('close', () => this.close('the connection was closed'));
    socket.on('end', () => this.close('the plugin closed the connection'));
  }

  get closed(): boolean {
    return this.#closed !== null;
  }

  /** Ends the connection; calls under way fail. */
  close(why: string): void {
    if (this.#closed !== null) return;
    this.#closed = why;
    this.#socket.destroy();
    for (const { reject } of this.#pending.values()) reject(new CallFailed('closed', why));
    this.#pending.clear();
    this.#ports.onClose(why);
  }

  /** Calls the plugin. Throws CallFailed, or Oversized where the request is too long for a message. */
  async call(method: string, payload: Buffer, timeoutMs: number): Promise<Buffer> {
    if (this.#closed !== null) throw new CallFailed('closed', this.#closed);
    const stream = this.#nextStream;
    const request = { service: services.plugin, method, payload, timeoutNano: String(timeoutMs * 1_000_000) };
    const message = this.#message(stream, messageTypes.request, encodeNri('ttrpc.Request', request));
    this.#nextStream += 2;
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    this.#pending.set(stream, { resolve, reject });
    const timer = setTimeout(
      () => reject(new CallFailed('timeout', `it did not answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    this.#write(connections.plugin, message);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#pending.delete(stream);
    }
  }

  #message(stream: number, type: number, data: Buffer): Buffer {
    return encodeTtrpc({ stream, type, flags: 0, data });
  }

  #write(connection: number, message: Buffer): void {
    if (this.#closed !== null) return;
    for (const part of encodeMux(connection, message)) this.#socket.write(part);
    if (this.#socket.writableLength > bounds.unreadBytes) this.close('it does not read what it is sent');
  }

  /** Whatever a plugin sends, it is the connection that ends. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.close(`it sent what is no message: ${(error as Error).message}`);
    }
  }

  #take(chunk: Buffer): void {
    for (const { connection, payload } of this.#mux.push(chunk)) {
      if (this.#closed !== null) return;
      // others are read by nobody: as the reference has it
      if (connection === connections.plugin) for (const m of this.#answers.push(payload)) this.#answered(m);
      else if (connection === connections.runtime) for (const m of this.#requests.push(payload)) this.#asked(m);
    }
  }

  #answered({ stream, type, data }: TtrpcMessage): void {
    const pending = this.#pending.get(stream);
    if (pending === undefined) return; // too late
    if (type !== messageTypes.response) throw new RangeError(`an answer of type ${type}`);
    const { status, payload } = decodeNri('ttrpc.Response', data) as Response__Output;
    if (status === null || status.code === codes.ok) pending.resolve(payload);
    else pending.reject(new CallFailed('status', status.message, status.code));
  }

  #asked({ stream, type, flags, data }: TtrpcMessage): void {
    if (type !== messageTypes.request) throw new RangeError(`a request of type ${type}`);
    if (stream % 2 !== 1 || stream <= this.#lastServed) throw new RangeError(`a request on stream ${stream}`);
    if (flags !== 0) throw new RangeError('a streaming request');
    if (this.#serving >= bounds.served) throw new RangeError(`more than ${bounds.served} requests at a time`);
    this.#lastServed = stream;
    const { service, method, payload } = decodeNri('ttrpc.Request', data) as Request__Output;
    this.#serving += 1;
    const known = service === services.runtime;
    const served = known
      ? this.#ports.serve(method, payload)
      : Promise.reject(new Refusal(codes.unimplemented, `service ${service}`));
    void served
      .then(
        (answer) => this.#reply(stream, { payload: answer }),
        (error: unknown) => {
          const code = error instanceof Refusal ? error.code : codes.unknown;
          this.#reply(stream, { status: { code, message: (error as Error).message } });
        },
      )
      .finally(() => {
        this.#serving -= 1;
      });
  }

  #reply(stream: number, response: object): void {
    const data = encodeNri('ttrpc.Response', response);
    this.#guarded(() => this.#write(connections.runtime, this.#message(stream, messageTypes.response, data)));
  }
}
