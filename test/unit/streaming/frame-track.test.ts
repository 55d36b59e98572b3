import test from 'ava';
import * as fc from 'fast-check';
import { FrameTrack } from '../../../src/streaming/websocket/frame-track.ts';

fc.configureGlobal({ seed: 4711 }); // the same cases each time: other ones are the fuzzers' work

interface Frame {
  readonly opcode: number;
  readonly fin: boolean;
  readonly masked: boolean;
  readonly length: number;
}

function bytesOf({ opcode, fin, masked, length }: Frame): Buffer {
  const head = Buffer.alloc(14);
  head[0] = (fin ? 0x80 : 0) | opcode;
  let at = 2;
  if (length < 126) head[1] = length;
  else if (length < 65_536) {
    head[1] = 126;
    at = head.writeUInt16BE(length, 2);
  } else {
    head[1] = 127;
    at = head.writeBigUInt64BE(BigInt(length), 2);
  }
  if (masked) {
    head[1] = (head[1] ?? 0) | 0x80;
    at += 4;
  }
  return Buffer.concat([head.subarray(0, at), Buffer.alloc(length, 0xff)]);
}

const frame: fc.Arbitrary<Frame> = fc.record({
  opcode: fc.constantFrom(0, 1, 2, 8, 9, 10),
  fin: fc.boolean(),
  masked: fc.boolean(),
  length: fc.constantFrom(0, 1, 125, 126, 200, 65_535, 65_536, 70_000),
});

test('however the bytes are cut, it is known where frames end and how many messages came', (t) => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 90_000 })), (frames, cuts) => {
      const track = new FrameTrack();
      const bytes = Buffer.concat(frames.map(bytesOf));
      let at = 0;
      for (const cut of [...cuts, bytes.length]) {
        track.push(bytes.subarray(at, at + cut));
        at += cut;
      }
      t.is(track.left, 0);
      t.is(track.messages, frames.filter(({ fin, opcode }) => fin && opcode < 8).length);
    }),
  );
});

test('inside a frame it tells what is to come, inside a head that it does not know', (t) => {
  const bytes = bytesOf({ opcode: 2, fin: true, masked: true, length: 300 });
  const track = new FrameTrack();
  t.is(track.left, 0);
  for (let i = 0; i < 7; i++) {
    track.push(bytes.subarray(i, i + 1));
    t.is(track.left, null);
  }
  track.push(bytes.subarray(7, 8));
  t.is(track.left, 300);
  track.push(bytes.subarray(8, 100));
  t.is(track.left, 208);
  t.is(track.messages, 0);
  track.push(bytes.subarray(100));
  t.is(track.left, 0);
  t.is(track.messages, 1);
});
