// One raw connection to a monitor (proto OpenStream): a stream of a process, or a port in the pod.
// Must not know who reads or writes it.
import { connect, type Socket } from 'node:net';
import { unavailable } from '../lib/failure.ts';
import { handleOf } from '../lib/socket-handle.ts';
import type { CarryFraming } from '../native/boundary.ts';
import { decodeFrame, encodeFrame, type FrameObject } from '../proto/monitor-codec.ts';
import { type CarriedInput, type Carrier } from './carrier.ts';
import { abandonedBy, fromMonitor } from './client.ts';
import { frameBytes, maxFrameBytes } from './frames.ts';
import { GatheredWrites } from './gathered-writes.ts';

/** What is opened: proto OpenStream. */
export type OpenStream = NonNullable<NonNullable<FrameObject['request']>['openStream']>;

/** Bytes that were read, in the stream's own buffer. */
export interface StreamChunk {
  readonly slab: Buffer;
  readonly start: number;
  readonly end: number;
}

/** Who takes what is read. */
export interface StreamReceiver {
  /** Whether the slab is free again; if not, nothing is read until `resume`. */
  readonly data: (chunk: StreamChunk) => boolean;
  /** Nothing follows. */
  readonly end: () => void;
}

/** Free bytes before each chunk. */
const headroom = 16;
/** The buffer of a stream that says little, and of one that says much. */
const smallestSlab = 8 * 1024;
const largestSlab = 256 * 1024;

/** Where a monitor listens, and what carries input to it past the event loop. */
export interface MonitorEnd {
  readonly path: string;
  readonly carrier: Carrier;
}

interface Chunk extends StreamChunk {
  start: number;
  end: number;
}

/**
 * An open stream. It reads into one buffer again and again, which grows while reads fill it, and hands that buffer out:
 * what is read is not copied, and a reader that does not take it stops the reading. At most one buffer is held.
 */
export class RawStream {
  readonly #socket: Socket;
  #slab = Buffer.allocUnsafeSlow(headroom + smallestSlab);
  #chunk: Chunk = { slab: this.#slab, start: headroom, end: headroom };
  #grow = false;
  #receiver: StreamReceiver | null = null;
  /** Until the monitor has answered. */
  #answer: { bytes: Buffer; readonly resolve: () => void; readonly reject: (error: Error) => void } | null;
  /** What came right behind the answer. */
  #early: Buffer | null = null;
  #ended = false;
  readonly #output: GatheredWrites;
  readonly #carrier: Carrier;

  private constructor(
    { path, carrier }: MonitorEnd,
    answered: { resolve: () => void; reject: (error: Error) => void },
  ) {
    this.#carrier = carrier;
    this.#answer = { bytes: Buffer.alloc(0), ...answered };
    this.#socket = connect({
      path,
      allowHalfOpen: true,
      onread: { buffer: () => this.#nextBuffer(), callback: (length) => this.#received(length) },
    });
    this.#output = new GatheredWrites(this.#socket);
    this.#socket.on('error', (error) => {
      this.#answer?.reject(unavailable('open a stream at the monitor', error));
      this.#socket.destroy(); // a reader or writer that is gone: 'close' follows
    });
    this.#socket.on('end', () => this.#end());
    this.#socket.on('close', () => this.#end());
  }

  /** Opens a stream at a monitor. Rejects with what the monitor says. */
  static async open(at: MonitorEnd, openStream: OpenStream, signal: AbortSignal): Promise<RawStream> {
    if (signal.aborted) throw abandonedBy(signal);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const stream = new RawStream(at, { resolve, reject });
    const abandon = (): void => reject(abandonedBy(signal));
    signal.addEventListener('abort', abandon, { once: true });
    stream.#socket.write(frameBytes(encodeFrame({ request: { id: '1', openStream } })));
    try {
      await promise;
      return stream;
    } catch (error) {
      stream.release();
      throw error;
    } finally {
      signal.removeEventListener('abort', abandon);
    }
  }

  /** Begins to read. */
  start(receiver: StreamReceiver): void {
    this.#receiver = receiver;
    const early = this.#early;
    this.#early = null;
    const more = early === null || receiver.data({ slab: early, start: headroom, end: early.length });
    if (this.#ended) receiver.end();
    else if (more) this.resume();
  }

  /** Reads on: the slab is free. */
  resume(): void {
    this.#socket.resume();
  }

  /** Whether more may be written at once; if not, `onDrain` tells when. The bytes are the caller's again. */
  write(bytes: Buffer): boolean {
    return this.#output.write(bytes);
  }

  onDrain(then: () => void): void {
    this.#output.onDrain(then);
  }

  /** No more input: shutdown(SHUT_WR). */
  end(): void {
    this.#output.end();
  }

  /**
   * Takes input right from the client's connection with this descriptor, which nobody reads until then; null when that
   * cannot be now. Nothing is to be written until it settles.
   */
  carry(fd: number, framing: CarryFraming, signal: AbortSignal): Promise<CarriedInput> | null {
    // both descriptors are used in this turn of the event loop: later they may be somebody else's
    const handle = handleOf(this.#socket);
    if (!handle || !this.#carrier.hasRoom() || !this.#output.flush()) return null;
    return this.#carrier.carry({ from: fd, to: handle.fd, framing }, signal);
  }

  /** Called once when both directions have ended, or it broke. */
  onClose(then: () => void): void {
    if (this.#socket.closed) then();
    else this.#socket.once('close', then);
  }

  /** Cuts it. */
  release(): void {
    this.#socket.destroy();
  }

  #nextBuffer(): Uint8Array {
    if (this.#grow) {
      this.#grow = false;
      this.#slab = Buffer.allocUnsafeSlow(headroom + Math.min(largestSlab, 4 * (this.#slab.length - headroom)));
      this.#chunk = { slab: this.#slab, start: headroom, end: headroom };
    }
    return this.#slab.subarray(headroom);
  }

  /** Answers whether to read on. */
  #received(length: number): boolean {
    if (this.#answer) return this.#answered(this.#slab.subarray(headroom, headroom + length));
    const chunk = this.#chunk;
    chunk.end = headroom + length;
    this.#grow = chunk.end === chunk.slab.length && length < largestSlab;
    return this.#receiver?.data(chunk) ?? false;
  }

  #answered(bytes: Buffer): boolean {
    const answer = this.#answer;
    if (!answer) return false;
    answer.bytes = Buffer.concat([answer.bytes, bytes]);
    const length = answer.bytes.length < 4 ? Infinity : answer.bytes.readUInt32BE(0);
    if (length > maxFrameBytes && length !== Infinity) {
      answer.reject(unavailable('the monitor answered what is no frame'));
      return false;
    }
    if (answer.bytes.length < 4 + length) return true;
    this.#answer = null;
    const rest = answer.bytes.subarray(4 + length);
    if (rest.length > 0) this.#early = Buffer.concat([Buffer.alloc(headroom), rest]);
    try {
      const failure = decodeFrame(answer.bytes.subarray(4, 4 + length)).response?.failure;
      if (failure) answer.reject(fromMonitor(failure));
      else answer.resolve();
    } catch (error) {
      answer.reject(unavailable('the monitor answered what is no frame', error));
    }
    return false;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#answer?.reject(unavailable('the monitor closed the connection'));
    this.#receiver?.end();
  }
}
