// A small promise client of the CRI for tests: every RPC by name, typed by the generated stubs.
import { Client, type ClientReadableStream, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { criService, type ServiceName } from '../../src/proto/cri-codec.ts';
import type { ImageServiceDefinition } from '../../src/proto/generated/cri/runtime/v1/ImageService.ts';
import type { RuntimeServiceDefinition } from '../../src/proto/generated/cri/runtime/v1/RuntimeService.ts';
import { soon } from './until.ts';

type KnownKeys<T> = keyof { [K in keyof T as string extends K ? never : K]: T[K] };

interface AnyMethod<Request, Answer> {
  readonly requestSerialize: (value: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Answer;
}

/** How one call is made. */
export interface CallOptions {
  /** Milliseconds from now; without one the call has no deadline. */
  readonly deadlineMs?: number;
  /** Cancels the call when it fires. */
  readonly signal?: AbortSignal;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** All unary RPCs of one service as promises. Rejections are grpc-js ServiceErrors (`code`, `details`). */
export type Calls<Definition> = {
  readonly [K in KnownKeys<Definition>]: Definition[K] extends AnyMethod<infer Request, infer Answer>
    ? (request?: Request, options?: CallOptions) => Promise<Answer>
    : never;
};

/** Both services over one connection. */
export interface CriClient {
  readonly runtime: Calls<RuntimeServiceDefinition>;
  readonly image: Calls<ImageServiceDefinition>;
  close(): void;
}

const maxMessageBytes = 16 * 1024 * 1024;

/** A client of the daemon at a unix socket; connects with the first call. */
export function criClient(socket: string): CriClient {
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': -1,
    'grpc.initial_reconnect_backoff_ms': 50,
    'grpc.max_reconnect_backoff_ms': 200,
  });
  return {
    runtime: calls(client, 'RuntimeService') as Calls<RuntimeServiceDefinition>,
    image: calls(client, 'ImageService') as Calls<ImageServiceDefinition>,
    close: () => client.close(),
  };
}

type LooseCall = (request?: object, options?: CallOptions) => Promise<object>;

function calls(client: Client, service: ServiceName): Readonly<Record<string, LooseCall>> {
  return Object.fromEntries(
    Object.entries(criService(service)).map(([name, method]): [string, LooseCall] => [
      name,
      (request = {}, options = {}) => {
        const { promise, resolve, reject } = Promise.withResolvers<object>();
        const done = (error: ServiceError | null, answer?: object): void =>
          error ? reject(error) : resolve(answer ?? {});
        const metadata = new Metadata();
        for (const [key, value] of Object.entries(options.metadata ?? {})) metadata.set(key, value);
        const deadline = options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs };
        const { path, requestSerialize, responseDeserialize } = method;
        if (method.responseStream) {
          const stream = client.makeServerStreamRequest(
            path,
            requestSerialize,
            responseDeserialize,
            request,
            metadata,
            deadline,
          );
          stream.on('data', (item: object) => resolve(item));
          stream.on('error', reject);
          stream.on('end', () => resolve({}));
          return promise;
        }
        const call = client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          metadata,
          deadline,
          done,
        );
        options.signal?.addEventListener('abort', () => call.cancel(), { once: true });
        return promise;
      },
    ]),
  );
}

/** What a streaming RPC gives, one message after another. */
export interface CriStream<Answer> extends AsyncIterable<Answer> {
  readonly call: ClientReadableStream<Answer>;
  /** The next `count` messages; fewer only when the stream ends before. Fails when none comes for a minute. */
  take(count: number): Promise<Answer[]>;
  /** Everything up to the end. */
  all(): Promise<Answer[]>;
  /** Cancels the call and closes its connection. */
  close(): void;
}

type StreamNames = Extract<KnownKeys<RuntimeServiceDefinition>, `Stream${string}` | 'GetContainerEvents'>;
type AnswerOf<Name extends StreamNames> =
  RuntimeServiceDefinition[Name] extends AnyMethod<never, infer Answer> ? Answer : never;

/** Opens a stream of RuntimeService over a connection of its own: a stalled one stalls nobody else. */
export function criStream<Name extends StreamNames>(
  socket: string,
  name: Name,
  { deadlineMs, ...request }: { readonly deadlineMs?: number; readonly filter?: object | null } = {},
): CriStream<AnswerOf<Name>> {
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.use_local_subchannel_pool': 1,
  });
  const method = criService('RuntimeService')[name];
  if (method === undefined) throw new TypeError(`no RPC ${name}`);
  const call = client.makeServerStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    request,
    new Metadata(),
    deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs },
  ) as ClientReadableStream<AnswerOf<Name>>;
  call.on('error', () => undefined); // told to who iterates
  const messages = call[Symbol.asyncIterator]() as AsyncIterator<AnswerOf<Name>>;
  const take = async (count: number): Promise<AnswerOf<Name>[]> => {
    const taken: AnswerOf<Name>[] = [];
    while (taken.length < count) {
      const next = await soon(messages.next(), `message ${taken.length + 1} of ${name}`);
      if (next.done === true) break;
      taken.push(next.value);
    }
    return taken;
  };
  return {
    call,
    take,
    async all() {
      const whole: AnswerOf<Name>[] = [];
      for await (const message of { [Symbol.asyncIterator]: () => messages }) whole.push(message);
      return whole;
    },
    [Symbol.asyncIterator]: () => messages,
    close() {
      call.cancel();
      client.close();
    },
  };
}
