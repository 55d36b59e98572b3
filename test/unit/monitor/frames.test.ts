import test from 'ava';
import { FrameReader, frameBytes, maxFrameBytes } from '../../../src/monitor/frames.ts';

const texts = (frames: Iterable<Buffer>): string[] => [...frames].map(String);

test('frames as they come: several at once, and byte by byte', (t) => {
  const bytes = Buffer.concat(['one', '', 'three'].map((text) => frameBytes(Buffer.from(text))));
  t.deepEqual(texts(new FrameReader().push(bytes)), ['one', '', 'three']);
  const reader = new FrameReader();
  t.deepEqual(
    [...bytes].flatMap((byte) => texts(reader.push(Buffer.from([byte])))),
    ['one', '', 'three'],
  );
});

test('what stands before a frame that is too long is read', (t) => {
  const long = Buffer.alloc(4);
  long.writeUInt32BE(maxFrameBytes + 1);
  const frames = new FrameReader().push(Buffer.concat([frameBytes(Buffer.from('an exit')), long]));
  t.is(String(frames.next().value), 'an exit');
  t.throws(() => frames.next(), { instanceOf: RangeError, message: /exceeds 20971520/ });
});
