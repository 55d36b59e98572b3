// A plugin inside a test: the other end of the protocol, with nothing of its own but what a test says.
import type { Duplex } from 'node:stream';
import { connections, encodeMux, MuxDecoder } from '../../src/nri/mux.ts';
import { encodeTtrpc, messageTypes, TtrpcDecoder, type TtrpcMessage } from '../../src/nri/ttrpc.ts';
import { eventNumbers } from '../../src/nri/wire.ts';
import { decodeNri, encodeNri } from '../../src/proto/nri-codec.ts';
import { until } from './until.ts';

/** An answer that is an error of ttrpc. */
export class Refused {
  readonly code: number;
  readonly message: string;

  constructor(code: number, message: string) {
    this.code = code;
    this.message = message;
  }
}

type Request = Readonly<Record<string, unknown>>;
type Answer = object | Refused | Promise<object | Refused>;

/** What it does when it is called; a method that is not here is answered with an empty message. */
export type Handlers = Readonly<Record<string, (request: Request) => Answer>>;

/** The name of an answer's message. */
const answerOf = (method: string): string =>
  ['StateChange', 'Shutdown'].includes(method) ? 'Empty' : `${method}Response`;
const requestOf = (method: string): string => {
  if (method === 'Shutdown') return 'Empty';
  return method === 'StateChange' ? 'StateChangeEvent' : `${method}Request`;
};

/** The mask of some events. */
export const mask = (...events: (keyof typeof eventNumbers)[]): number =>
  events.reduce((all, event) => all | (1 << (eventNumbers[event] - 1)), 0);

/** A call that never is answered. */
export const silence = (): Promise<object> => new Promise(() => undefined);

/** A plugin on one end of a connection. */
export class TestPlugin {
  /** Methods that were called, in order. */
  readonly calls: string[] = [];
  readonly requests: { readonly method: string; readonly request: Request }[] = [];
  readonly socket: Duplex;
  readonly #handlers: Handlers;
  readonly #mux = new MuxDecoder();
  readonly #asked = new TtrpcDecoder();
  readonly #answers = new TtrpcDecoder();
  readonly #pending = new Map<number, (message: Buffer) => void>();
  #stream = 1;
  #closed = false;

  constructor(socket: Duplex, handlers: Handlers = {}) {
    this.socket = socket;
    this.#handlers = handlers;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('close', () => void (this.#closed = true));
    socket.on('end', () => void (this.#closed = true));
    socket.on('error', () => void (this.#closed = true));
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Waits until the runtime has ended the connection. */
  ended(): Promise<boolean> {
    return until('the connection is ended', () => this.#closed);
  }

  /** Sends bytes as they are. */
  raw(bytes: Buffer): void {
    this.socket.write(bytes);
  }

  /** Calls the runtime; the answer's status and message. */
  async call(
    method: string,
    request: object,
    answer: string,
  ): Promise<{ code: number; message: string; body: Request }> {
    const stream = this.#stream;
    this.#stream += 2;
    const data = encodeNri('ttrpc.Request', {
      service: 'nri.pkg.api.v1alpha1.Runtime',
      method,
      payload: encodeNri(`${method}Request`, request),
    });
    const { promise, resolve } = Promise.withResolvers<Buffer>();
    this.#pending.set(stream, resolve);
    this.#send(connections.runtime, { stream, type: messageTypes.request, flags: 0, data });
    const { status, payload } = decodeNri('ttrpc.Response', await promise) as {
      status: { code: number; message: string } | null;
      payload: Buffer;
    };
    return { code: status?.code ?? 0, message: status?.message ?? '', body: decodeNri(answer, payload) as Request };
  }

  register(pluginName: string, pluginIdx: string) {
    return this.call('RegisterPlugin', { pluginName, pluginIdx, NRIVersion: 'test' }, 'Empty');
  }

  #send(connection: number, message: TtrpcMessage): void {
    for (const part of encodeMux(connection, encodeTtrpc(message))) this.socket.write(part);
  }

  #take(chunk: Buffer): void {
    for (const { connection, payload } of this.#mux.push(chunk)) {
      if (connection === connections.plugin) for (const message of this.#asked.push(payload)) void this.#serve(message);
      else for (const { stream, data } of this.#answers.push(payload)) this.#pending.get(stream)?.(data);
    }
  }

  async #serve({ stream, data }: TtrpcMessage): Promise<void> {
    const { method, payload } = decodeNri('ttrpc.Request', data) as { method: string; payload: Buffer };
    const request = decodeNri(requestOf(method), payload) as Request;
    this.calls.push(method);
    this.requests.push({ method, request });
    const answer = await (this.#handlers[method]?.(request) ?? {});
    const response =
      answer instanceof Refused
        ? { status: { code: answer.code, message: answer.message } }
        : { payload: encodeNri(answerOf(method), answer) };
    const bytes = encodeNri('ttrpc.Response', response);
    this.#send(connections.plugin, { stream, type: messageTypes.response, flags: 0, data: bytes });
  }
}
