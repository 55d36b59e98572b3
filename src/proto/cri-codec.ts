// The CRI services and message codecs, built once from the JSON descriptor of proto/runtime/v1/api.proto.
// Must not open sockets or know what a call means. Options must match hack/proto.sh.
import {
  fromJSON,
  type MessageTypeDefinition,
  type PackageDefinition,
  type ServiceDefinition,
} from '@grpc/proto-loader';
import descriptor from './generated/runtime.json' with { type: 'json' };

/** Bytes to object and back for one message. `deserialize` fills absent fields with their defaults. */
export type MessageCodec = Pick<MessageTypeDefinition<object, object>, 'serialize' | 'deserialize'>;

/** Names of the two services. */
export type ServiceName = 'RuntimeService' | 'ImageService';

// The inferred type of the JSON is narrower in ways that do not unify with the declared one.
const definitions: PackageDefinition = fromJSON(descriptor as object as Parameters<typeof fromJSON>[0], {
  keepCase: true,
  longs: String,
  enums: String,
  defaults: true,
  oneofs: true,
});

/** The service in the form grpc-js takes. */
export function criService(name: ServiceName): ServiceDefinition {
  const found = definitions[`runtime.v1.${name}`];
  if (found === undefined || 'format' in found) throw new TypeError(`runtime.v1.${name} is not a service`);
  return found as ServiceDefinition;
}

/** The codec of one message, such as `Container`. */
export function criMessage(name: string): MessageCodec {
  const found = definitions[`runtime.v1.${name}`];
  if (found === undefined || !('serialize' in found)) throw new TypeError(`runtime.v1.${name} is not a message`);
  return found as MessageTypeDefinition<object, object>;
}
