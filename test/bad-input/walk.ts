// Every place of a field in every served request, by reflection over the proto, and requests with a value put there.
import { policyOf, type FieldDescriptor } from '../../src/cri/field-check.ts';
import { criEnum, criFields, criMethods, requestType } from '../../src/cri/reflection.ts';
import { runtimeService } from '../../src/cri/runtime-service.ts';
import { imageService } from '../../src/cri/image-service.ts';
import { criService, type ServiceName } from '../../src/proto/cri-codec.ts';
import { allRows, samples } from './rows.ts';
import { type Row, wrong } from './row.ts';

/** A field where it stands in a request. */
export interface Place {
  readonly service: ServiceName;
  readonly method: string;
  /** The message that has the field. */
  readonly type: string;
  readonly field: FieldDescriptor;
  /** Fields from the request down to the message, then the field itself. */
  readonly path: readonly FieldDescriptor[];
}

const tables = { RuntimeService: runtimeService, ImageService: imageService } as const;

/** RPCs that are served, as [service, method]. */
export const served: readonly (readonly [ServiceName, string])[] = (Object.keys(tables) as ServiceName[]).flatMap(
  (service) => criMethods(service).flatMap((method) => (method in tables[service] ? [[service, method] as const] : [])),
);

/** Every place of every field that is looked at, in the order of the proto. */
export function places(): Place[] {
  const found: Place[] = [];
  for (const [service, method] of served) {
    const walk = (type: string, path: readonly FieldDescriptor[]): void => {
      for (const field of criFields(type) ?? []) {
        const { is } = policyOf(type, field.name);
        if (is === 'ignored') continue;
        const here = [...path, field];
        found.push({ service, method, type, field, path: here });
        if (is === 'honoured') walk(field.type, here);
      }
    };
    walk(requestType(service, method), []);
  }
  return found;
}

/** `Message.field`, the name under which its rows stand. */
export const rowName = ({ type, field }: Place): string => `${type}.${field.name}`;

/** Where a place is, as `RPC path.of.the.field`. */
export const whereOf = ({ method, path }: Place): string => `${method} ${path.map(({ name }) => name).join('.')}`;

/** Whether a field has values that only a table can know. A flag has none, an enum's and a message's follow from the proto. */
export const needsRows = ({ field }: Place): boolean =>
  field.type !== 'bool' && criEnum(field.type) === null && criFields(field.type) === null;

/** The rows of a place: those of the tables, and those that follow from the proto. */
export function rowsOf(place: Place): Row[] {
  const { field } = place;
  const own = (allRows[rowName(place)] ?? []).filter(({ at }) => at === undefined || at.test(whereOf(place)));
  if (criEnum(field.type) === null) return own;
  const unknown = [9999, -1].map((value) =>
    wrong(`an unknown number of ${field.type}`, field.repeated ? [value] : value),
  );
  return [...unknown, ...own];
}

type Loose = Record<string, unknown>;

/** Not an instance of some class: those are values as they are. */
const isPlain = (value: unknown): value is Loose =>
  typeof value === 'object' &&
  value !== null &&
  [Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null);

const copy = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(copy)
    : isPlain(value)
      ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, copy(each)]))
      : value;

/** A request with a value put at a place; messages on the way there are made as their samples are. */
export function requestWith(
  base: object,
  { path }: Place,
  { value, beside = {} }: Pick<Row, 'value' | 'beside'>,
): object {
  const request = copy(base) as Loose;
  let at = request;
  for (const field of path.slice(0, -1)) {
    const fresh = copy(samples[field.type] ?? {});
    if (field.map) throw new TypeError(`${field.name} is a map of messages: teach test/bad-input/walk.ts`);
    if (field.repeated) {
      const there = (at[field.name] as unknown[] | undefined)?.slice(0, 1) ?? [];
      const list = there.length === 0 ? [fresh] : there;
      at[field.name] = list;
      at = list[0] as Loose;
    } else at = (at[field.name] ??= fresh) as Loose;
  }
  Object.assign(at, copy(beside));
  const last = path.at(-1)?.name ?? '';
  if (value === undefined) delete at[last];
  else at[last] = copy(value);
  return request;
}

const mark = 'not-utf-8-here';

/** The bytes of a request in which a text, or one of a list or a map's values, is not UTF-8. */
export function brokenText(base: object, place: Place): Buffer {
  const { service, method, field } = place;
  const value = field.map ? { key: mark } : field.repeated ? [mark] : mark;
  const rpc = criService(service)[method];
  if (rpc === undefined) throw new TypeError(`${service} has no method ${method}`);
  const bytes = Buffer.from(rpc.requestSerialize(requestWith(base, place, { value })));
  const at = bytes.indexOf(mark);
  if (at < 0) throw new TypeError(`the text of ${whereOf(place)} is not in its request`);
  bytes.write('\xff\xfe', at, 'latin1');
  return bytes;
}
