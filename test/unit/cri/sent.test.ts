// Whether an answer went out, by the end of its stream.
import { EventEmitter } from 'node:events';
import { constants } from 'node:http2';
import test from 'ava';
import { type AnswerStream, streamOf, whenSent } from '../../../src/cri/sent.ts';

const { NGHTTP2_NO_ERROR: fine, NGHTTP2_CANCEL: reset } = constants;

for (const [what, rstCode, sentTrailers, sent] of [
  ['the status OK has left', fine, { 'grpc-status': 0 }, true],
  ['the status OK has left, as text', fine, { 'grpc-status': '0' }, true],
  ['the caller gave up before the status', reset, undefined, false],
  ['the caller gave up while it was on its way', reset, { 'grpc-status': 0 }, false],
  ['the deadline passed first, and its status has left', fine, { 'grpc-status': 4 }, false],
  ['the connection was lost before the status', fine, undefined, false],
] as const)
  test(`${what}: ${sent ? 'sent' : 'not sent'}`, (t) => {
    const stream = Object.assign(new EventEmitter(), { rstCode, sentTrailers });
    let told = 0;
    whenSent(stream as unknown as AnswerStream, () => (told += 1));
    t.is(told, 0);
    stream.emit('close');
    t.is(told, sent ? 1 : 0);
  });

test('a stream is found below interceptors; a call without one has none', (t) => {
  const stream = Object.assign(new EventEmitter(), { rstCode: 0 });
  t.is(streamOf({ call: { stream } }), stream as never);
  t.is(streamOf({ call: { nextCall: { nextCall: { stream } } } }), stream as never);
  t.is(streamOf({ call: {} }), null);
  t.is(streamOf({}), null);
});
