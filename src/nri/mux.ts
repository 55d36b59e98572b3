// PURE
// NRI's border: plugins connect here or are launched, are told of pods and containers, and change what is made.
// Must not decide what a container is: verbs ask by ports of their own, and what plugins want goes through those verbs.
//
// Frames of a multiplexed connection (github.com/containerd/nri, pkg/net/multiplex): connection id and length of the
// payload, 32 bits each, big endian.

/** The connection on which the plugin serves, and the one on which the runtime does. */
export const connections = { plugin: 1, runtime: 2 } as const;

const headerBytes = 8;

/** Bytes of the greatest ttrpc message, without its header (PROTOCOL.md). */
export const largestMessage = 4 * 1024 * 1024;

/** Bytes of the greatest payload: a whole ttrpc message with its header. */
const largestPayload = largestMessage + 10;

/** Bytes that arrive in pieces. */
export class ByteQueue {
  #chunks: Buffer[] = [];
  #bytes = 0;

  get length(): number {
    return this.#bytes;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** The first `count` bytes without taking them away; there must be so many. */
  peek(count: number): Buffer {
    const [first] = this.#chunks;
    if (first === undefined || first.length < count) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0]?.subarray(0, count) ?? Buffer.alloc(0);
  }

  /** Takes the first `count` bytes; there must be so many. */
  take(count: number): Buffer {
    const taken = this.peek(count);
    const rest = this.#chunks[0]?.subarray(count) ?? Buffer.alloc(0);
    this.#chunks = [...(rest.length > 0 ? [rest] : []), ...this.#chunks.slice(1)];
    this.#bytes -= count;
    return taken;
  }
}

/** A frame's payload, and whose it is. */
export interface MuxFrame {
  readonly connection: number;
  readonly payload: Buffer;
}

/** Takes frames out of a stream of bytes. */
export class MuxDecoder {
  readonly #bytes = new ByteQueue();

  /** The frames that are whole now. Throws a RangeError on one that nobody may send: the stream has no way back then. */
  push(chunk: Buffer): MuxFrame[] {
    this.#bytes.push(chunk);
    const frames: MuxFrame[] = [];
    while (this.#bytes.length >= headerBytes) {
      const header = this.#bytes.peek(headerBytes);
      const [connection, length] = [header.readUInt32BE(0), header.readUInt32BE(4)];
      if (length > largestPayload)
        throw new RangeError(`a frame of connection ${connection} has ${length} bytes, more than ${largestPayload}`);
      if (this.#bytes.length < headerBytes + length) break;
      this.#bytes.take(headerBytes);
      frames.push({ connection, payload: this.#bytes.take(length) });
    }
    return frames;
  }
}

/** Size of the buffer that Go's end of a connection reads a frame into. */
const readBuffer = 4096;

/**
 * A whole ttrpc message as frames. The other end takes a frame in one read: into its buffer, or straight into the
 * message when more than a buffer of it is missing. So the first frame fits the buffer, and the second is the rest; more
 * than these would overflow its queue of 256 frames.
 */
export function encodeMux(connection: number, message: Buffer): Buffer[] {
  const parts = [message.subarray(0, readBuffer), message.subarray(readBuffer)];
  return parts.flatMap((part, at) => {
    if (part.length === 0 && at > 0) return [];
    const header = Buffer.alloc(headerBytes);
    header.writeUInt32BE(connection, 0);
    header.writeUInt32BE(part.length, 4);
    return [header, part];
  });
}
