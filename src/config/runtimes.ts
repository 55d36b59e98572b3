// PURE
// The kind of the setting `runtimes`: runtime handlers beside our own, by name.
import { type Kind, path as pathKind, size } from './kinds.ts';

/** An OCI runtime that makes the containers of pods with its handler's name. */
export interface RuntimeHandler {
  /** Absolute path of the program. */
  readonly path: string;
  /** Arguments before the verb. */
  readonly args: readonly string[];
  /** `oci` keeps to the runtime-spec's command line; `runsc` is gVisor. */
  readonly type: 'oci' | 'runsc';
  /** Whether a hybrid host's unified cgroup tree is taken out of its sight. */
  readonly hideUnifiedCgroup: boolean;
  /** Bytes that a container's writable layer may have; 0 for what `container.writable_layer_limit` says. */
  readonly writableLayerLimit: number;
  /** A config.json from which the specs of its containers are made; "" for none. */
  readonly baseRuntimeSpec: string;
}

/** Handlers by name. */
export type RuntimeHandlers = Readonly<Record<string, RuntimeHandler>>;

const keys = ['path', 'args', 'type', 'hide_unified_cgroup', 'writable_layer_limit', 'base_runtime_spec'];

/** A base spec's file: as `container.base_runtime_spec`. */
const baseSpec = pathKind(true);

/** A handler's name is a RuntimeClass's: a DNS label. */
const handlerName = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** What our own core is called: not to be taken. */
const ownName = 'podwright';

type Table = Readonly<Record<string, unknown>>;

const isTable = (value: unknown): value is Table =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'string' && one !== '');

function readHandler(raw: unknown): RuntimeHandler | undefined {
  if (!isTable(raw) || Object.keys(raw).some((key) => !keys.includes(key))) return undefined;
  const { path, args = [], hide_unified_cgroup: hideUnifiedCgroup = false } = raw;
  if (typeof path !== 'string' || !path.startsWith('/') || path.endsWith('/')) return undefined;
  const { type = path.endsWith('/runsc') ? 'runsc' : 'oci' } = raw;
  if (type !== 'oci' && type !== 'runsc') return undefined;
  const writableLayerLimit = size.read(raw.writable_layer_limit ?? 0);
  const baseRuntimeSpec = baseSpec.read(raw.base_runtime_spec ?? '');
  if (!isTexts(args) || typeof hideUnifiedCgroup !== 'boolean') return undefined;
  if (writableLayerLimit === undefined || baseRuntimeSpec === undefined) return undefined;
  return Object.freeze({
    path,
    args: Object.freeze([...args]),
    type,
    hideUnifiedCgroup,
    writableLayerLimit,
    baseRuntimeSpec,
  });
}

function readHandlers(raw: unknown): RuntimeHandlers | undefined {
  if (!isTable(raw)) return undefined;
  const handlers: Record<string, RuntimeHandler> = {};
  for (const [name, value] of Object.entries(raw)) {
    const handler = readHandler(value);
    if (handler === undefined || !handlerName.test(name) || name === ownName) return undefined;
    handlers[name] = handler;
  }
  return Object.freeze(handlers);
}

const quote = (text: string): string => JSON.stringify(text);

function showHandler({
  path,
  args,
  type,
  hideUnifiedCgroup,
  writableLayerLimit,
  baseRuntimeSpec,
}: RuntimeHandler): string {
  const list = args.map(quote).join(', ');
  const limit = writableLayerLimit === 0 ? '' : `, writable_layer_limit = ${size.show(writableLayerLimit)}`;
  const base = baseRuntimeSpec === '' ? '' : `, base_runtime_spec = ${quote(baseRuntimeSpec)}`;
  return `{ path = ${quote(path)}, args = [${list}], type = ${quote(type)}, hide_unified_cgroup = ${hideUnifiedCgroup}${limit}${base} }`;
}

/** Tables by name; the tables of several files are put together. */
export const runtimeHandlers: Kind<RuntimeHandlers> = {
  expected: `tables such as [runtimes.crun] with "path" (absolute), "args" (strings), "type" ("oci" or "runsc"), "hide_unified_cgroup" (true or false), "writable_layer_limit" (a size) and "base_runtime_spec" (an absolute path), under names of lower-case letters, digits and dashes other than "${ownName}"`,
  read: readHandlers,
  readText: () => undefined,
  show: (handlers) => {
    const shown = Object.entries(handlers).map(([name, handler]) => `${quote(name)} = ${showHandler(handler)}`);
    return shown.length === 0 ? '{}' : `{ ${shown.join(', ')} }`;
  },
  combine: (values) => Object.freeze(Object.assign({}, ...values) as RuntimeHandlers),
  jsonSchema: {
    type: 'object',
    additionalProperties: {
      type: 'object',
      required: ['path'],
      additionalProperties: false,
      properties: {
        path: { type: 'string', pattern: '^/' },
        args: { type: 'array', items: { type: 'string' } },
        type: { enum: ['oci', 'runsc'] },
        hide_unified_cgroup: { type: 'boolean' },
        writable_layer_limit: size.jsonSchema,
        base_runtime_spec: baseSpec.jsonSchema,
      },
    },
  },
};
