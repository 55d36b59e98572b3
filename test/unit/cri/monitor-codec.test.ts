import test from 'ava';
import { decodeFrame, encodeFrame } from '../../../src/proto/monitor-codec.ts';

test('a request keeps its fields, names its oneof member and has Buffers for bytes', (t) => {
  const frame = decodeFrame(
    encodeFrame({
      request: {
        id: 7,
        createContainer: {
          containerId: 'c1',
          pid: 'NODE',
          seccompBpf: Buffer.from([1, 2, 3]),
          overlay: { lower: ['/b', '/a'], upper: '/u', work: '/w' },
        },
      },
    }),
  );
  t.is(frame.body, 'request');
  t.is(frame.request?.call, 'createContainer');
  t.is(frame.request?.id, '7');
  const call = frame.request?.createContainer;
  t.true(Buffer.isBuffer(call?.seccompBpf));
  t.deepEqual([...(call?.seccompBpf ?? [])], [1, 2, 3]);
  t.is(call?.pid, 'NODE');
  t.deepEqual(call?.overlay?.lower, ['/b', '/a']);
  t.is(call?.cgroup, null);
});

test('nanoseconds and the largest id arrive exactly', (t) => {
  const frame = decodeFrame(
    encodeFrame({
      response: {
        id: '18446744073709551615',
        startContainer: { pid: 1, startedAt: '1795001234567890123' },
      },
    }),
  );
  t.is(frame.response?.id, '18446744073709551615');
  t.is(BigInt(frame.response?.startContainer?.startedAt ?? 0), 1795001234567890123n);
});

test('enums decode to names and a default enum to its first name', (t) => {
  const frame = decodeFrame(encodeFrame({ response: { id: 1, failure: { kind: 'NOT_FOUND', errno: 2 } } }));
  t.is(frame.response?.failure?.kind, 'NOT_FOUND');
  t.is(decodeFrame(encodeFrame({ response: { failure: {} } })).response?.failure?.kind, 'INTERNAL');
});

test('golden bytes: hello', (t) => {
  const bytes = encodeFrame({ request: { id: 1, hello: { version: 1, daemonVersion: '0.1.0' } } });
  t.is(bytes.toString('hex'), '0a0d0801120908011205302e312e30');
});

test('fields of a newer protocol are skipped', (t) => {
  const newer = Buffer.concat([
    encodeFrame({ event: { oom: { containerId: 'c' } } }),
    Buffer.from([0xc2, 0x3e, 1, 65]),
  ]);
  t.is(decodeFrame(newer).event?.oom?.containerId, 'c');
});

test('bytes that are not a frame throw', (t) => {
  t.throws(() => decodeFrame(Buffer.from([0x0a, 0x7f, 1])));
});
