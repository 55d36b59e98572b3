// The daemon's socket as typed calls. Must not print, exit, or read anything but the socket.
import {
  type CallOptions,
  Client as GrpcClient,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { Failure, type FailureKind, unavailable } from '../lib/failure.ts';
import { adminServiceDefinition } from '../proto/admin-codec.ts';
import { criService } from '../proto/cri-codec.ts';
import type { AdminDefinition } from '../proto/generated/admin/podwright/v1/Admin.ts';
import type { ImageServiceDefinition } from '../proto/generated/cri/runtime/v1/ImageService.ts';
import type { RuntimeServiceDefinition } from '../proto/generated/cri/runtime/v1/RuntimeService.ts';

/** The methods that the command line tool calls, by name. */
interface Methods {
  readonly Version: RuntimeServiceDefinition['Version'];
  readonly Status: RuntimeServiceDefinition['Status'];
  readonly ListPodSandbox: RuntimeServiceDefinition['ListPodSandbox'];
  readonly PodSandboxStatus: RuntimeServiceDefinition['PodSandboxStatus'];
  readonly ListContainers: RuntimeServiceDefinition['ListContainers'];
  readonly RunPodSandbox: RuntimeServiceDefinition['RunPodSandbox'];
  readonly StopPodSandbox: RuntimeServiceDefinition['StopPodSandbox'];
  readonly RemovePodSandbox: RuntimeServiceDefinition['RemovePodSandbox'];
  readonly CreateContainer: RuntimeServiceDefinition['CreateContainer'];
  readonly StartContainer: RuntimeServiceDefinition['StartContainer'];
  readonly StopContainer: RuntimeServiceDefinition['StopContainer'];
  readonly ExecSync: RuntimeServiceDefinition['ExecSync'];
  readonly RemoveImage: ImageServiceDefinition['RemoveImage'];
  readonly CheckpointContainer: RuntimeServiceDefinition['CheckpointContainer'];
  readonly Exec: RuntimeServiceDefinition['Exec'];
  readonly Attach: RuntimeServiceDefinition['Attach'];
  readonly PortForward: RuntimeServiceDefinition['PortForward'];
  readonly ListImages: ImageServiceDefinition['ListImages'];
  readonly Load: AdminDefinition['Load'];
  readonly Pull: AdminDefinition['Pull'];
  readonly Push: AdminDefinition['Push'];
  readonly Pulls: AdminDefinition['Pulls'];
  readonly Save: AdminDefinition['Save'];
  readonly VerifyImages: AdminDefinition['VerifyImages'];
  readonly RepairImages: AdminDefinition['RepairImages'];
  readonly PruneImages: AdminDefinition['PruneImages'];
  readonly ImageUsage: AdminDefinition['ImageUsage'];
  readonly Trace: AdminDefinition['Trace'];
  readonly Inspect: AdminDefinition['Inspect'];
  readonly Doctor: AdminDefinition['Doctor'];
  readonly Shutdown: AdminDefinition['Shutdown'];
}

type Encodes<M extends keyof Methods> = Parameters<Methods[M]['requestSerialize']>[0];
type Decodes<M extends keyof Methods> = ReturnType<Methods[M]['responseDeserialize']>;
type Streaming = 'Load' | 'Pull' | 'Push' | 'Save' | 'VerifyImages' | 'RepairImages' | 'Shutdown';

/** A connection to a daemon. Every failure is a Failure of the kind that the daemon sent. */
export interface Client {
  /** One answer, within half a minute unless another time is given. */
  call<M extends Exclude<keyof Methods, Streaming>>(
    method: M,
    request: Encodes<M>,
    timeoutMs?: number,
  ): Promise<Decodes<M>>;
  /** Answers one by one, without a deadline. */
  stream<M extends Streaming>(method: M, request: Encodes<M>): AsyncIterable<Decodes<M>>;
  close(): void;
}

/** How long one call may take, in milliseconds. */
const callTimeoutMs = 30_000;

type AnyMethod = MethodDefinition<object, object>;

/** Connects when the first call is made. `server` is what failures call the one that should answer there. */
export function connect(socket: string, server = 'podwrightd'): Client {
  const definitions: Record<string, AnyMethod | undefined> = {
    ...criService('RuntimeService'),
    ...criService('ImageService'),
    ...adminServiceDefinition(),
  };
  const grpc = new GrpcClient(`unix:${socket}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': 64 * 2 ** 20,
    'grpc.enable_channelz': 0,
  });
  const methodOf = (name: string): AnyMethod => {
    const method = definitions[name];
    if (method === undefined) throw new TypeError(`no method ${name}`);
    return method;
  };
  return {
    call: <M extends keyof Methods>(name: M, request: Encodes<M>, timeoutMs = callTimeoutMs) => {
      const { path, requestSerialize, responseDeserialize } = methodOf(name);
      const { promise, resolve, reject } = Promise.withResolvers<Decodes<M>>();
      const options: CallOptions = { deadline: Date.now() + timeoutMs };
      const done = (error: ServiceError | null, answer?: object): void =>
        error ? reject(failureOf(error, { socket, server })) : resolve(answer as Decodes<M>);
      // oxlint-disable-next-line max-params -- the signature is gRPC's
      grpc.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, new Metadata(), options, done);
      return promise;
    },
    async *stream<M extends Streaming>(name: M, request: Encodes<M>) {
      const { path, requestSerialize, responseDeserialize } = methodOf(name);
      const call = grpc.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
      try {
        for await (const answer of call) yield answer as Decodes<M>;
      } catch (error) {
        throw failureOf(error as ServiceError, { socket, server });
      } finally {
        call.cancel();
      }
    },
    close: () => grpc.close(),
  };
}

const kinds: Readonly<Record<number, FailureKind>> = {
  [status.CANCELLED]: 'cancelled',
  [status.INVALID_ARGUMENT]: 'invalid-argument',
  [status.DEADLINE_EXCEEDED]: 'deadline-exceeded',
  [status.NOT_FOUND]: 'not-found',
  [status.ALREADY_EXISTS]: 'already-exists',
  [status.PERMISSION_DENIED]: 'permission-denied',
  [status.RESOURCE_EXHAUSTED]: 'resource-exhausted',
  [status.FAILED_PRECONDITION]: 'failed-precondition',
  [status.UNIMPLEMENTED]: 'unimplemented',
};

/** Whether a failure means that nobody answers on the socket at all. */
export const isUnreachable = (error: unknown): boolean =>
  error instanceof Failure && error.details['unreachable'] === true;

interface Place {
  readonly socket: string;
  readonly server: string;
}

function failureOf(error: ServiceError, place: Place): Failure {
  if (error.code === status.UNAVAILABLE) {
    // what grpc-js says when the connection itself failed; a daemon that is there has words of its own
    const unreachable = /No connection established|ENOENT|ECONNREFUSED|EACCES|name resolution/i.test(error.details);
    if (unreachable) return unavailable(reasonFor(error.details, place), undefined, { unreachable });
    return unavailable(error.details);
  }
  return new Failure(kinds[error.code] ?? 'internal', error.details);
}

function reasonFor(details: string, { socket, server }: Place): string {
  if (details.includes('EACCES')) return `no permission to open ${socket}: run this as root`;
  return `${server} is not running at ${socket}`;
}
