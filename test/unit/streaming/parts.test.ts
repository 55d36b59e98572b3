// Tokens, outcomes, sizes, channels, paths: the small parts of the streaming server.
import test from 'ava';
import * as fc from 'fast-check';
import { Failure } from '../../../src/lib/failure.ts';
import { negotiate, parsePath } from '../../../src/streaming/requests.ts';
import { ResizeReader, sizeOf } from '../../../src/streaming/resize.ts';
import { expectedStreams } from '../../../src/streaming/spdy/command.ts';
import { portOf, requestIdOf } from '../../../src/streaming/spdy/forward.ts';
import { exited, failed, statusJson, statusText, success } from '../../../src/streaming/status.ts';
import { mostTokens, tokenLifetimeMs, Tokens } from '../../../src/streaming/tokens.ts';
import {
  chooseProtocol,
  commandChannels,
  decodeMessage,
  encodeMessage,
  forwardChannels,
} from '../../../src/streaming/websocket/channels.ts';
import { mostPorts, portsOfQuery } from '../../../src/streaming/websocket/forward.ts';

fc.configureGlobal({ seed: 4711 }); // the same cases each time: other ones are the fuzzers' work

function tokens() {
  let now = 0;
  let n = 0;
  const store = new Tokens<string>({ elapsedMs: () => now, random: () => `t${(n += 1)}` });
  return { store, pass: (ms: number) => void (now += ms) };
}

test('a token is good once', (t) => {
  const { store } = tokens();
  const token = store.issue('a');
  t.is(store.redeem('other'), null);
  t.is(store.redeem(token), 'a');
  t.is(store.redeem(token), null);
});

test('a token is good for a minute', (t) => {
  const { store, pass } = tokens();
  const [first, second] = [store.issue('a'), store.issue('b')];
  pass(tokenLifetimeMs - 1);
  t.is(store.redeem(first), 'a');
  pass(1);
  t.is(store.redeem(second), null);
});

test('a thousand may wait; used and old ones make room', (t) => {
  const { store, pass } = tokens();
  const [first] = Array.from({ length: mostTokens }, (_, n) => store.issue(`${n}`));
  const error = t.throws(() => store.issue('one more'), { instanceOf: Failure });
  t.is(error?.kind, 'resource-exhausted');
  t.is(store.redeem(first!), '0');
  store.issue('in its place');
  t.throws(() => store.issue('one more'));
  pass(tokenLifetimeMs);
  for (let n = 0; n < mostTokens; n += 1) store.issue('again');
  t.pass();
});

test('outcomes as clients of all versions read them', (t) => {
  t.is(statusJson(success), '{"metadata":{},"status":"Success"}');
  t.is(statusText(success), '');
  t.deepEqual(exited(0), success);
  t.deepEqual(JSON.parse(statusJson(exited(137))), {
    metadata: {},
    status: 'Failure',
    message: 'command terminated with non-zero exit code: exit status 137',
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: '137' }] },
  });
  t.deepEqual(JSON.parse(statusJson(failed('no such thing'))), {
    metadata: {},
    status: 'Failure',
    message: 'Internal error occurred: no such thing',
    reason: 'InternalError',
    code: 500,
  });
  t.is(statusText(failed('x')), 'Internal error occurred: x');
});

for (const [text, size] of [
  ['{"Width":80,"Height":24}', { width: 80, height: 24 }],
  ['{ "Height" : 1, "Width" : 65535 }', { width: 65_535, height: 1 }],
  ['{"width":0,"height":0}', { width: 0, height: 0 }],
  ['{"Width":65536,"Height":24}', null],
  ['{"Width":-1,"Height":24}', null],
  ['{"Width":80}', null],
  ['{"Width":"80","Height":"24"}', null],
  ['{}', null],
] as const)
  test(`size ${text}`, (t) => t.deepEqual(sizeOf(text), size));

test('sizes are found however their bytes are cut, and rubbish between them is passed over', (t) => {
  const wire = Buffer.from('{"Width":1,"Height":2}\n{"Width":3,"Height":4}}}rubbish{"Width":5,"Height":6}');
  for (let at = 0; at <= wire.length; at += 1) {
    const found: number[] = [];
    const reader = new ResizeReader(({ width, height }) => void found.push(width, height));
    reader.push(wire.subarray(0, at));
    reader.push(wire.subarray(at));
    t.deepEqual(found, [1, 2, 3, 4, 5, 6]);
  }
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3000 })), (chunks) => {
      const reader = new ResizeReader(() => undefined);
      return chunks.every((chunk) => reader.push(chunk));
    }),
  );
});

test('of much that comes at once as sizes only the end is looked at', (t) => {
  const found: number[] = [];
  const reader = new ResizeReader(({ width }) => void found.push(width));
  const size = (width: number): string => `{"Width":${width},"Height":24}`;
  reader.push(Buffer.from(`${size(1)}${'}'.repeat(960 * 1024)}${size(2)}`));
  reader.push(Buffer.from(size(3)));
  reader.push(Buffer.from(`{"x":"${' '.repeat(1000)}","Width":4,`));
  reader.push(Buffer.from('"Height":24}'));
  t.deepEqual(found, [2, 3, 4]);
});

test('channel messages come out as they went in, in every protocol', (t) => {
  const body = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(
      fc.constantFrom(...commandChannels, ...forwardChannels),
      fc.nat(79),
      body,
      (protocol, channel, bytes) => {
        const slab = Buffer.concat([Buffer.alloc(16), bytes]);
        const message = encodeMessage(protocol, channel, { slab, start: 16, end: slab.length });
        t.is(typeof message === 'string', protocol.base64);
        t.deepEqual(decodeMessage(protocol, Buffer.from(message as string)), {
          kind: 'data',
          channel,
          bytes: Buffer.from(bytes),
        });
      },
    ),
  );
});

test('any message is read or called wrong', (t) => {
  fc.assert(
    fc.property(fc.constantFrom(...commandChannels), fc.uint8Array({ maxLength: 40 }), (protocol, bytes) =>
      ['data', 'close', 'none', 'wrong'].includes(decodeMessage(protocol, Buffer.from(bytes)).kind),
    ),
  );
  const [v5, v4, base64] = commandChannels;
  t.deepEqual(decodeMessage(v5!, Buffer.from([255, 0])), { kind: 'close', channel: 0 });
  t.like(decodeMessage(v5!, Buffer.from([255])), { kind: 'wrong' });
  t.like(decodeMessage(v4!, Buffer.from([255, 0])), { kind: 'data', channel: 255 });
  t.like(decodeMessage(base64!, Buffer.from('0a*b')), { kind: 'wrong' });
  t.like(decodeMessage(v4!, Buffer.alloc(0)), { kind: 'none' });
});

test('the first protocol of the client that is spoken here is taken', (t) => {
  t.is(chooseProtocol('v5.channel.k8s.io, v4.channel.k8s.io', commandChannels)?.name, 'v5.channel.k8s.io');
  t.is(chooseProtocol('v9.channel.k8s.io,v4.base64.channel.k8s.io', commandChannels)?.name, 'v4.base64.channel.k8s.io');
  t.is(chooseProtocol(undefined, commandChannels)?.name, '');
  t.is(chooseProtocol('soap', commandChannels), null);
  t.is(negotiate('v9, b ,a', ['a', 'b']), 'b');
  t.is(negotiate(undefined, ['a']), null);
});

test('the streams that are waited for', (t) => {
  const all = { stdin: true, stdout: true, stderr: false, tty: true };
  t.deepEqual(expectedStreams('v4.channel.k8s.io', all), ['error', 'stdin', 'stdout', 'resize']);
  t.deepEqual(expectedStreams('v2.channel.k8s.io', all), ['error', 'stdin', 'stdout']);
  t.deepEqual(expectedStreams('v4.channel.k8s.io', { ...all, tty: false, stdin: false }), ['error', 'stdout']);
});

test('ports and pairs of streams', (t) => {
  t.is(portOf(new Map([['port', '65535']])), 65_535);
  for (const port of ['', '0', '65536', '-1', '1e3', ' 80', '080x', '999999'])
    t.is(portOf(new Map([['port', port]])), null, port);
  t.is(requestIdOf(new Map([['requestid', '7']]), 5), '7');
  t.is(requestIdOf(new Map([['streamtype', 'error']]), 5), '5');
  t.is(requestIdOf(new Map([['streamtype', 'data']]), 7), '5');
  t.deepEqual(portsOfQuery(new URLSearchParams('port=80&port=81,82')), [80, 81, 82]);
  const many = Array.from({ length: mostPorts + 1 }, (_, n) => `port=${n + 1}`).join('&');
  for (const query of ['', 'port=', 'port=0', 'port=1,', 'port=65536', 'port=a', many])
    t.is(portsOfQuery(new URLSearchParams(query)), null, query.slice(0, 20));
});

test('paths', (t) => {
  t.deepEqual(parsePath('/exec/abc_-1'), { kind: 'exec', token: 'abc_-1' });
  t.deepEqual(parsePath('/portforward/x'), { kind: 'portforward', token: 'x' });
  for (const path of [
    '/',
    '/exec',
    '/exec/',
    '/exec/a/b',
    '/exec/a%20',
    '//exec/a',
    '/run/a',
    `/exec/${'a'.repeat(129)}`,
  ])
    t.is(parsePath(path), null, path);
});
