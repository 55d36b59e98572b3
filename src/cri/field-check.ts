// PURE
// Enforces field-policy.ts on decoded requests. Must not decide policy.
import { invalidArgument } from '../lib/failure.ts';
import { type FieldPolicy, fieldPolicies, type HostOffers } from './field-policy.ts';

/** One field as the JSON descriptor of the proto has it. */
export interface FieldDescriptor {
  readonly name: string;
  /** Scalar name or the bare name of a message or enum. */
  readonly type: string;
  readonly repeated: boolean;
  /** A map with values of `type`. */
  readonly map: boolean;
}

/** What the check needs of the proto: the fields of a message; null when the type is not a message. */
export type MessageFields = (type: string) => readonly FieldDescriptor[] | null;

/** Fails naming the first field whose value this host has not. */
export type FieldCheck = (request: object) => void;

type Check = (value: unknown, path: string) => void;

/**
 * The check of one request message. Only what can be refused is visited: a request without such
 * fields costs nothing. It is built for the first request: a start does not wait for 43 of them.
 * Throws then for a field without a policy (a unit test sees to it that there is none).
 */
export function fieldCheck(type: string, fields: MessageFields, host: HostOffers): FieldCheck {
  let check: Check | null | undefined;
  return (request) => {
    if (check === undefined) check = messageCheck(type, { fields, host, known: new Map() });
    check?.(request, '');
  };
}

interface Building {
  readonly fields: MessageFields;
  readonly host: HostOffers;
  readonly known: Map<string, Check | null>;
}

function messageCheck(type: string, building: Building): Check | null {
  const known = building.known.get(type);
  if (known !== undefined) return known;
  const members: [string, Check][] = [];
  for (const field of building.fields(type) ?? []) {
    const check = fieldCheckOf(type, field, building);
    if (check !== null) members.push([field.name, check]);
  }
  const check: Check | null =
    members.length === 0
      ? null
      : (value, path) => {
          for (const [name, member] of members) {
            member((value as Record<string, unknown>)[name], path === '' ? name : `${path}.${name}`);
          }
        };
  building.known.set(type, check);
  return check;
}

/** The policy of a field. Throws for one that nobody decided. */
export function policyOf(type: string, field: string): FieldPolicy {
  const policy = fieldPolicies[type]?.[field];
  if (policy === undefined) throw new TypeError(`${type}.${field} has no policy in field-policy.ts`);
  return policy;
}

function fieldCheckOf(type: string, field: FieldDescriptor, building: Building): Check | null {
  const policy = policyOf(type, field.name);
  switch (policy.is) {
    case 'honoured': {
      const inner = messageCheck(field.type, building);
      return inner === null ? null : each(field, inner);
    }
    case 'ignored':
      return null;
    case 'handler':
      return handlerCheck(building.host.handlers ?? []);
  }
}

function each(field: FieldDescriptor, inner: Check): Check {
  if (field.map) {
    return (value, path) => {
      for (const [key, item] of Object.entries(value as object)) inner(item, `${path}[${JSON.stringify(key)}]`);
    };
  }
  if (field.repeated) return (value, path) => (value as unknown[]).forEach((item, i) => inner(item, `${path}[${i}]`));
  return (value, path) => {
    if (value !== null && value !== undefined) inner(value, path);
  };
}

/** Our own handler has two names: none, and podwright. */
function handlerCheck(others: readonly string[]): Check {
  const known = ['', 'podwright', ...others];
  return (value, path) => {
    if (known.includes(String(value))) return;
    const names = known.map((name) => JSON.stringify(name)).join(', ');
    throw invalidArgument(`${path} ${JSON.stringify(value)} is not configured; known: ${names}`);
  };
}
