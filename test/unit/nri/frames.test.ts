// The two layers of frames: what is written is read again in any pieces, as Go's end reads it; garbage never more than throws.
import test from 'ava';
import { array, assert, configureGlobal, property, uint8Array } from 'fast-check';
import { encodeMux, largestMessage, MuxDecoder } from '../../../src/nri/mux.ts';
import { encodeTtrpc, Oversized, TtrpcDecoder } from '../../../src/nri/ttrpc.ts';

configureGlobal({ seed: 4711 }); // the same cases each time: other ones are the fuzzers' work

const pieces = (bytes: Buffer, size: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.subarray(at * size, (at + 1) * size));

test('frames come out as they went in, in whatever pieces they arrive', (t) => {
  const payloads = [0, 1, 9, 4086, 4096, 4097, 100_000].map((length) => Buffer.alloc(length, length % 251));
  const stream = Buffer.concat(payloads.flatMap((payload, at) => encodeMux(at + 1, payload)));
  for (const size of [1, 7, 8, 9, 4096, 65_536, stream.length]) {
    const decoder = new MuxDecoder();
    const got = new Map<number, Buffer[]>();
    for (const piece of pieces(stream, size))
      for (const { connection, payload } of decoder.push(piece))
        got.set(connection, [...(got.get(connection) ?? []), payload]);
    for (const [at, payload] of payloads.entries())
      t.deepEqual(Buffer.concat(got.get(at + 1) ?? []), payload, `${payload.length} bytes in pieces of ${size}`);
  }
});

test('a message is one frame of at most 4096 bytes, and one of the rest: Go reads no other', (t) => {
  const lengths = (message: Buffer): number[] =>
    new MuxDecoder().push(Buffer.concat(encodeMux(1, message))).map(({ payload }) => payload.length);
  t.deepEqual(lengths(Buffer.alloc(10)), [10]);
  t.deepEqual(lengths(Buffer.alloc(4096)), [4096]);
  t.deepEqual(lengths(Buffer.alloc(4097)), [4096, 1]);
  t.deepEqual(lengths(Buffer.alloc(largestMessage + 10)), [4096, largestMessage + 10 - 4096]);
});

test('a frame that nobody may send ends the stream', (t) => {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(1, 0);
  header.writeUInt32BE(largestMessage + 11, 4);
  t.throws(() => new MuxDecoder().push(header), { instanceOf: RangeError, message: /4194315 bytes/ });
});

test('messages come out as they went in; one that is too long is refused on both ways', (t) => {
  const messages = [0, 5, 5000].map((length, at) => ({
    stream: 2 * at + 1,
    type: 1,
    flags: at,
    data: Buffer.alloc(length, 7),
  }));
  const bytes = Buffer.concat(messages.map(encodeTtrpc));
  for (const size of [1, 9, 10, 11, bytes.length]) {
    const decoder = new TtrpcDecoder();
    t.deepEqual(
      pieces(bytes, size).flatMap((piece) => decoder.push(piece)),
      messages,
    );
  }
  const data = Buffer.alloc(largestMessage + 1);
  t.throws(() => encodeTtrpc({ stream: 1, type: 1, flags: 0, data }), { instanceOf: Oversized });
  const header = Buffer.alloc(10);
  header.writeUInt32BE(largestMessage + 1, 0);
  t.throws(() => new TtrpcDecoder().push(header), { instanceOf: Oversized });
});

test('whatever bytes come, a decoder answers or throws a RangeError, and holds no more than it was given', (t) => {
  const chunks = array(uint8Array({ maxLength: 64 }), { maxLength: 30 });
  for (const make of [() => new MuxDecoder(), () => new TtrpcDecoder()]) {
    assert(
      property(chunks, (all) => {
        const decoder = make();
        let out = 0;
        try {
          for (const chunk of all)
            for (const one of decoder.push(Buffer.from(chunk)))
              out += 'payload' in one ? one.payload.length : one.data.length;
        } catch (error) {
          return error instanceof RangeError;
        }
        return out <= all.reduce((sum, chunk) => sum + chunk.length, 0);
      }),
      { numRuns: 500 },
    );
  }
  t.pass();
});
