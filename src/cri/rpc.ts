// Wraps one verb as a gRPC handler: abort signal, recovery gate, field check, log, metrics, status.
// Must not know which verb it is or what its messages hold.
import { type handleUnaryCall, type ServerUnaryCall, type sendUnaryData, status as grpcStatus } from '@grpc/grpc-js';
import { cancelled, deadlineExceeded, Failure, resourceExhausted, unavailable } from '../lib/failure.ts';
import type { FieldCheck } from './field-check.ts';
import { type GrpcCode, type RpcStatus, statusOf } from './status-codes.ts';
import type { CallContext, CallLog } from './verbs.ts';

/** What happens to a call while the daemon still reconciles what a stop or crash left (ruling 12). */
export type WhileRecovering = 'answers' | 'waits' | 'unavailable';

/** Names of the objects a call is about, for the log. Never secrets. */
export type Subject = Readonly<Record<string, string | number>>;

/** One served RPC, its types erased: decode, verb and encode joined. */
export interface RpcEntry {
  readonly whileRecovering: WhileRecovering;
  /** `debug` for what is asked every second, `info` for what changes something. */
  readonly level: 'debug' | 'info';
  readonly subject: (request: object) => Subject;
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
  /** A fresh id for the log. */
  readonly newRequestId: () => string;
  /** Monotonic milliseconds. */
  readonly elapsedMs: () => number;
  /** Wall clock in milliseconds, what gRPC deadlines are in. */
  readonly nowMs: () => number;
}

/** Largest message either way: the kubelet's own limit (cri-client `maxMsgSize`). */
export const maxMessageBytes = 16 * 1024 * 1024;

type Call = ServerUnaryCall<object, Buffer>;

/** The handler of one RPC for grpc-js. */
export function unaryHandler(
  method: string,
  entry: RpcEntry,
  { check, ports }: { readonly check: FieldCheck; readonly ports: RpcPorts },
): handleUnaryCall<object, Buffer> {
  return (call, callback) => {
    void new RunningCall(method, entry, ports).run(call, callback, check);
  };
}

/** One call from its arrival to its answer. */
class RunningCall {
  readonly #method: string;
  readonly #entry: RpcEntry;
  readonly #ports: RpcPorts;
  readonly #started: number;
  readonly #requestId: string;
  readonly #delivered: (() => void)[] = [];

  constructor(method: string, entry: RpcEntry, ports: RpcPorts) {
    this.#method = method;
    this.#entry = entry;
    this.#ports = ports;
    this.#started = ports.elapsedMs();
    this.#requestId = ports.newRequestId();
  }

  /** Never rejects: every end of a call is an answer. */
  async run(call: Call, callback: sendUnaryData<Buffer>, check: FieldCheck): Promise<void> {
    const abort = abortOnEnd(call, this.#method, this.#ports.nowMs);
    try {
      const answer = await this.#serve(call, abort.signal, check);
      if (abort.signal.aborted) throw abort.signal.reason;
      abort.stop();
      callback(null, answer);
      this.#finish(call.request, { code: 'OK' }, null);
    } catch (error) {
      abort.stop();
      this.#delivered.length = 0;
      const status = statusOf(error);
      callback({ code: grpcStatus[status.code], details: status.message });
      this.#finish(call.request, status, error);
    }
    this.#tellDelivered();
  }

  #tellDelivered(): void {
    for (const then of this.#delivered) {
      try {
        then();
      } catch (error) {
        this.#ports.log.error({ requestId: this.#requestId, method: this.#method, error }, 'bug after the answer');
      }
    }
  }

  async #serve(call: Call, signal: AbortSignal, check: FieldCheck): Promise<Buffer> {
    await this.#passGate(signal);
    check(call.request);
    const answer = await this.#entry.serve(call.request, {
      signal,
      requestId: this.#requestId,
      method: this.#method,
      log: this.#ports.log,
      traceparent: String(call.metadata.get('traceparent')[0] ?? ''),
      onDelivered: (then) => void this.#delivered.push(then),
    });
    if (answer.byteLength > maxMessageBytes) {
      throw resourceExhausted(
        `the answer of ${answer.byteLength} bytes is larger than a message may be (${maxMessageBytes})`,
      );
    }
    return answer;
  }

  async #passGate(signal: AbortSignal): Promise<void> {
    const { whileRecovering } = this.#entry;
    const recovery = whileRecovering === 'answers' ? null : this.#ports.recovering();
    if (recovery === null) return;
    if (whileRecovering === 'unavailable') throw unavailable('podwrightd is recovering; try again shortly');
    await Promise.race([recovery, aborted(signal)]);
  }

  #finish(request: object, { code }: Pick<RpcStatus, 'code'>, error: unknown): void {
    const seconds = (this.#ports.elapsedMs() - this.#started) / 1000;
    this.#ports.observe(this.#method, code, seconds);
    const fields = {
      requestId: this.#requestId,
      method: this.#method,
      code,
      ms: Math.round(seconds * 1e6) / 1e3,
      ...this.#entry.subject(request),
    };
    const { log } = this.#ports;
    if (error === null) log[this.#entry.level](fields, 'call served');
    else if (!(error instanceof Failure)) log.error({ ...fields, error, stack: stackOf(error) }, 'call hit a bug');
    else if (error.kind === 'internal') log.error({ ...fields, error, stack: stackOf(error) }, 'call failed');
    else log[this.#entry.level === 'info' ? 'warn' : 'debug']({ ...fields, error }, 'call refused');
  }
}

const stackOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? '') : '');

/** Rejects when the signal fires; never resolves. */
function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  if (signal.aborted) reject(signal.reason);
  else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  return promise;
}

/**
 * A signal that fires when the caller is gone or its deadline has passed. grpc-js emits `cancelled`
 * for both (and after a normal end, which `stop` keeps out).
 */
function abortOnEnd(call: Call, method: string, nowMs: () => number): { signal: AbortSignal; stop: () => void } {
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
