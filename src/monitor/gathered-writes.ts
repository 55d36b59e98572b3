// Many small writes to a socket as few large ones: what comes within one turn of the event loop is sent together.
// Must not know what is written.
import type { Socket } from 'node:net';

/** Bytes that wait for their reader before the writer is asked to wait too. */
const enough = 128 * 1024;
/** The buffer of who writes little, and of who writes much. */
const smallestSlab = 8 * 1024;
const largestSlab = 256 * 1024;

/**
 * Writes are copied into a buffer of their own. What waits for its reader would otherwise outlive the young generation
 * of the heap, and be freed only by collections of all of it: those cost more than the copy, and each write of a frame's
 * pieces a system call.
 */
export class GatheredWrites {
  readonly #socket: Socket;
  #slab: Buffer = Buffer.alloc(0);
  /** Whether more came at once than the buffer holds. */
  #crowded = false;
  /** Where unsent bytes begin and end. What is before was handed to the socket, and may still wait there. */
  #from = 0;
  #to = 0;
  #scheduled = false;
  /** Whether the writer was asked to wait. */
  #holding = false;
  #drained: () => void = () => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('drain', () => this.#release());
    socket.on('close', () => this.#release()); // what comes is dropped from now on
  }

  /** Whether more may follow at once. The bytes are the caller's again. */
  write(bytes: Buffer): boolean {
    if (this.#socket.destroyed) return true;
    if (this.#fits(bytes.length)) {
      this.#slab.set(bytes, this.#to);
      this.#to += bytes.length;
      if (!this.#scheduled) process.nextTick(() => this.#send());
      this.#scheduled = true;
      this.#holding = this.#socket.writableLength + this.#to - this.#from >= enough;
    } else {
      this.#crowded = true;
      this.#send();
      // one such write at a time, however small
      this.#socket.write(Buffer.from(bytes), () => this.#release());
      this.#holding = this.#socket.writableLength > 0;
    }
    return !this.#holding;
  }

  /** Called each time when more may follow after a write that said no. */
  onDrain(then: () => void): void {
    this.#drained = then;
  }

  /** Gives the kernel what it takes; whether that was all. */
  flush(): boolean {
    this.#send();
    return this.#from === this.#to && this.#socket.writableLength === 0;
  }

  end(): void {
    this.#send();
    this.#socket.end();
  }

  #fits(length: number): boolean {
    if (this.#from === this.#to && this.#socket.writableLength === 0) {
      this.#from = 0;
      this.#to = 0;
      this.#grow(length);
    }
    return this.#to + length <= this.#slab.length;
  }

  #grow(length: number): void {
    const wanted = Math.max(smallestSlab, length, this.#crowded ? 2 * this.#slab.length : this.#slab.length);
    const size = Math.min(largestSlab, wanted);
    if (size > this.#slab.length) this.#slab = Buffer.allocUnsafeSlow(size);
    this.#crowded = false;
  }

  #send(): void {
    this.#scheduled = false;
    if (this.#from === this.#to || this.#socket.destroyed) return;
    const bytes = this.#slab.subarray(this.#from, this.#to);
    this.#from = this.#to;
    if (this.#socket.write(bytes)) this.#release(); // else it drains
  }

  #release(): void {
    if (!this.#holding) return;
    this.#holding = false;
    this.#drained();
  }
}
