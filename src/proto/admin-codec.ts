// The admin service and its codecs, built from the JSON descriptor of proto/podwright/v1/admin.proto.
// Must not open sockets or know what a call means. Options must match hack/proto.sh.
import type { ServiceDefinition } from '@grpc/grpc-js';
import descriptor from './generated/admin.json' with { type: 'json' };
import { reflected } from './reflected.ts';

/** The service in the form grpc-js takes. */
export const adminServiceDefinition = (): ServiceDefinition =>
  reflected(descriptor, { longs: String, enums: String, defaults: true, oneofs: true }).service('podwright.v1.Admin');
