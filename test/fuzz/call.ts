// One call of any RPC with any object or bytes, and what came of it.
import { type Client, Metadata, status as grpcStatus, type ServiceError } from '@grpc/grpc-js';
import { criService, type ServiceName } from '../../src/proto/cri-codec.ts';

/** What a call answered. */
export interface Outcome {
  readonly code: keyof typeof grpcStatus;
  readonly details: string;
  /** Null after a failure; the last message of a stream. */
  readonly answer: Readonly<Record<string, unknown>> | null;
  /** Whether the caller gave up: its code says nothing then. */
  readonly gaveUp: boolean;
}

/** What is called, and how long its caller waits. */
export interface Called {
  readonly service: ServiceName;
  readonly method: string;
  readonly deadlineMs: number;
  /** Milliseconds after which the caller cancels; null: never. */
  readonly cancelAfterMs: number | null;
}

/** Calls an RPC with the bytes of its request; every end is an outcome. */
export function call(client: Client, called: Called, bytes: Buffer): Promise<Outcome> {
  const found = criService(called.service)[called.method];
  if (!found) throw new TypeError(`${called.service} has no method ${called.method}`);
  const { path, responseDeserialize, responseStream } = found;
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  let gaveUp = false;
  let answer: Outcome['answer'] = null;
  const end = (error: Partial<ServiceError> | null): void =>
    resolve({
      code: nameOf(error?.code ?? 0),
      details: error?.details ?? '',
      answer: error?.code ? null : answer,
      gaveUp,
    });
  const options = { deadline: Date.now() + called.deadlineMs };
  const decode = (reply: Buffer): object => responseDeserialize(reply);
  const running = responseStream
    ? client
        .makeServerStreamRequest(path, () => bytes, decode, bytes, new Metadata(), options)
        .on('data', (item: object) => void (answer = { ...item }))
        .on('error', end)
        .on('end', () => end(null))
    : client.makeUnaryRequest(
        path,
        () => bytes,
        decode,
        bytes,
        new Metadata(),
        options,
        (error, reply) => {
          answer = reply ? { ...reply } : {};
          end(error);
        },
      );
  if (called.cancelAfterMs !== null) {
    const timer = setTimeout(() => {
      gaveUp = true;
      running.cancel();
    }, called.cancelAfterMs);
    void promise.then(() => clearTimeout(timer));
  }
  return promise;
}

const nameOf = (code: number): Outcome['code'] => (grpcStatus[code] ?? 'UNKNOWN') as Outcome['code'];

/** The bytes of a request. */
export function encode(
  { service, method }: { readonly service: ServiceName; readonly method: string },
  request: object,
): Buffer {
  const found = criService(service)[method];
  if (!found) throw new TypeError(`${service} has no method ${method}`);
  return Buffer.from(found.requestSerialize(request));
}
