// Whether a schema says everything that an older one did, in the same way: then each reads what the other writes.

/** The parts of protobufjs's JSON form that a schema of messages has. */
interface Node {
  readonly nested?: Readonly<Record<string, Node>>;
  readonly fields?: Readonly<Record<string, Field>>;
  readonly oneofs?: Readonly<Record<string, { readonly oneof: readonly string[] }>>;
  readonly values?: Readonly<Record<string, number>>;
}

interface Field {
  readonly type: string;
  readonly id: number;
  readonly rule?: string;
}

const wireOf = ({ type, id, rule = 'one' }: Field): string => `${rule} ${type} = ${id}`;

/** What of the older one is missing, renumbered or of another type; `path` names the place. */
export function incompatibilities(older: Node, newer: Node | undefined, path = ''): string[] {
  if (newer === undefined) return [`${path} is gone`];
  const problems: string[] = [];
  for (const [name, field] of Object.entries(older.fields ?? {})) {
    const now = newer.fields?.[name];
    if (now === undefined) problems.push(`${path}.${name} is gone`);
    else if (wireOf(now) !== wireOf(field))
      problems.push(`${path}.${name} was "${wireOf(field)}" and is "${wireOf(now)}"`);
  }
  const taken = new Map(Object.entries(older.fields ?? {}).map(([name, { id }]) => [id, name]));
  for (const [name, { id }] of Object.entries(newer.fields ?? {})) {
    const before = taken.get(id);
    if (before !== undefined && before !== name) problems.push(`${path}.${name} has the number of ${before}`);
  }
  for (const [name, { oneof }] of Object.entries(older.oneofs ?? {})) {
    const now = newer.oneofs?.[name]?.oneof ?? [];
    for (const one of oneof) if (!now.includes(one)) problems.push(`${path}.${one} is no longer one of ${name}`);
  }
  for (const [name, value] of Object.entries(older.values ?? {})) {
    if (newer.values?.[name] !== value) problems.push(`${path}.${name} was ${value}`);
  }
  for (const [name, nested] of Object.entries(older.nested ?? {}))
    problems.push(...incompatibilities(nested, newer.nested?.[name], path === '' ? name : `${path}.${name}`));
  return problems;
}
