// Wraps a verb that answers with a stream as a gRPC handler. What is common with unary calls is in rpc.ts.
// Must not queue: the next message is made when the one before has left (ruling 22).
import { type handleServerStreamingCall, type ServerWritableStream, status as grpcStatus } from '@grpc/grpc-js';
import { unavailable } from '../lib/failure.ts';
import { aborted, type HandlerParts, RunningCall, sendable, type ServedCall } from './rpc.ts';
import type { CallContext } from './verbs.ts';

/** One served RPC that answers with a stream. */
export interface StreamEntry extends ServedCall {
  /** It has no end of its own, so the daemon's stop does not wait for it. */
  readonly endless: boolean;
  /** Decodes, calls the verb and encodes: the messages as protobuf bytes. */
  readonly serve: (request: object, context: CallContext) => AsyncIterable<Buffer>;
}

type Call = ServerWritableStream<object, Buffer>;

/** The handler of one streaming RPC for grpc-js. */
export function streamHandler(
  method: string,
  entry: StreamEntry,
  parts: HandlerParts,
): handleServerStreamingCall<object, Buffer> {
  return (call) => void serveStream(new RunningCall(method, entry, { call, ...parts }), { entry, call, parts });
}

interface StreamParts {
  readonly entry: StreamEntry;
  readonly call: Call;
  readonly parts: HandlerParts;
}

/** Never rejects: every end of a call is a status. */
async function serveStream(running: RunningCall, { entry, call, parts }: StreamParts): Promise<void> {
  const { signal, forget } = endOf(running, entry, parts.stopping);
  try {
    await running.admit();
    const context = { ...running.context(), signal };
    const messages = running.within(() => entry.serve(call.request, context))[Symbol.asyncIterator]();
    try {
      await writeAll(call, messages, signal);
    } finally {
      // a stream that ends early frees what it holds; not waited for, since it may wait for its next message
      void messages.return?.().catch(() => undefined);
    }
    running.unwatch();
    call.end();
    running.report({ code: 'OK', message: '' }, null);
  } catch (error) {
    const status = running.fail(error);
    call.emit('error', { code: grpcStatus[status.code], details: status.message });
    running.report(status, error);
  } finally {
    forget();
  }
  running.tellDelivered();
}

/** When a stream must end: its caller is gone, or the daemon stops and the stream has no end of its own. */
function endOf(
  { signal }: RunningCall,
  { endless }: StreamEntry,
  stopping: AbortSignal,
): { signal: AbortSignal; forget: () => void } {
  if (!endless) return { signal, forget: () => undefined };
  const either = new AbortController();
  const gone = (): void => either.abort(signal.reason);
  const stop = (): void => either.abort(unavailable('podwrightd is stopping; connect again'));
  signal.addEventListener('abort', gone, { once: true });
  stopping.addEventListener('abort', stop, { once: true });
  if (signal.aborted) gone();
  if (stopping.aborted) stop();
  return { signal: either.signal, forget: () => stopping.removeEventListener('abort', stop) };
}

async function writeAll(call: Call, messages: AsyncIterator<Buffer>, signal: AbortSignal): Promise<void> {
  const ended = aborted(signal);
  ended.catch(() => undefined); // told by whichever race is on
  for (;;) {
    const next = await Promise.race([messages.next(), ended]);
    if (next.done === true) return;
    await Promise.race([left(call, sendable(next.value)), ended]);
  }
}

/** Resolves when HTTP/2 has taken the message: at the latest when the caller has read most of what came before. */
function left(call: Call, message: Buffer): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  call.write(message, (error?: Error | null) => (error ? reject(error) : resolve()));
  return promise;
}
