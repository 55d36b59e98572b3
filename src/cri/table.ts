// The form of the two service tables, and what turns a table into handlers for grpc-js.
// Must not know a single RPC.
import type { handleUnaryCall, MethodDefinition, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { criService, type ServiceName } from '../proto/cri-codec.ts';
import { fieldCheck } from './field-check.ts';
import type { HostSecurity } from './field-policy.ts';
import { criFields, requestType } from './reflection.ts';
import { type RpcEntry, type RpcPorts, type Subject, unaryHandler, type WhileRecovering } from './rpc.ts';
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

type KnownKeys<T> = keyof { [K in keyof T as string extends K ? never : K]: T[K] };

/** A row for each RPC that is served; every other RPC of the proto answers UNIMPLEMENTED. */
export type Table<Verbs, Definition> = {
  readonly [K in KnownKeys<Definition>]?: Definition[K] extends {
    readonly requestDeserialize: (bytes: Buffer) => infer Request;
    readonly responseSerialize: (value: infer Response) => Buffer;
  }
    ? Row<Verbs, Request, Response>
    : never;
};

type AnyTable<Verbs> = Readonly<Record<string, Row<Verbs, never, object> | undefined>>;
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
  readonly host: HostSecurity;
}

/**
 * Handlers for the rows of a table; grpc-js answers UNIMPLEMENTED for the methods without one.
 * Throws at start when a request field of a served RPC has no policy.
 */
export function buildService<Verbs>(name: ServiceName, table: object, parts: ServiceParts<Verbs>): Service {
  const definition: Record<string, AnyMethod> = {};
  const handlers: Record<string, handleUnaryCall<object, Buffer>> = {};
  for (const [method, rpc] of Object.entries(criService(name) as Readonly<Record<string, AnyMethod>>)) {
    definition[method] = rpc;
    const row = (table as AnyTable<Verbs>)[method];
    if (row === undefined) continue;
    definition[method] = { ...rpc, responseSerialize: (bytes) => bytes as Buffer };
    const check = fieldCheck(requestType(name, method), criFields, parts.host);
    handlers[method] = unaryHandler(method, entryOf(row, rpc, parts.verbs), { check, ports: parts.ports });
  }
  return { definition, handlers };
}

/** Joins a row with the method's own encoder, so that a failure to encode is caught and counted like any other. */
function entryOf<Verbs>(row: Row<Verbs, never, object>, rpc: AnyMethod, verbs: Verbs): RpcEntry {
  return {
    whileRecovering: row.whileRecovering,
    level: row.level,
    subject: (request) => row.subject(request as never),
    async serve(request, context) {
      const answer = await row.serve(request as never, verbs, context);
      return Buffer.isBuffer(answer) ? answer : rpc.responseSerialize(answer);
    },
  };
}
