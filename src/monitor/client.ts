// One connection to one monitor: requests with ids, answers, pushed events.
import { connect, type Socket } from 'node:net';
import { Failure, type FailureKind, cancelled, deadlineExceeded, internal, unavailable } from '../lib/failure.ts';
import { whenSilentFor } from '../lib/waiting.ts';
import { decodeFrame, encodeFrame, type FrameObject, type ReceivedFrame } from '../proto/monitor-codec.ts';
import { blame } from './blame.ts';
import { FrameReader, frameBytes, maxFrameBytes } from './frames.ts';

type ReceivedResponse = NonNullable<ReceivedFrame['response']>;
type MonitorFailure = NonNullable<ReceivedResponse['failure']>;
type RequestObject = NonNullable<FrameObject['request']>;

/** A request without its id: exactly one member set. */
export type MonitorCall = Omit<RequestObject, 'id' | 'call'>;
/** A received answer: the member named as the request's kind is set. */
export type MonitorReply = Omit<ReceivedResponse, 'id' | 'failure'>;
/** A pushed event. */
export type MonitorEvent = NonNullable<ReceivedFrame['event']>;

/** What a connection tells its owner. */
export interface ConnectionHandlers {
  readonly onEvent: (event: MonitorEvent) => void;
  readonly onClose: () => void;
}

const kinds: Readonly<Record<string, FailureKind>> = {
  INVALID: 'invalid-argument',
  NOT_FOUND: 'not-found',
  FAILED_PRECONDITION: 'failed-precondition',
  DEADLINE_EXCEEDED: 'deadline-exceeded',
  UNSUPPORTED: 'unimplemented',
  RESOURCE_EXHAUSTED: 'resource-exhausted',
  IMAGE_VOLUME: 'image-volume-mount-failed',
};

/** A monitor's failure in the house's terms; stage, object and errno stay as details. */
export function fromMonitor(failure: MonitorFailure): Failure {
  const { kind, operation, syscall, errno, object, detail } = failure;
  const message = detail === '' ? [operation, syscall, object].filter((s) => s !== '').join(': ') : detail;
  return new Failure(kinds[kind] ?? blame(failure), message, { details: { operation, syscall, errno, object } });
}

/** Why a call is not waited for any more; `AbortSignal.timeout` is a deadline that has passed. */
export function abandonedBy({ reason }: AbortSignal): Failure {
  if (reason instanceof Failure) return reason;
  const late = reason instanceof Error && reason.name === 'TimeoutError';
  return (late ? deadlineExceeded : cancelled)('call to the monitor', reason);
}

interface Waiting {
  readonly resolve: (reply: MonitorReply) => void;
  readonly reject: (error: Error) => void;
}

/** A live connection. All methods are safe after it closed: they reject with `unavailable`. */
export class MonitorConnection {
  readonly #socket: Socket;
  readonly #handlers: ConnectionHandlers;
  readonly #waiting = new Map<string, Waiting>();
  readonly #reader = new FrameReader();
  #nextId = 1;
  #closed = false;

  private constructor(socket: Socket, handlers: ConnectionHandlers) {
    this.#socket = socket;
    this.#handlers = handlers;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', () => socket.destroy()); // 'close' follows and tells everybody
    socket.on('close', () => this.#end());
  }

  /** Connects to the monitor's socket. Rejects with `unavailable` when nobody listens or nobody answers in time. */
  static async open(path: string, timeoutMs: number, handlers: ConnectionHandlers): Promise<MonitorConnection> {
    const socket = connect(path);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const heard = whenSilentFor(timeoutMs, () => reject(new Error(`no connection within ${timeoutMs} ms`)));
    socket.once('connect', () => resolve());
    socket.once('error', reject);
    try {
      await promise;
    } catch (error) {
      socket.destroy();
      throw unavailable(`connect to the monitor at ${path}`, error);
    } finally {
      heard();
      socket.removeListener('error', reject);
    }
    return new MonitorConnection(socket, handlers);
  }

  /** Sends one call and waits for its answer. A fired signal abandons the wait, not the call. */
  async call(call: MonitorCall, signal: AbortSignal): Promise<MonitorReply> {
    if (signal.aborted) throw abandonedBy(signal);
    if (this.#closed) throw unavailable('the connection to the monitor is closed');
    const id = String(this.#nextId);
    this.#nextId += 1;
    const body = encodeFrame({ request: { ...call, id } });
    if (body.length > maxFrameBytes) throw internal(`a request of ${body.length} bytes to the monitor is too large`);
    const { promise, resolve, reject } = Promise.withResolvers<MonitorReply>();
    const abandon = (): void => {
      this.#waiting.delete(id);
      reject(abandonedBy(signal));
    };
    signal.addEventListener('abort', abandon, { once: true });
    this.#waiting.set(id, { resolve, reject });
    this.#socket.write(frameBytes(body));
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', abandon);
    }
  }

  /** Ends the connection; waiting calls reject. */
  close(): void {
    this.#socket.destroy();
  }

  get closed(): boolean {
    return this.#closed;
  }

  #receive(chunk: Buffer): void {
    try {
      for (const bytes of this.#reader.push(chunk)) {
        const frame = decodeFrame(bytes);
        if (frame.response) this.#answer(frame.response);
        else if (frame.event) this.#handlers.onEvent(frame.event);
      }
    } catch {
      this.#socket.destroy(); // what it says is no protocol: reconnecting starts clean
    }
  }

  #answer(response: ReceivedResponse): void {
    const waiting = this.#waiting.get(response.id);
    if (!waiting) return; // abandoned
    this.#waiting.delete(response.id);
    if (response.failure) waiting.reject(fromMonitor(response.failure));
    else waiting.resolve(response);
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { reject } of this.#waiting.values()) reject(unavailable('the monitor closed the connection'));
    this.#waiting.clear();
    this.#handlers.onClose();
  }
}
