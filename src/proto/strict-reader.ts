// Reads protobuf of callers as the specification has it where protobufjs is lenient.
// Must not know any message.
import { isUtf8 } from 'node:buffer';
import protobuf from 'protobufjs/minimal.js';

/**
 * A reader that refuses texts that are not UTF-8 (protobuf language guide, "string") or that reach beyond their
 * message. protobufjs puts U+FFFD for the one and cuts the other off: names would change on their way.
 */
class StrictReader extends protobuf.BufferReader {
  override string(): string {
    const length = this.uint32();
    const end = this.pos + length;
    if (end > this.len) throw new RangeError('a text is longer than its message');
    const bytes = this.buf.subarray(this.pos, end);
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, length).toString('utf8');
    if (text.includes('\uFFFD') && !isUtf8(bytes)) throw new TypeError('a text is not valid UTF-8');
    this.pos = end;
    return text;
  }
}

/** Bytes that are no message of the type they came as. */
export class Malformed {
  /** Why, for people. */
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

/**
 * A decoder that gives `Malformed` instead of throwing: gRPC servers answer a decoder that throws with INTERNAL,
 * but bytes that are no request are the caller's fault.
 */
export const strictDecoder =
  (decode: (bytes: Buffer) => object) =>
  (bytes: Buffer): object => {
    try {
      // generated decoders take a reader in the place of bytes (protobufjs Type.decode)
      return decode(new StrictReader(bytes) as unknown as Buffer);
    } catch (error) {
      return new Malformed(error instanceof Error ? error.message : String(error));
    }
  };
