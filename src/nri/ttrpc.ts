// PURE
// Messages of ttrpc 1.2 (PROTOCOL.md): ten bytes of length, stream, type and flags, then the data.
import { ByteQueue, largestMessage } from './mux.ts';

/** Types of messages. */
export const messageTypes = { request: 1, response: 2, data: 3 } as const;

const headerBytes = 10;

/** Codes of gRPC that are told apart here. */
export const codes = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  notFound: 5,
  resourceExhausted: 8,
  unimplemented: 12,
} as const;

/** One message. */
export interface TtrpcMessage {
  readonly stream: number;
  readonly type: number;
  readonly flags: number;
  readonly data: Buffer;
}

/** A message that may not be sent: it is too long. */
export class Oversized extends RangeError {
  readonly bytes: number;

  constructor(bytes: number) {
    super(`a message has ${bytes} bytes, more than ${largestMessage}`);
    this.bytes = bytes;
  }
}

/** Takes messages out of the bytes of one connection. */
export class TtrpcDecoder {
  readonly #bytes = new ByteQueue();

  /** The messages that are whole now. Throws a RangeError on one that is too long. */
  push(chunk: Buffer): TtrpcMessage[] {
    this.#bytes.push(chunk);
    const messages: TtrpcMessage[] = [];
    while (this.#bytes.length >= headerBytes) {
      const header = this.#bytes.peek(headerBytes);
      const length = header.readUInt32BE(0);
      if (length > largestMessage) throw new Oversized(length);
      if (this.#bytes.length < headerBytes + length) break;
      const [stream, type, flags] = [header.readUInt32BE(4), header.readUInt8(8), header.readUInt8(9)];
      this.#bytes.take(headerBytes);
      messages.push({ stream, type, flags, data: this.#bytes.take(length) });
    }
    return messages;
  }
}

/** A message as bytes. Throws Oversized. */
export function encodeTtrpc({ stream, type, flags, data }: TtrpcMessage): Buffer {
  if (data.length > largestMessage) throw new Oversized(data.length);
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32BE(data.length, 0);
  header.writeUInt32BE(stream, 4);
  header.writeUInt8(type, 8);
  header.writeUInt8(flags, 9);
  return Buffer.concat([header, data]);
}
