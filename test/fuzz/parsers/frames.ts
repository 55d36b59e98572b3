// Readers of what clients and monitors send in frames. The same kinds of frames are read natively too (native/fuzz).
import * as fc from 'fast-check';
import { FrameReader as MonitorFrameReader, frameBytes } from '../../../src/monitor/frames.ts';
import { decodeFrame, encodeFrame, type FrameObject } from '../../../src/proto/monitor-codec.ts';
import {
  dataFrame,
  type Frame,
  FrameReader,
  goAwayFrame,
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
import { complain } from './check.ts';

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((each) => Buffer.from(each));

/** Bytes as they were made, or with a few of them changed, put in or taken out. */
const damaged = (whole: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> => {
  const change = fc.record({
    way: fc.constantFrom('set', 'flip', 'insert', 'remove', 'end'),
    at: fc.nat(),
    value: fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255)),
  });
  return fc.tuple(whole, fc.oneof(fc.constant([]), fc.array(change, { maxLength: 4 }))).map(([good, changes]) => {
    let bad = Buffer.from(good);
    for (const { way, at, value } of changes) {
      const place = bad.length === 0 ? 0 : at % bad.length;
      if (way === 'insert') bad = Buffer.concat([bad.subarray(0, place), Buffer.from([value]), bad.subarray(place)]);
      else if (way === 'remove') bad = Buffer.concat([bad.subarray(0, place), bad.subarray(place + 1)]);
      else if (way === 'end') bad = bad.subarray(0, place);
      else if (bad.length > 0) bad[place] = way === 'set' ? value : (bad[place] ?? 0) ^ (1 << (value % 8));
    }
    return bad;
  });
};

/** Bytes, and where they are cut: how they arrive. */
const arriving = (whole: fc.Arbitrary<Buffer>) => fc.tuple(damaged(whole), fc.array(fc.nat(), { maxLength: 6 }));

function pieces(whole: Buffer, cuts: readonly number[]): Buffer[] {
  const places = cuts.map((cut) => cut % (whole.length + 1)).toSorted((a, b) => a - b);
  return [0, ...places].map((from, at) => whole.subarray(from, places[at] ?? whole.length));
}

const concat = (list: fc.Arbitrary<Buffer[]>): fc.Arbitrary<Buffer> => list.map((each) => Buffer.concat(each));
const streamId = fc.oneof(fc.constantFrom(1, 3, 5, 0x7fff_ffff), fc.integer({ min: 1, max: 0x7fff_ffff }));
const spdyBytes = concat(
  fc.array(
    fc.oneof(
      fc.tuple(streamId, bytes(300), fc.boolean()).map((of) => dataFrame(...of)),
      fc.tuple(streamId, bytes(80), fc.boolean()).map((of) => synStreamFrame(...of)),
      fc.tuple(streamId, bytes(80)).map((of) => synReplyFrame(...of)),
      streamId.map((id) => resetFrame(id, 5)),
      streamId.map(pingFrame),
      streamId.map(goAwayFrame),
      bytes(20),
    ),
    { maxLength: 6 },
  ),
);

/** What came of SPDY bytes, in words: data as one, whatever pieces it came in. */
function spdyTold(chunks: readonly Buffer[]): string[] {
  const reader = new FrameReader();
  const told: string[] = [];
  let data = '';
  const add = (frame: Frame): void => {
    if (frame.kind === 'data') {
      data += `${frame.streamId}:`.repeat(frame.bytes.length > 0 ? 1 : 0) + frame.bytes.toString('hex');
      // pieces of one frame are as good as the frame
      data = data.replaceAll(`|${frame.streamId}:`, '') + (frame.fin ? `${frame.streamId} fin` : '|');
      return;
    }
    told.push(data, JSON.stringify('block' in frame ? { ...frame, block: frame.block.toString('hex') } : frame));
    data = '';
  };
  try {
    for (const chunk of chunks) {
      reader.push(chunk);
      for (let frame = reader.next(); frame; frame = reader.next()) add(frame);
    }
  } catch (error) {
    if (!(error instanceof SpdyError)) throw error;
    return [...told, data, `refused: ${error.message}`];
  }
  return [...told, data];
}

export const spdyTarget = fc.property(arriving(spdyBytes), ([whole, cuts]) => {
  const [once, cut] = [spdyTold([whole]).join('\n'), spdyTold(pieces(whole, cuts)).join('\n')];
  if (once !== cut) complain(`${whole.toString('hex')} in pieces: ${cut} instead of ${once}`);
});

const headerText = fc.oneof(fc.constantFrom('streamtype', 'stdin', 'port', 'requestid', 'error'), fc.string());
const headers = fc
  .uniqueArray(fc.tuple(headerText.map((name) => name.toLowerCase()).filter(Boolean), headerText), {
    maxLength: 6,
    selector: ([name]) => name,
  })
  .map((pairs) => new Map(pairs.filter(([name]) => latin(name) === name.toLowerCase())));
const latin = (text: string): string => Buffer.from(text, 'latin1').toString('latin1');

export const spdyHeadersTarget = fc.property(damaged(headers.map(headerBlock)), (block) => {
  try {
    if (!headerBlock(parseHeaders(block)).equals(block)) complain(`${block.toString('hex')} is read as another block`);
  } catch (error) {
    if (!(error instanceof SpdyError)) throw error;
  }
});

const compressed = fc.array(headers, { minLength: 1, maxLength: 3 }).chain((list) => {
  const writer = new HeaderWriter();
  const blocks = list.map((each) => writer.write(each));
  return fc.tuple(...blocks.map((block) => damaged(fc.constant(block))));
});

export const spdyInflateTarget = fc.asyncProperty(compressed, async (blocks) => {
  const inflater = new HeaderInflater();
  try {
    for (const block of blocks) {
      const length = headerBlock(await inflater.read(block)).length;
      if (length > longestHeaderBlock) complain(`${length} bytes of headers`);
    }
  } catch (error) {
    if (!(error instanceof SpdyError)) throw error;
  } finally {
    inflater.close();
  }
});

const id = fc.constantFrom('1', '0', '18446744073709551615');
const frames: fc.Arbitrary<FrameObject> = fc.oneof(
  fc.record({ request: fc.record({ id, hello: fc.record({ version: fc.nat(), daemonVersion: fc.string() }) }) }),
  fc.record({ request: fc.record({ id, getState: fc.constant({}) }) }),
  fc.record({ request: fc.record({ id, removeContainer: fc.record({ containerId: fc.string() }) }) }),
  fc.record({
    response: fc.record({
      id,
      failure: fc.record({ operation: fc.string(), errno: fc.integer(), detail: fc.string() }),
    }),
  }),
  fc.record({
    response: fc.record({ id, execSync: fc.record({ stdout: bytes(200), stderr: bytes(20), exitCode: fc.integer() }) }),
  }),
);
const talk = concat(
  fc.array(
    frames.map((frame) => frameBytes(encodeFrame(frame))),
    { maxLength: 4 },
  ),
);

/** Frames that were read, as they would be written again; the last one says why no more. */
function talkTold(chunks: readonly Buffer[]): string[] {
  const reader = new MonitorFrameReader();
  const told: string[] = [];
  const read = (body: Buffer): string => {
    const frame = decodeFrame(body);
    const again = decodeFrame(encodeFrame(frame as FrameObject));
    if (JSON.stringify(again) !== JSON.stringify(frame)) complain(`${body.toString('hex')} changes when it is written`);
    return JSON.stringify(frame);
  };
  try {
    for (const chunk of chunks) for (const body of reader.push(chunk)) told.push(tried(() => read(body)));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    told.push(`refused: ${error.message}`);
  }
  return told;
}

/** What the codec says of bytes that are no frame is an Error of its own, and never one of a bug. */
function tried(read: () => string): string {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Error) || error instanceof TypeError || /changes when/.test(error.message)) throw error;
    return `refused: ${error.message}`;
  }
}

export const monitorTarget = fc.property(arriving(talk), ([whole, cuts]) => {
  const [once, cut] = [talkTold([whole]).join('\n'), talkTold(pieces(whole, cuts)).join('\n')];
  if (once !== cut) complain(`${whole.toString('hex')} in pieces: ${cut} instead of ${once}`);
});
