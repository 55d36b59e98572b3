// PURE
// Protobuf bytes of answers that are too many for the codec (proto/cri-codec.ts), which makes objects of
// everything first. Field numbers come from those who write.

const safe = BigInt(Number.MAX_SAFE_INTEGER);

/** How many bytes a varint has. */
export function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) length += 1;
  return length;
}

/** Bytes written one behind the other into room that grows. */
export class Writer {
  #room: Buffer;
  /** Bytes of the room that are used. */
  #length = 0;
  /** Those of them that were handed over. */
  #given = 0;

  /** `room` bytes to begin with. */
  constructor(room: number) {
    this.#room = Buffer.allocUnsafe(room);
  }

  /** A copy of what was written; the room is used again. */
  take(): Buffer {
    const taken = Buffer.from(this.#room.subarray(this.#given, this.#length));
    this.#length = this.#given;
    return taken;
  }

  /** What was written, and not a copy of it: what is written next has a room of its own, or another part of this one. */
  handOver(): Buffer {
    const given = this.#room.subarray(this.#given, this.#length);
    this.#given = this.#length;
    return given;
  }

  bytes(part: Uint8Array): void {
    this.#reserve(part.byteLength);
    this.#room.set(part, this.#length);
    this.#length += part.byteLength;
  }

  /** The tag of a field: its number and wire type (0 varint, 1 eight bytes, 2 length-delimited). */
  tag(number: number, wireType: 0 | 1 | 2): void {
    this.varint(number * 8 + wireType);
  }

  /** A whole number, at least 0. */
  varint(value: number): void {
    this.#reserve(10);
    let rest = value;
    // beyond 2^31 the bit operators do not reach
    for (; rest > 0x7fffffff; rest = Math.floor(rest / 128)) this.#room[this.#length++] = (rest % 128) | 0x80;
    for (; rest > 0x7f; rest >>>= 7) this.#room[this.#length++] = (rest & 0x7f) | 0x80;
    this.#room[this.#length++] = rest;
  }

  /** A field of type uint64 or int64, at least 0 and below 2^64; left out if 0. */
  count(number: number, value: bigint): void {
    if (value === 0n) return;
    this.tag(number, 0);
    let rest = value;
    this.#reserve(10);
    for (; rest > safe; rest >>= 7n) this.#room[this.#length++] = Number(rest & 0x7fn) | 0x80;
    this.varint(Number(rest));
  }

  /** A field of type double; left out if 0. */
  double(number: number, value: number): void {
    if (value === 0) return;
    this.tag(number, 1);
    this.#reserve(8);
    this.#length = this.#room.writeDoubleLE(value, this.#length);
  }

  /** A length-delimited field. */
  field(number: number, body: Uint8Array): void {
    this.tag(number, 2);
    this.varint(body.byteLength);
    this.bytes(body);
  }

  /** A field of type string; left out if empty. */
  text(number: number, value: string): void {
    if (value !== '') this.field(number, Buffer.from(value));
  }

  /**
   * A field that is a message; also if nothing is written into it. Its length is expected to be so many bytes long: if it
   * is not, the message is moved.
   */
  message(number: number, write: () => void, lengthBytes = 1): void {
    this.tag(number, 2);
    this.#reserve(lengthBytes);
    // rooms change, distances from what was handed over do not
    const at = this.#length - this.#given;
    this.#length += lengthBytes;
    write();
    const begin = this.#given + at;
    const length = this.#length - begin - lengthBytes;
    const more = varintLength(length) - lengthBytes;
    if (more !== 0) {
      this.#reserve(Math.max(more, 0));
      const now = this.#given + at;
      this.#room.copyWithin(now + lengthBytes + more, now + lengthBytes, this.#length);
    }
    this.#length = this.#given + at;
    this.varint(length);
    this.#length += length;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#room.byteLength) return;
    const pending = this.#length - this.#given;
    // what was handed over stays where it is: only what was not goes on in the new room
    const larger = Buffer.allocUnsafe(Math.max(this.#room.byteLength, pending * 2, pending + bytes));
    this.#room.copy(larger, 0, this.#given, this.#length);
    [this.#room, this.#length, this.#given] = [larger, pending, 0];
  }
}
