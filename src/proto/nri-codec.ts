// Messages of NRI plugins (proto/nri) to typed objects and back, and those that ttrpc puts around them.
// Must not frame (src/nri/mux.ts and ttrpc.ts do) or know what a call means.
import protobuf from 'protobufjs/light.js';
import nri from './generated/nri.json' with { type: 'json' };
import ttrpc from './generated/ttrpc.json' with { type: 'json' };

const descriptors = { nri, ttrpc } as const;
const roots = new Map<string, protobuf.Root>();

/** Made when the first plugin talks: most nodes have none. */
function rootOf(name: keyof typeof descriptors): protobuf.Root {
  const root = roots.get(name) ?? protobuf.Root.fromJSON(descriptors[name] as object as protobuf.INamespace);
  roots.set(name, root);
  return root;
}

// Must match the flags of proto-loader-gen-types in hack/proto.sh.
const toObjectOptions = { longs: String, enums: String, defaults: true, oneofs: true } as const;

const lookup = (name: string): protobuf.Type =>
  name.startsWith('ttrpc.') ? rootOf('ttrpc').lookupType(name) : rootOf('nri').lookupType(`nri.pkg.api.v1alpha1.${name}`);

/** A message's bytes; `name` as in api.proto, or `ttrpc.Request` and so on. 64-bit fields take decimal strings. */
export function encodeNri(name: string, value: object): Buffer {
  const type = lookup(name);
  const bytes = type.encode(type.fromObject(value)).finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * A message of bytes. 64-bit fields are decimal strings, enums names (numbers where unknown), absent messages null.
 * Throws on bytes that are no such message.
 */
export function decodeNri(name: string, bytes: Uint8Array): object {
  const type = lookup(name);
  return type.toObject(type.decode(bytes), toObjectOptions);
}

/** Names of a message's fields as objects have them, with their types as in api.proto. */
export const nriFields = (name: string): Readonly<Record<string, string>> =>
  Object.fromEntries(lookup(name).fieldsArray.map((field) => [field.name, field.type]));
