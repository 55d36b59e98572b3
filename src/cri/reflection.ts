// PURE
// The CRI proto as data: which messages have which fields, which RPC takes which request.
// Must not encode or decode.
import type { FieldDescriptor } from './field-check.ts';
import descriptor from '../proto/generated/runtime.json' with { type: 'json' };

interface MessageJson {
  readonly fields?: Readonly<
    Record<string, { readonly type: string; readonly rule?: string; readonly keyType?: string }>
  >;
  readonly nested?: Readonly<Record<string, MessageJson>>;
  readonly values?: Readonly<Record<string, number>>;
  readonly methods?: Readonly<Record<string, { readonly requestType: string; readonly responseType: string }>>;
}

const v1: Readonly<Record<string, MessageJson>> = (descriptor as MessageJson).nested?.runtime?.nested?.v1?.nested ?? {};

/** Fields of a message of runtime.v1 in the proto's order; null when the name is not a message. */
export function criFields(type: string): FieldDescriptor[] | null {
  const fields = v1[type]?.fields;
  if (fields === undefined) return null;
  return Object.entries(fields).map(([name, field]) => ({
    name,
    type: field.type,
    repeated: field.rule === 'repeated',
    map: field.keyType !== undefined,
  }));
}

/** Numbers of an enum of runtime.v1 by name, one inside a message too; null when the name is not an enum. */
export const criEnum = (type: string): Readonly<Record<string, number>> | null =>
  v1[type]?.values ?? Object.values(v1).find(({ nested }) => nested?.[type]?.values)?.nested?.[type]?.values ?? null;

/** Names of the RPCs of a service, in the proto's order. */
export const criMethods = (service: string): string[] => Object.keys(v1[service]?.methods ?? {});

/** Name of the request message of an RPC. */
export function requestType(service: string, method: string): string {
  const found = v1[service]?.methods?.[method];
  if (found === undefined) throw new TypeError(`${service} has no method ${method}`);
  return found.requestType;
}

/** Name of the answer message of an RPC. */
export function responseType(service: string, method: string): string {
  const found = v1[service]?.methods?.[method];
  if (found === undefined) throw new TypeError(`${service} has no method ${method}`);
  return found.responseType;
}

/** The messages that a message holds at any depth, itself first. */
export function messagesWithin(type: string, seen: Set<string> = new Set()): Set<string> {
  const fields = seen.has(type) ? null : criFields(type);
  if (fields === null) return seen;
  seen.add(type);
  for (const field of fields) messagesWithin(field.type, seen);
  return seen;
}

/** Names of all messages of runtime.v1. */
export const criMessages = (): string[] => Object.keys(v1).filter((name) => v1[name]?.fields !== undefined);
