// Services and message codecs out of a .proto's JSON descriptor, each made when it is first used: a start does not wait
// for what only a call needs. They behave as those of @grpc/proto-loader, which also encodes every descriptor for the
// reflection of gRPC: half of what it takes, and nobody asks for it (docs/adr/0037).
// Must not open sockets or know what a message means.
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';
import protobuf from 'protobufjs/light.js';

/** Bytes to object and back for one message. `deserialize` fills absent fields as the options say. */
export type MessageCodec = Pick<MessageTypeDefinition<object, object>, 'serialize' | 'deserialize'>;

/** A part of a .proto as data. */
interface Descriptor {
  readonly nested?: Readonly<Record<string, Descriptor>>;
  readonly fields?: Readonly<Record<string, { readonly type: string }>>;
  readonly methods?: Readonly<Record<string, MethodJson>>;
}

interface MethodJson {
  readonly requestType: string;
  readonly responseType: string;
  readonly requestStream?: boolean;
  readonly responseStream?: boolean;
}

/** What a .proto defines, by full names such as `runtime.v1.Container`. All throw a TypeError when there is no such thing. */
export interface Reflected {
  message(name: string): MessageCodec;
  /** Names of a message's fields as objects have them, with their types as in the .proto. */
  fields(name: string): Readonly<Record<string, string>>;
  /** In the form grpc-js takes. */
  service(name: string): ServiceDefinition;
}

/**
 * Of a .proto as hack/proto-descriptor.mjs writes it. `options` are those of Type.toObject, which proto-loader takes under
 * the same names.
 */
export function reflected(json: object, options: protobuf.IConversionOptions): Reflected {
  const descriptor = json as Descriptor;
  const root = once(() => rootOf(json as protobuf.INamespace));
  const codec = (type: () => protobuf.Type): MessageCodec => codecOf(once(type), options);
  const messages = new Map<string, MessageCodec>();
  const fieldsOf = (name: string) => {
    const fields = found(descriptor, name)?.fields;
    if (fields === undefined) throw new TypeError(`${name} is not a message`);
    return fields;
  };
  return {
    message(name) {
      const known = messages.get(name);
      if (known) return known;
      fieldsOf(name);
      const made = codec(() => root().lookupType(name));
      messages.set(name, made);
      return made;
    },
    fields: (name) => Object.fromEntries(Object.entries(fieldsOf(name)).map(([field, { type }]) => [field, type])),
    service(name) {
      const methods = found(descriptor, name)?.methods;
      if (methods === undefined) throw new TypeError(`${name} is not a service`);
      // names of types are relative to where the service stands
      const type = (relative: string): MessageCodec => codec(() => root().lookupService(name).lookupType(relative));
      const definition = (method: string, json: MethodJson): MethodDefinition<object, object> => {
        const [request, response] = [type(json.requestType), type(json.responseType)];
        return {
          path: `/${name}/${method}`,
          requestStream: json.requestStream ?? false,
          responseStream: json.responseStream ?? false,
          requestSerialize: request.serialize,
          requestDeserialize: request.deserialize,
          responseSerialize: response.serialize,
          responseDeserialize: response.deserialize,
        };
      };
      return Object.fromEntries(Object.entries(methods).map(([method, json]) => [method, definition(method, json)]));
    },
  };
}

/**
 * As Root.fromJSON, which also resolves the type of every field: types do that by themselves when they are first used. What
 * they inherit, as whether lists are packed, is to be settled before (each package has its own edition; the one given here
 * is for those without).
 */
function rootOf(json: protobuf.INamespace): protobuf.Root {
  const root = new protobuf.Root();
  root.addJSON(json.nested ?? {});
  root._resolveFeaturesRecursive('proto3');
  return root;
}

function codecOf(type: () => protobuf.Type, options: protobuf.IConversionOptions): MessageCodec {
  return {
    serialize(value) {
      // an array would be taken for a message without any field
      if (Array.isArray(value)) throw new TypeError(`an array in place of a message ${type().name}`);
      return type().encode(type().fromObject(value)).finish() as Buffer; // in Node they are always (protobufjs BufferWriter)
    },
    deserialize: (bytes) => type().toObject(type().decode(bytes), options),
  };
}

const found = (descriptor: Descriptor, name: string): Descriptor | undefined =>
  name.split('.').reduce<Descriptor | undefined>((at, part) => at?.nested?.[part], descriptor);

function once<T extends object>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
