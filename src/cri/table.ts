// The form of the two service tables, and what turns a table into handlers for grpc-js.
// Must not know a single RPC.
import type {
  handleServerStreamingCall,
  handleUnaryCall,
  MethodDefinition,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { criService, type ServiceName } from '../proto/cri-codec.ts';
import { strictDecoder } from '../proto/strict-reader.ts';
import { fieldCheck } from './field-check.ts';
import type { HostOffers } from './field-policy.ts';
import { refusingMalformed, safeSubject } from './malformed.ts';
import { criFields, requestType } from './reflection.ts';
import { type RpcEntry, type RpcPorts, type Subject, unaryHandler, type WhileRecovering } from './rpc.ts';
import { type StreamEntry, streamHandler } from './rpc-stream.ts';
import type { CallContext } from './verbs.ts';

/** One served RPC: how its request becomes a verb's input and the verb's output its answer. */
export interface Row<Verbs, Request, Response> {
  readonly whileRecovering: WhileRecovering;
  readonly level: 'debug' | 'info';
  /** Names for the log. Never secrets. */
  readonly subject: (request: Request) => Subject;
  /** Decode, verb, encode. A Buffer is an answer that is encoded already. */
  readonly serve: (request: Request, verbs: Verbs, context: CallContext) => Promise<Response | Buffer>;
}

/** One served RPC that answers with a stream of messages, encoded already. */
export interface StreamRow<Verbs, Request> extends Omit<Row<Verbs, Request, never>, 'serve'> {
  /** It ends only with its caller or the daemon. */
  readonly endless: boolean;
  /** Decode, verb, encode. Each message is asked for when the one before has left. */
  readonly stream: (request: Request, verbs: Verbs, context: CallContext) => AsyncIterable<Buffer>;
}

type KnownKeys<T> = keyof { [K in keyof T as string extends K ? never : K]: T[K] };

/** A row for each RPC that is served; every other RPC of the proto answers UNIMPLEMENTED. */
export type Table<Verbs, Definition> = {
  readonly [K in KnownKeys<Definition>]?: Definition[K] extends {
    readonly requestDeserialize: (bytes: Buffer) => infer Request;
    readonly responseSerialize: (value: infer Response) => Buffer;
  }
    ? K extends StreamedKeys
      ? StreamRow<Verbs, Request>
      : Row<Verbs, Request, Response>
    : never;
};

/** The RPCs whose answer is a stream: the generated types do not tell. `buildService` checks them against the proto. */
type StreamedKeys = `Stream${string}` | 'GetContainerEvents';

type AnyRow<Verbs> = Row<Verbs, never, object> | StreamRow<Verbs, never>;
type AnyTable<Verbs> = Readonly<Record<string, AnyRow<Verbs> | undefined>>;
type AnyMethod = MethodDefinition<object, object>;

/** A service as grpc-js takes it. */
export interface Service {
  readonly definition: ServiceDefinition;
  readonly handlers: UntypedServiceImplementation;
}

/** What handlers are made with. */
export interface ServiceParts<Verbs> {
  readonly verbs: Verbs;
  readonly ports: RpcPorts;
  readonly host: HostOffers;
  /** Fires when the daemon begins to stop. */
  readonly stopping: AbortSignal;
}

/**
 * Handlers for the rows of a table; grpc-js answers UNIMPLEMENTED for the methods without one.
 * Throws at start when a row is not of its RPC's kind.
 */
export function buildService<Verbs>(name: ServiceName, table: object, parts: ServiceParts<Verbs>): Service {
  const definition: Record<string, AnyMethod> = {};
  const handlers: Record<string, Handler> = {};
  for (const [method, rpc] of Object.entries(criService(name) as Readonly<Record<string, AnyMethod>>)) {
    definition[method] = rpc;
    const row = (table as AnyTable<Verbs>)[method];
    if (row === undefined) continue;
    if ('stream' in row !== rpc.responseStream) throw new TypeError(`the row of ${method} is not of the RPC's kind`);
    definition[method] = {
      ...rpc,
      requestDeserialize: strictDecoder(rpc.requestDeserialize),
      responseSerialize: (bytes) => bytes as Buffer,
    };
    const check = refusingMalformed(method, fieldCheck(requestType(name, method), criFields, parts.host));
    const made = { check, ports: parts.ports, stopping: parts.stopping };
    handlers[method] =
      'stream' in row
        ? streamHandler(method, streamEntryOf(row, parts.verbs), made)
        : unaryHandler(method, entryOf(row, rpc, parts.verbs), made);
  }
  return { definition, handlers };
}

type Handler = handleUnaryCall<object, Buffer> | handleServerStreamingCall<object, Buffer>;

/** Joins a row with the method's own encoder, so that a failure to encode is caught and counted like any other. */
function entryOf<Verbs>(row: Row<Verbs, never, object>, rpc: AnyMethod, verbs: Verbs): RpcEntry {
  return {
    whileRecovering: row.whileRecovering,
    level: row.level,
    subject: safeSubject(row.subject),
    async serve(request, context) {
      const answer = await row.serve(request as never, verbs, context);
      return Buffer.isBuffer(answer) ? answer : rpc.responseSerialize(answer);
    },
  };
}

const streamEntryOf = <Verbs>(row: StreamRow<Verbs, never>, verbs: Verbs): StreamEntry => ({
  whileRecovering: row.whileRecovering,
  level: row.level,
  endless: row.endless,
  subject: safeSubject(row.subject),
  serve: (request, context) => row.stream(request as never, verbs, context),
});
