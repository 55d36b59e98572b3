// Messages of NRI plugins (proto/nri) to typed objects and back, and those that ttrpc puts around them.
// Must not frame (src/nri/mux.ts and ttrpc.ts do) or know what a call means.
import nri from './generated/nri.json' with { type: 'json' };
import ttrpc from './generated/ttrpc.json' with { type: 'json' };
import { type MessageCodec, reflected } from './reflected.ts';

// Must match the flags of proto-loader-gen-types in hack/proto.sh.
const options = { longs: String, enums: String, defaults: true, oneofs: true } as const;

const [own, ttrpcs] = [reflected(nri, options), reflected(ttrpc, options)];

const codec = (name: string): MessageCodec =>
  name.startsWith('ttrpc.') ? ttrpcs.message(name) : own.message(ownName(name));
const ownName = (name: string): string => `nri.pkg.api.v1alpha1.${name}`;

/** A message's bytes; `name` as in api.proto, or `ttrpc.Request` and so on. 64-bit fields take decimal strings. */
export const encodeNri = (name: string, value: object): Buffer => codec(name).serialize(value);

/**
 * A message of bytes. 64-bit fields are decimal strings, enums names (numbers where unknown), absent messages null.
 * Throws on bytes that are no such message.
 */
export const decodeNri = (name: string, bytes: Uint8Array): object => codec(name).deserialize(bytes as Buffer);

/** Names of a message's fields as objects have them, with their types as in api.proto. */
export const nriFields = (name: string): Readonly<Record<string, string>> => own.fields(ownName(name));
