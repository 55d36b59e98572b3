// JSON schemas for kubeconform, made of what an API server says of itself (/openapi/v3): no copy that could be another version's.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A schema, or any part of one. */
type Part = string | number | boolean | null | readonly Part[] | { readonly [key: string]: Part };
type Schema = Readonly<Record<string, Part>>;

/** One document below /openapi/v3: that of a group and version. */
export interface OpenApi {
  readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> };
}

const pointer = '#/components/schemas/';
const kindsKey = 'x-kubernetes-group-version-kind';
/** An object may have what its schema does not name. */
const openKeys = ['additionalProperties', 'x-kubernetes-preserve-unknown-fields', 'x-kubernetes-embedded-resource'];

const isObject = (part: Part | undefined): part is Schema =>
  typeof part === 'object' && part !== null && !Array.isArray(part);

/** References lead into `definitions`; an object has no field but those that are named, as the API server's strict check has it. */
function closed(part: Part): Part {
  if (Array.isArray(part)) return part.map(closed);
  if (!isObject(part)) return part;
  const made: Record<string, Part> = {};
  for (const [key, value] of Object.entries(part))
    made[key] = key === '$ref' && typeof value === 'string' ? value.replace(pointer, '#/definitions/') : closed(value);
  if (isObject(part['properties']) && !openKeys.some((key) => key in part)) made['additionalProperties'] = false;
  return made;
}

/** Names of the schemas that a part refers to. */
function refersTo(part: Part): readonly string[] {
  if (Array.isArray(part)) return part.flatMap(refersTo);
  if (!isObject(part)) return [];
  return Object.entries(part).flatMap(([key, value]) =>
    key === '$ref' && typeof value === 'string' ? [value.slice(pointer.length)] : refersTo(value),
  );
}

/** A schema with all that it refers to, however far. */
function whole(name: string, schemas: Readonly<Record<string, Schema>>): Schema {
  const definitions: Record<string, Part> = {};
  const open = [name];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const schema = schemas[next];
    if (schema === undefined) throw new Error(`schema ${name} refers to ${next}, which is not there`);
    if (next in definitions) continue;
    definitions[next] = closed(schema);
    open.push(...refersTo(schema));
  }
  return { $ref: `#/definitions/${name}`, definitions };
}

/** What kubeconform calls a kind: `deployment-apps-v1`, `pod-v1`. */
const fileName = (kind: string, group: string, version: string): string =>
  [kind, ...(group === '' ? [] : [group.split('.')[0]]), version].join('-').toLowerCase();

/** Schemas of the kinds of a document by kubeconform's names. */
export function schemasOf({ components }: OpenApi): ReadonlyMap<string, Schema> {
  const schemas = components?.schemas ?? {};
  const found = new Map<string, Schema>();
  for (const [name, schema] of Object.entries(schemas)) {
    const kinds = schema[kindsKey];
    // options of requests are of every group; they are no objects
    if (!Array.isArray(kinds) || kinds.length !== 1) continue;
    const [{ group, version, kind }] = kinds as [{ group: string; version: string; kind: string }];
    found.set(fileName(kind, group, version), whole(name, schemas));
  }
  return found;
}

/** Writes schemas of some documents to a directory; answers the location that kubeconform is told. */
export function writeSchemas(dir: string, documents: readonly OpenApi[]): string {
  for (const document of documents)
    for (const [name, schema] of schemasOf(document)) writeFileSync(join(dir, `${name}.json`), JSON.stringify(schema));
  return `${dir}/{{ .ResourceKind }}{{ .KindSuffix }}.json`;
}
