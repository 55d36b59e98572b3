// SPDY frames and header blocks: tables, and bytes of any kind.
import test from 'ava';
import * as fc from 'fast-check';
import { constants, createDeflate, createInflate } from 'node:zlib';
import { headerDictionary, headerDictionaryId } from '../../../src/streaming/spdy/dictionary.ts';
import {
  dataFrame,
  type Frame,
  FrameReader,
  goAwayFrame,
  longestControlFrame,
  pingFrame,
  resetFrame,
  SpdyError,
  synReplyFrame,
  synStreamFrame,
} from '../../../src/streaming/spdy/frames.ts';
import {
  headerBlock,
  HeaderInflater,
  HeaderWriter,
  longestHeaderBlock,
  parseHeaders,
} from '../../../src/streaming/spdy/headers.ts';

fc.configureGlobal({ seed: 4711 }); // the same cases each time: other ones are the fuzzers' work

/** All frames of some bytes, given in chunks. */
function read(chunks: readonly Buffer[]): Frame[] {
  const reader = new FrameReader();
  const frames: Frame[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let frame = reader.next(); frame; frame = reader.next()) frames.push(frame);
  }
  return frames;
}

/** Cuts bytes at the given places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [0, ...places.map((n) => n % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end));
}

/** Pieces of DATA put together again. */
function joined(frames: readonly Frame[]): Frame[] {
  const out: Frame[] = [];
  for (const frame of frames) {
    const last = out.at(-1);
    if (frame.kind === 'data' && last?.kind === 'data' && !last.fin && last.streamId === frame.streamId)
      out[out.length - 1] = { ...frame, bytes: Buffer.concat([last.bytes, frame.bytes]) };
    else out.push(frame);
  }
  return out;
}

const streamId = fc.integer({ min: 1, max: 0x7fff_ffff });
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const anyFrame: fc.Arbitrary<[Buffer, Frame]> = fc.oneof(
  fc
    .tuple(streamId, bytes, fc.boolean())
    .map(([id, body, fin]): [Buffer, Frame] => [
      dataFrame(id, body, fin),
      { kind: 'data', streamId: id, bytes: body, fin },
    ]),
  fc
    .tuple(streamId, bytes, fc.boolean())
    .map(([id, block, fin]): [Buffer, Frame] => [
      synStreamFrame(id, block, fin),
      { kind: 'syn-stream', streamId: id, fin, block },
    ]),
  fc
    .tuple(streamId, bytes)
    .map(([id, block]): [Buffer, Frame] => [
      synReplyFrame(id, block),
      { kind: 'syn-reply', streamId: id, fin: false, block },
    ]),
  streamId.map((id): [Buffer, Frame] => [resetFrame(id, 5), { kind: 'reset', streamId: id, status: 5 }]),
  fc.nat().map((id): [Buffer, Frame] => [pingFrame(id), { kind: 'ping', id }]),
  fc.nat().map((id): [Buffer, Frame] => [goAwayFrame(id), { kind: 'go-away' }]),
);

test('frames come out as they went in, however their bytes are cut', (t) => {
  fc.assert(
    fc.property(fc.array(anyFrame, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 20 }), (frames, places) => {
      const wire = Buffer.concat(frames.map(([encoded]) => encoded));
      // neighbouring data of one stream cannot be told apart from pieces of one frame
      t.deepEqual(joined(read(cut(wire, places))), joined(frames.map(([, frame]) => frame)));
    }),
  );
  t.pass();
});

test('any bytes are frames or a SpdyError', (t) => {
  let refused = 0;
  const anything = fc.array(
    fc.oneof(
      anyFrame.map(([encoded]) => encoded),
      bytes,
    ),
    { maxLength: 8 },
  );
  fc.assert(
    fc.property(anything, fc.array(fc.nat(), { maxLength: 8 }), (parts, places) => {
      try {
        read(cut(Buffer.concat(parts), places));
      } catch (error) {
        if (!(error instanceof SpdyError)) throw error;
        refused += 1;
      }
    }),
    { numRuns: 5000 },
  );
  t.true(refused > 0);
});

const control = (type: number, length: number, version = 3): Buffer =>
  Buffer.from([0x80, version, type >> 8, type & 255, 0, length >> 16, (length >> 8) & 255, length & 255]);

for (const [what, wrong] of Object.entries({
  'another version': control(1, 10, 2),
  'a control frame that is too long': control(1, longestControlFrame + 1),
  'a short SYN_STREAM': Buffer.concat([control(1, 9), Buffer.alloc(9, 1)]),
  'a SYN_STREAM for stream 0': Buffer.concat([control(1, 10), Buffer.alloc(10)]),
  'a short RST_STREAM': Buffer.concat([control(3, 4), Buffer.alloc(4, 1)]),
  'a PING without id': control(6, 0),
  'data for stream 0': Buffer.alloc(8),
})) {
  test(`${what} is refused`, (t) => {
    t.throws(() => read([wrong]), { instanceOf: SpdyError });
  });
}

test('frames that mean nothing to us are skipped', (t) => {
  const skipped = [4, 5, 9, 10, 99].map((type) => Buffer.concat([control(type, 3), Buffer.alloc(3)]));
  t.deepEqual(
    read([Buffer.concat([...skipped, pingFrame(1)])]).map(({ kind }) => kind),
    ['ignored', 'ignored', 'ignored', 'ignored', 'ignored', 'ping'],
  );
});

test('a data frame of 16 MiB is handed on in pieces as it comes', (t) => {
  const head = Buffer.from([0, 0, 0, 1, 1, 0xff, 0xff, 0xff]);
  const reader = new FrameReader();
  reader.push(head);
  t.is(reader.next(), null);
  let left = 0xff_ffff;
  while (left > 0) {
    const size = Math.min(left, 60_000);
    reader.push(Buffer.alloc(size));
    left -= size;
    t.like(reader.next(), { kind: 'data', streamId: 1, fin: left === 0 });
    t.is(reader.next(), null);
  }
});

const headers = fc
  .dictionary(fc.stringMatching(/^[a-z0-9:-]{1,20}$/), fc.stringMatching(/^[\x20-\x7e]{0,40}$/), { maxKeys: 10 })
  .map((object) => new Map(Object.entries(object)));

test('the dictionary is the one of the draft', (t) => {
  t.is(headerDictionary.length, 1423);
  t.is(headerDictionaryId, 0xe3c6a7c2);
});

test('headers come out as they went in, through one compression for many blocks', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(headers, { minLength: 1, maxLength: 6 }), async (blocks) => {
      const deflate = createDeflate({ dictionary: headerDictionary });
      const theirs: Buffer[] = [];
      deflate.on('data', (piece: Buffer) => void theirs.push(piece));
      const [fromTheirs, fromOurs, ours] = [new HeaderInflater(), new HeaderInflater(), new HeaderWriter()];
      for (const block of blocks) {
        theirs.length = 0;
        deflate.write(headerBlock(block));
        await new Promise<void>((resolve) => deflate.flush(constants.Z_SYNC_FLUSH, () => resolve()));
        t.deepEqual(await fromTheirs.read(Buffer.concat(theirs)), block);
        t.deepEqual(await fromOurs.read(ours.write(block)), block);
      }
      fromTheirs.close();
      fromOurs.close();
    }),
    { numRuns: 60 },
  );
});

test('what we send is zlib for everybody', async (t) => {
  const inflate = createInflate({ dictionary: headerDictionary });
  const pieces: Buffer[] = [];
  inflate.on('data', (piece: Buffer) => void pieces.push(piece));
  const writer = new HeaderWriter();
  const blocks = [new Map(), new Map([['a', 'b']])];
  for (const block of blocks) await new Promise<void>((resolve) => inflate.write(writer.write(block), () => resolve()));
  t.deepEqual(Buffer.concat(pieces), Buffer.concat(blocks.map((block) => headerBlock(block))));
});

for (const [what, block] of Object.entries({
  'an end in the middle': headerBlock(new Map([['a', 'b']])).subarray(0, 10),
  'bytes behind the last header': Buffer.concat([headerBlock(new Map()), Buffer.alloc(1)]),
  'a length beyond the block': Buffer.from([0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff, 97]),
  'a count without headers': Buffer.from([0xff, 0xff, 0xff, 0xff]),
  'an upper-case name': headerBlock(new Map([['Port', '80']])),
  'an empty name': headerBlock(new Map([['', '80']])),
  'a name twice': Buffer.concat([
    Buffer.from([0, 0, 0, 2]),
    headerBlock(new Map([['a', '1']])).subarray(4),
    headerBlock(new Map([['a', '2']])).subarray(4),
  ]),
  nothing: Buffer.alloc(0),
})) {
  test(`a header block with ${what} is refused`, (t) => {
    t.throws(() => parseHeaders(block), { instanceOf: SpdyError });
  });
}

test('any bytes are headers or a SpdyError, and no block grows beyond its limit', async (t) => {
  const bomb = createDeflate({ dictionary: headerDictionary });
  const pieces: Buffer[] = [];
  bomb.on('data', (piece: Buffer) => void pieces.push(piece));
  bomb.write(Buffer.alloc(50 * longestHeaderBlock));
  await new Promise<void>((resolve) => bomb.flush(constants.Z_SYNC_FLUSH, () => resolve()));
  const exploding = new HeaderInflater();
  await t.throwsAsync(exploding.read(Buffer.concat(pieces)), { instanceOf: SpdyError, message: /over/ });
  await t.throwsAsync(exploding.read(Buffer.alloc(0)), { instanceOf: SpdyError });
  await fc.assert(
    fc.asyncProperty(fc.array(bytes, { minLength: 1, maxLength: 4 }), fc.boolean(), async (blocks, begun) => {
      const inflater = new HeaderInflater();
      try {
        if (begun) await inflater.read(new HeaderWriter().write(new Map()));
        for (const block of blocks) await inflater.read(block);
      } catch (error) {
        if (!(error instanceof SpdyError)) throw error;
      } finally {
        inflater.close();
      }
    }),
    { numRuns: 500 },
  );
});
