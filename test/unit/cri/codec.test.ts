import { fromJSON, type MessageTypeDefinition, type ServiceDefinition } from '@grpc/proto-loader';
import test from 'ava';
import { criMessage, criService } from '../../../src/proto/cri-codec.ts';
import { criFields, criMessages } from '../../../src/cri/reflection.ts';
import descriptor from '../../../src/proto/generated/runtime.json' with { type: 'json' };

type Enums = Record<
  string,
  { values?: Record<string, number>; nested?: Record<string, { values?: Record<string, number> }> }
>;
const v1 = descriptor.nested.runtime.nested.v1.nested as unknown as Enums;

/** The last name of an enum, so that it differs from the default. */
function enumValue(type: string): string | undefined {
  const values = v1[type]?.values ?? v1.SecurityProfile?.nested?.[type]?.values;
  return values && Object.keys(values).at(-1);
}

const scalars: Record<string, unknown> = {
  string: 'text ü\u{1f600}',
  bool: true,
  int32: -2147483648,
  uint32: 4294967295,
  int64: '-9223372036854775808',
  uint64: '18446744073709551615',
  double: 12.5,
  bytes: Buffer.from([0, 255, 10]),
};

/** A message with every field set to something that is not its default. */
function full(type: string, depth = 0): Record<string, unknown> {
  const message: Record<string, unknown> = {};
  for (const field of criFields(type) ?? []) {
    const one = scalars[field.type] ?? enumValue(field.type) ?? (depth > 8 ? {} : full(field.type, depth + 1));
    message[field.name] = field.map ? { 'key.io/ä': one, other: one } : field.repeated ? [one, one] : one;
  }
  return message;
}

test('every message of the proto survives a round trip with every field set', (t) => {
  t.true(criMessages().length >= 170);
  for (const type of criMessages()) {
    const codec = criMessage(type);
    const message = full(type);
    t.deepEqual(codec.deserialize(codec.serialize(message)), message, type);
  }
});

/** What @grpc/proto-loader makes of the same descriptor: another reading of it. */
const theirs = fromJSON(descriptor as object as Parameters<typeof fromJSON>[0], {
  keepCase: true,
  longs: String,
  enums: String,
  defaults: true,
  oneofs: true,
});

test('every message has the bytes and the objects that proto-loader gives it, full and empty', (t) => {
  for (const type of criMessages()) {
    const [ours, other] = [criMessage(type), theirs[`runtime.v1.${type}`] as MessageTypeDefinition<object, object>];
    for (const message of [full(type), {}]) {
      const bytes = other.serialize(message);
      t.deepEqual(ours.serialize(message), bytes, type);
      t.deepEqual(ours.deserialize(bytes), other.deserialize(bytes), type);
    }
  }
});

/** What is read of bytes, or why they cannot be read. */
function readBy(read: (bytes: Buffer) => object, bytes: Buffer): unknown {
  try {
    return read(bytes);
  } catch (error) {
    return String(error);
  }
}

test('bytes that are cut or changed are read, or refused, as proto-loader does', (t) => {
  let refused = 0;
  for (const type of criMessages()) {
    const [ours, other] = [criMessage(type), theirs[`runtime.v1.${type}`] as MessageTypeDefinition<object, object>];
    const whole = other.serialize(full(type, 7));
    for (const at of [1, 2, 3, 5, 8].map((part) => Math.floor(whole.length / part) - 1).filter((n) => n >= 0)) {
      const changed = Buffer.from(whole);
      changed[at] = 255 - (changed[at] ?? 0);
      for (const bytes of [whole.subarray(0, at), changed]) {
        const read = readBy(other.deserialize, bytes);
        if (typeof read === 'string') refused += 1;
        t.deepEqual(readBy(ours.deserialize, bytes), read, `${type}, byte ${at}`);
      }
    }
  }
  t.true(refused > 100);
});

test('the services are those of proto-loader: paths, streams, requests and answers', (t) => {
  for (const service of ['RuntimeService', 'ImageService'] as const) {
    const other = theirs[`runtime.v1.${service}`] as ServiceDefinition;
    const ours = criService(service);
    t.deepEqual(Object.keys(ours), Object.keys(other));
    for (const [name, method] of Object.entries(other)) {
      const { path, requestStream, responseStream } = method;
      t.like(ours[name], { path, requestStream, responseStream });
      const [request, answer] = [method.requestType, method.responseType].map(({ type }) =>
        full((type as { name: string }).name),
      ) as [object, object];
      t.deepEqual(ours[name]?.requestSerialize(request), method.requestSerialize(request), name);
      t.deepEqual(ours[name]?.responseSerialize(answer), method.responseSerialize(answer), name);
      t.deepEqual(ours[name]?.requestDeserialize(method.requestSerialize(request)), request, name);
      t.deepEqual(ours[name]?.responseDeserialize(method.responseSerialize(answer)), answer, name);
    }
  }
});

test('what is not there is told, and an array is no message', (t) => {
  t.throws(() => criMessage('NoSuchMessage'), { message: /runtime\.v1\.NoSuchMessage is not a message/ });
  t.throws(() => criMessage('RuntimeService'), { message: /is not a message/ });
  t.throws(() => criService('Container' as 'ImageService'), { message: /is not a service/ });
  t.throws(() => criMessage('Container').serialize([]), { message: /an array in place of a message Container/ });
});

test('an empty message decodes to defaults: null messages, empty lists, "0" for 64 bits', (t) => {
  const decoded = criMessage('ContainerStatus').deserialize(Buffer.alloc(0)) as Record<string, unknown>;
  t.is(decoded.metadata, null);
  t.deepEqual(decoded.mounts, []);
  t.deepEqual(decoded.labels, {});
  t.is(decoded.created_at, '0');
  t.is(decoded.state, 'CONTAINER_CREATED');
  t.is(decoded.stop_signal, 'SIGNAL_RUNTIME_DEFAULT');
});

test('nanoseconds are exact', (t) => {
  const codec = criMessage('Container');
  const sent = 1795001234567890123n;
  const { created_at } = codec.deserialize(codec.serialize({ created_at: String(sent) })) as { created_at: string };
  t.is(BigInt(created_at), sent);
});
