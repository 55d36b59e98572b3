// Frames of the daemon ↔ monitor talk: u32 big-endian length, then that many bytes.
// Must not know what is in a frame.

/** Largest frame either side may send (proto/monitor.proto). */
export const maxFrameBytes = 20 * 1024 * 1024;

/** A frame with its length in front. */
export function frameBytes(body: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(4 + body.length);
  out.writeUInt32BE(body.length, 0);
  out.set(body, 4);
  return out;
}

/** Cuts a byte stream into frames. A length over the limit throws: the connection is of no use then. */
export class FrameReader {
  #held: Buffer[] = [];
  #heldBytes = 0;

  /** Takes what arrived; gives the frames that are whole now, also those before one that is too long. */
  push(chunk: Buffer): Generator<Buffer, void> {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    return this.#whole();
  }

  *#whole(): Generator<Buffer, void> {
    while (this.#heldBytes >= 4) {
      const head = this.#first(4);
      const length = head.readUInt32BE(0);
      if (length > maxFrameBytes) throw new RangeError(`a frame of ${length} bytes exceeds ${maxFrameBytes}`);
      if (this.#heldBytes < 4 + length) return;
      const whole = this.#first(4 + length);
      const rest = whole.subarray(4 + length);
      this.#held[0] = rest;
      if (rest.length === 0) this.#held.shift();
      this.#heldBytes -= 4 + length;
      yield whole.subarray(4, 4 + length);
    }
  }

  /** The held bytes' first buffer, grown to at least `size` bytes. */
  #first(size: number): Buffer {
    const [first] = this.#held;
    if (first && first.length >= size) return first;
    const joined = Buffer.concat(this.#held);
    this.#held = [joined];
    return joined;
  }
}
