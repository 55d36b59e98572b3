// The admin service and its codecs, built from the JSON descriptor of proto/podwright/v1/admin.proto.
// Must not open sockets or know what a call means. Options must match hack/proto.sh.
import { fromJSON, type ServiceDefinition } from '@grpc/proto-loader';
import descriptor from './generated/admin.json' with { type: 'json' };

/** The service in the form grpc-js takes. */
export function adminServiceDefinition(): ServiceDefinition {
  // The inferred type of the JSON is narrower in ways that do not unify with the declared one.
  const definitions = fromJSON(descriptor as object as Parameters<typeof fromJSON>[0], {
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  return definitions['podwright.v1.Admin'] as ServiceDefinition;
}
