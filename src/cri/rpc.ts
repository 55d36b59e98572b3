// Wraps one verb as a gRPC handler: abort signal, recovery gate, field check, log, metrics, status.
// Must not know which verb it is or what its messages hold.
import { type handleUnaryCall, type sendUnaryData, type ServerUnaryCall, status as grpcStatus } from '@grpc/grpc-js';
import { cancelled, deadlineExceeded, Failure, resourceExhausted, unavailable } from '../lib/failure.ts';
import type { FieldCheck } from './field-check.ts';
import { streamOf, whenSent } from './sent.ts';
import { type GrpcCode, type RpcStatus, statusOf } from './status-codes.ts';
import type { CallContext, CallLog } from './verbs.ts';

/** What happens to a call while the daemon still reconciles what a stop or crash left (ruling 12). */
export type WhileRecovering = 'answers' | 'waits' | 'unavailable';

/** Names of the objects a call is about, for the log. Never secrets. */
export type Subject = Readonly<Record<string, string | number>>;

/** What unary and streaming RPCs have in common. */
export interface ServedCall {
  readonly whileRecovering: WhileRecovering;
  /** `debug` for what is asked every second, `info` for what changes something. */
  readonly level: 'debug' | 'info';
  readonly subject: (request: object) => Subject;
}

/** One served RPC, its types erased: decode, verb and encode joined. */
export interface RpcEntry extends ServedCall {
  /** Decodes, calls the verb and encodes: the answer as protobuf bytes. */
  readonly serve: (request: object, context: CallContext) => Promise<Buffer>;
}

/** What the border needs of the house. */
export interface RpcPorts {
  readonly log: CallLog;
  /** Null once recovery is over; before, a promise that resolves then. */
  readonly recovering: () => Promise<void> | null;
  /** Called once per RPC with its outcome. */
  readonly observe: (method: string, code: GrpcCode, seconds: number) => void;
  /** Begins the span of a call, by its path and its caller's metadata ("" for none); null when nobody collects spans. */
  readonly beginCall: (path: string, metadata: (key: string) => string) => CallSpan | null;
  /** A fresh id for the log. */
  readonly newRequestId: () => string;
  /** Monotonic milliseconds. */
  readonly elapsedMs: () => number;
  /** Wall clock in milliseconds, what gRPC deadlines are in. */
  readonly nowMs: () => number;
}

/** The span of one call. */
export interface CallSpan {
  /** Runs work that belongs to the call. */
  readonly run: <T>(work: () => T) => T;
  readonly end: (outcome: {
    readonly code: GrpcCode;
    readonly number: number;
    readonly message: string;
    readonly subject: Subject;
  }) => void;
}

/** Largest message either way: the kubelet's own limit (cri-client `maxMsgSize`). */
export const maxMessageBytes = 16 * 1024 * 1024;

/** What handlers are made with. */
export interface HandlerParts {
  readonly check: FieldCheck;
  readonly ports: RpcPorts;
  /** Fires when the daemon begins to stop: streams without an end of their own end then. */
  readonly stopping: AbortSignal;
}

/** What is needed of a call of either kind. */
export interface AnyCall {
  readonly request: object;
  readonly cancelled: boolean;
  readonly metadata: { readonly get: (key: string) => readonly (string | Buffer)[] };
  getDeadline(): Date | number;
  getPath(): string;
  once(event: 'cancelled', listener: () => void): unknown;
  off(event: 'cancelled', listener: () => void): unknown;
}

/** The handler of one RPC for grpc-js. */
export function unaryHandler(method: string, entry: RpcEntry, parts: HandlerParts): handleUnaryCall<object, Buffer> {
  return (call, callback) =>
    void serveUnary(new RunningCall(method, entry, { call, ...parts }), { entry, call, callback });
}

interface UnaryParts {
  readonly entry: RpcEntry;
  readonly call: ServerUnaryCall<object, Buffer>;
  readonly callback: sendUnaryData<Buffer>;
}

/** Never rejects: every end of a call is an answer. */
async function serveUnary(running: RunningCall, { entry, call, callback }: UnaryParts): Promise<void> {
  try {
    await running.admit();
    const answer = sendable(await running.within(() => entry.serve(call.request, running.context())));
    if (running.signal.aborted) throw running.signal.reason;
    running.unwatch();
    callback(null, answer);
    running.report({ code: 'OK', message: '' }, null);
  } catch (error) {
    const status = running.fail(error);
    callback({ code: grpcStatus[status.code], details: status.message });
    running.report(status, error);
  }
  running.tellDelivered();
}

/** The bytes, unless they are more than a message may have. */
export function sendable(answer: Buffer): Buffer {
  if (answer.byteLength <= maxMessageBytes) return answer;
  throw resourceExhausted(
    `the answer of ${answer.byteLength} bytes is larger than a message may be (${maxMessageBytes})`,
  );
}

/** One call from its arrival to its end. */
export class RunningCall {
  /** Fires with a Failure when the caller is gone or its time is over. */
  readonly signal: AbortSignal;
  readonly #method: string;
  readonly #entry: ServedCall;
  readonly #parts: HandlerParts;
  readonly #call: AnyCall;
  readonly #started: number;
  readonly #requestId: string;
  readonly #delivered: (() => void)[] = [];
  readonly #unwatch: () => void;
  readonly #span: CallSpan | null;

  constructor(method: string, entry: ServedCall, { call, ...parts }: HandlerParts & { readonly call: AnyCall }) {
    this.#method = method;
    this.#entry = entry;
    this.#parts = parts;
    this.#call = call;
    this.#started = parts.ports.elapsedMs();
    this.#requestId = parts.ports.newRequestId();
    this.#span = parts.ports.beginCall(call.getPath(), (key) => this.#metadata(key));
    const { signal, stop } = abortOnEnd(call, method, parts.ports.nowMs);
    this.signal = signal;
    this.#unwatch = stop;
  }

  /** Waits for recovery where the row says so, and checks the request's fields. */
  async admit(): Promise<void> {
    await this.#passGate();
    this.#parts.check(this.#call.request);
  }

  /** What the verb is told of the call. */
  context(): CallContext {
    return {
      signal: this.signal,
      requestId: this.#requestId,
      method: this.#method,
      log: this.#parts.ports.log,
      traceparent: this.#metadata('traceparent'),
      onDelivered: (then) => void this.#delivered.push(then),
    };
  }

  /** Runs the verb: what it begins belongs to this call. */
  within<T>(work: () => T): T {
    return this.#span === null ? work() : this.#span.run(work);
  }

  #metadata(key: string): string {
    return String(this.#call.metadata.get(key)[0] ?? '');
  }

  /** From here on the caller's going away is no news: grpc-js tells of it after a normal end too. */
  unwatch(): void {
    this.#unwatch();
  }

  /** The status of a call that failed; nothing is delivered by it. */
  fail(error: unknown): RpcStatus {
    this.#unwatch();
    this.#delivered.length = 0;
    return statusOf(error);
  }

  /**
   * Runs what waits for a delivered answer, when it has left. The answer of a daemon that dies before, and one that crosses
   * its caller's giving up, reached nobody: the same call shall get it again then.
   */
  tellDelivered(): void {
    if (this.#delivered.length === 0) return;
    const stream = streamOf(this.#call);
    if (stream === null) this.#runDelivered();
    else whenSent(stream, () => this.#runDelivered());
  }

  #runDelivered(): void {
    for (const then of this.#delivered) {
      try {
        then();
      } catch (error) {
        const fields = { requestId: this.#requestId, method: this.#method, error };
        this.#parts.ports.log.error(fields, 'bug after the answer');
      }
    }
  }

  async #passGate(): Promise<void> {
    const { whileRecovering } = this.#entry;
    const recovery = whileRecovering === 'answers' ? null : this.#parts.ports.recovering();
    if (recovery === null) return;
    if (whileRecovering === 'unavailable') throw unavailable('podwrightd is recovering; try again shortly');
    await Promise.race([recovery, aborted(this.signal)]);
  }

  /** The one line of the log, and the one observation, of a call. */
  report({ code, message }: RpcStatus, error: unknown): void {
    const { ports } = this.#parts;
    const seconds = (ports.elapsedMs() - this.#started) / 1000;
    ports.observe(this.#method, code, seconds);
    const subject = this.#entry.subject(this.#call.request);
    this.#span?.end({ code, number: grpcStatus[code], message, subject });
    const fields = {
      requestId: this.#requestId,
      method: this.#method,
      code,
      ms: Math.round(seconds * 1e6) / 1e3,
      ...subject,
    };
    const { log } = ports;
    if (error === null) log[this.#entry.level](fields, 'call served');
    else if (code === 'RESOURCE_EXHAUSTED') log.warn({ ...fields, error }, 'call refused');
    else if (!(error instanceof Failure)) log.error({ ...fields, error, stack: stackOf(error) }, 'call hit a bug');
    else if (error.kind === 'internal') log.error({ ...fields, error, stack: stackOf(error) }, 'call failed');
    else log[this.#entry.level === 'info' ? 'warn' : 'debug']({ ...fields, error }, 'call refused');
  }
}

const stackOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? '') : '');

/** Rejects when the signal fires; never resolves. */
export function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  if (signal.aborted) reject(signal.reason);
  else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  return promise;
}

/**
 * A signal that fires when the caller is gone or its deadline has passed. grpc-js emits `cancelled`
 * for both (and after a normal end, which `stop` keeps out).
 */
function abortOnEnd(call: AnyCall, method: string, nowMs: () => number): { signal: AbortSignal; stop: () => void } {
  const abort = new AbortController();
  const deadline = Number(call.getDeadline());
  // a caller whose deadline passes cancels by itself, a little before ours does, which began when the call arrived
  const transitMs = Math.min(250, (deadline - nowMs()) / 10);
  const end = (): void => {
    const late = deadline - nowMs() <= transitMs;
    abort.abort(
      late
        ? deadlineExceeded(`${method} took longer than its caller allowed`)
        : cancelled(`${method} was cancelled by its caller`),
    );
  };
  call.once('cancelled', end);
  if (call.cancelled) end();
  return { signal: abort.signal, stop: () => void call.off('cancelled', end) };
}
