// PURE
// SPDY/3.1 frames to values and back (SPDY draft 3.1, 2.2). Must not inflate headers or know what a stream is for.

/** Bytes before the payload of any frame. */
export const frameHead = 8;

/** Longest control frame that is taken; a header block of ours has some 200 bytes. */
export const longestControlFrame = 64 * 1024;

/** Why a stream is reset (RST_STREAM status). */
export const resetStatus = {
  protocolError: 1,
  invalidStream: 2,
  refusedStream: 3,
  cancel: 5,
  internalError: 6,
} as const;

export type ResetStatus = (typeof resetStatus)[keyof typeof resetStatus];

/** One frame, or a piece of one: the payload of DATA is handed on as it arrives, `fin` with its last piece. */
export type Frame =
  | { readonly kind: 'data'; readonly streamId: number; readonly bytes: Buffer; readonly fin: boolean }
  /** SYN_STREAM, SYN_REPLY and HEADERS: their blocks share one state of compression, so each must be inflated. */
  | {
      readonly kind: 'syn-stream' | 'syn-reply' | 'headers';
      readonly streamId: number;
      readonly fin: boolean;
      readonly block: Buffer;
    }
  | { readonly kind: 'reset'; readonly streamId: number; readonly status: number }
  | { readonly kind: 'ping'; readonly id: number }
  | { readonly kind: 'go-away' }
  /** SETTINGS, WINDOW_UPDATE and what the draft says to skip: nobody who speaks to us counts on them. */
  | { readonly kind: 'ignored'; readonly type: number };

const types = { synStream: 1, synReply: 2, reset: 3, settings: 4, ping: 6, goAway: 7, headers: 8, windowUpdate: 9 };
const flagFin = 1;
const streamIdMask = 0x7fff_ffff;
const empty = Buffer.alloc(0);

/** Bytes that are no SPDY: the connection is of no use then. */
export class SpdyError extends Error {}

/** Cuts a byte stream into frames. Every method throws SpdyError at what cannot be SPDY/3.1. */
export class FrameReader {
  #rest: Buffer = empty;
  #dataLeft = 0;
  #dataStream = 0;
  #dataFin = false;

  /** Takes what arrived. */
  push(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
  }

  /**
   * The stream whose DATA came last and what is to come of its frame, when all that arrived was read; null when some waits,
   * or the frame is the stream's last.
   */
  get place(): { readonly streamId: number; readonly left: number } | null {
    const last = this.#dataStream === 0 || (this.#dataLeft > 0 && this.#dataFin);
    return last || this.#rest.length > 0 ? null : { streamId: this.#dataStream, left: this.#dataLeft };
  }

  /** The frame at that place, and others, were read elsewhere: what is pushed now begins with a head. */
  skip(): void {
    this.#dataLeft = 0;
  }

  /** The next frame or piece of one; null when more bytes are needed. */
  next(): Frame | null {
    if (this.#dataLeft > 0) return this.#dataPiece();
    if (this.#rest.length < frameHead) return null;
    const first = this.#rest.readUInt32BE(0);
    const second = this.#rest.readUInt32BE(4);
    const flags = second >>> 24;
    const length = second & 0xff_ffff;
    return first >= 0x8000_0000 ? this.#control(first, flags, length) : this.#data(first, flags, length);
  }

  #data(streamId: number, flags: number, length: number): Frame | null {
    if (streamId === 0) throw new SpdyError('data for stream 0');
    this.#rest = this.#rest.subarray(frameHead);
    this.#dataStream = streamId;
    this.#dataFin = (flags & flagFin) !== 0;
    this.#dataLeft = length;
    if (length === 0) return { kind: 'data', streamId, bytes: empty, fin: this.#dataFin };
    return this.#dataPiece();
  }

  #dataPiece(): Frame | null {
    if (this.#rest.length === 0) return null;
    const bytes = this.#rest.subarray(0, this.#dataLeft);
    this.#rest = this.#rest.subarray(bytes.length);
    this.#dataLeft -= bytes.length;
    return { kind: 'data', streamId: this.#dataStream, bytes, fin: this.#dataFin && this.#dataLeft === 0 };
  }

  #control(first: number, flags: number, length: number): Frame | null {
    const version = (first >>> 16) & 0x7fff;
    const type = first & 0xffff;
    if (version !== 3) throw new SpdyError(`a control frame of SPDY version ${version}`);
    if (length > longestControlFrame) throw new SpdyError(`a control frame of ${length} bytes`);
    if (this.#rest.length < frameHead + length) return null;
    const body = this.#rest.subarray(frameHead, frameHead + length);
    this.#rest = this.#rest.subarray(frameHead + length);
    return controlFrame(type, flags, body);
  }
}

function controlFrame(type: number, flags: number, body: Buffer): Frame {
  const fin = (flags & flagFin) !== 0;
  switch (type) {
    case types.synStream:
      return { kind: 'syn-stream', streamId: streamIdOf(body, 10), fin, block: body.subarray(10) };
    case types.synReply:
      return { kind: 'syn-reply', streamId: streamIdOf(body, 4), fin, block: body.subarray(4) };
    case types.headers:
      return { kind: 'headers', streamId: streamIdOf(body, 4), fin, block: body.subarray(4) };
    case types.reset:
      return { kind: 'reset', streamId: streamIdOf(body, 8), status: body.readUInt32BE(4) };
    case types.ping:
      atLeast(body, 4);
      return { kind: 'ping', id: body.readUInt32BE(0) };
    case types.goAway:
      return { kind: 'go-away' };
    default:
      return { kind: 'ignored', type };
  }
}

function streamIdOf(body: Buffer, least: number): number {
  atLeast(body, least);
  const id = body.readUInt32BE(0) & streamIdMask;
  if (id === 0) throw new SpdyError('a control frame for stream 0');
  return id;
}

function atLeast(body: Buffer, bytes: number): void {
  if (body.length < bytes) throw new SpdyError(`a control frame of ${body.length} bytes where ${bytes} are the least`);
}

/** Writes the head of a DATA frame of `length` bytes to `at` of a buffer. */
export function putDataHead(to: Buffer, at: number, { streamId, length, fin }: DataHead): void {
  to.writeUInt32BE(streamId, at);
  to.writeUInt32BE((fin ? flagFin << 24 : 0) + length, at + 4);
}

export interface DataHead {
  readonly streamId: number;
  /** At most 2^24 - 1. */
  readonly length: number;
  readonly fin: boolean;
}

/** A DATA frame; for bulk there is putDataHead. */
export function dataFrame(streamId: number, bytes: Uint8Array, fin: boolean): Buffer {
  const out = Buffer.allocUnsafe(frameHead + bytes.length);
  putDataHead(out, 0, { streamId, length: bytes.length, fin });
  out.set(bytes, frameHead);
  return out;
}

function control(type: number, flags: number, ...parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const head = Buffer.alloc(frameHead);
  head.writeUInt32BE(0x8003_0000 + type, 0);
  head.writeUInt32BE(flags * 2 ** 24 + length, 4);
  return Buffer.concat([head, ...parts]);
}

const u32 = (...values: readonly number[]): Buffer => {
  const out = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) out.writeUInt32BE(value, 4 * i);
  return out;
};

/** SYN_STREAM, as a client sends it. */
export const synStreamFrame = (streamId: number, block: Uint8Array, fin = false): Buffer =>
  control(types.synStream, fin ? flagFin : 0, u32(streamId, 0), Buffer.alloc(2), block);

/** SYN_REPLY. */
export const synReplyFrame = (streamId: number, block: Uint8Array): Buffer =>
  control(types.synReply, 0, u32(streamId), block);

/** RST_STREAM. */
export const resetFrame = (streamId: number, status: ResetStatus): Buffer =>
  control(types.reset, 0, u32(streamId, status));

/** PING. Ids of clients are odd, of servers even. */
export const pingFrame = (id: number): Buffer => control(types.ping, 0, u32(id));

/** GOAWAY with the last stream that was taken. */
export const goAwayFrame = (lastStreamId: number): Buffer => control(types.goAway, 0, u32(lastStreamId, 0));
