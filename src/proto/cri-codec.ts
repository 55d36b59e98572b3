// The CRI services and message codecs, built from the JSON descriptor of proto/runtime/v1/api.proto.
// Must not open sockets or know what a call means. Options must match hack/proto.sh.
import type { ServiceDefinition } from '@grpc/grpc-js';
import descriptor from './generated/runtime.json' with { type: 'json' };
import { type MessageCodec, reflected } from './reflected.ts';

/** Names of the two services. */
export type ServiceName = 'RuntimeService' | 'ImageService';

// names of fields are as in the proto, as the descriptor has them
const cri = reflected(descriptor, { longs: String, enums: String, defaults: true, oneofs: true });

/** The service in the form grpc-js takes. */
export const criService = (name: ServiceName): ServiceDefinition => cri.service(`runtime.v1.${name}`);

/** The codec of one message, such as `Container`: absent fields have their defaults. */
export const criMessage = (name: string): MessageCodec => cri.message(`runtime.v1.${name}`);
