// One stream of a SPDY connection: an outlet and an inlet that end by themselves.
// Must not know what it is for.
import type { Carried, Chunk, Inlet, InletReceiver, Outlet } from '../streams.ts';
import { dataFrame, frameHead, putDataHead, resetFrame, type ResetStatus, resetStatus } from './frames.ts';
import type { Headers } from './headers.ts';

/** What holding a frame costs beside its bytes: frames may have a single one. */
const frameCost = 256;

/** What a stream needs of its connection. */
export interface StreamCarrier {
  /** Sends the bytes of a chunk's slab from `from` on; see Outlet. */
  send(chunk: Chunk, from: number, flushed: () => void): boolean;
  sendFrame(frame: Buffer): void;
  /** The stream holds `bytes` more (or less) than before, `all` in total. */
  hold(bytes: number, all: number): void;
  /** The stream is over. */
  forget(streamId: number): void;
}

/** The server's end of a stream that the client opened. */
export class SpdyStream implements Outlet, Inlet {
  readonly id: number;
  readonly headers: Headers;
  readonly #connection: StreamCarrier;
  /** What the client sent and the reader has not taken. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #receiver: InletReceiver | null = null;
  #wanted = true;
  #clientEnded = false;
  #toldEnd = false;
  #ended = false;
  #onReset: (() => void) | null = null;
  #wasReset = false;

  constructor(connection: StreamCarrier, id: number, headers: Headers) {
    this.#connection = connection;
    this.id = id;
    this.headers = headers;
  }

  /** Called once when the client resets the stream or is gone; at once if it was. */
  onReset(then: () => void): void {
    if (this.#wasReset) then();
    else this.#onReset = then;
  }

  open(receiver: InletReceiver): void {
    if (this.#wasReset) return receiver.end();
    this.#receiver = receiver;
    this.#deliver();
  }

  resume(): void {
    this.#wanted = true;
    this.#deliver();
  }

  write(chunk: Chunk, flushed: () => void): boolean {
    if (this.#ended) return true;
    const from = chunk.start - frameHead;
    putDataHead(chunk.slab, from, { streamId: this.id, length: chunk.end - chunk.start, fin: false });
    return this.#connection.send(chunk, from, flushed);
  }

  /** Sends a short text. */
  writeText(text: string): void {
    if (!this.#ended) this.#connection.sendFrame(dataFrame(this.id, Buffer.from(text), false));
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#connection.sendFrame(dataFrame(this.id, Buffer.alloc(0), true));
    if (this.#clientEnded) this.#connection.forget(this.id);
  }

  /** Ends both directions at once. */
  reset(status: ResetStatus = resetStatus.cancel): void {
    const told = this.#ended && this.#clientEnded;
    this.#close();
    if (!told) this.#connection.sendFrame(resetFrame(this.id, status));
  }

  /** The connection's: a piece of data came. */
  receive(bytes: Buffer, fin: boolean): void {
    if (this.#clientEnded) return; // what comes after an end is nobody's
    this.#clientEnded = fin;
    if (bytes.length > 0) {
      if (this.#receiver && this.#wanted && this.#held.length === 0) this.#wanted = this.#receiver.data(bytes);
      else this.#hold(bytes);
    }
    this.#deliver();
    if (fin && this.#ended) this.#connection.forget(this.id);
  }

  /** The connection's: the next frames shall go to the reader without it. Null when they cannot. */
  carry(fd: number, left: number, signal: AbortSignal): Promise<Carried> | null {
    if (!this.#receiver || !this.#wanted || this.#held.length > 0 || this.#clientEnded) return null;
    return this.#receiver.carry(fd, { type: 'spdy', streamId: this.id, left }, signal);
  }

  /** The connection's: the stream was reset, or the client is gone. */
  receiveReset(): void {
    const then = this.#onReset;
    const receiver = this.#toldEnd ? null : this.#receiver;
    this.#wasReset = true;
    this.#close();
    then?.();
    receiver?.end();
  }

  #close(): void {
    this.#ended = true;
    this.#clientEnded = true;
    this.#toldEnd = true;
    this.#receiver = null;
    this.#onReset = null;
    this.#drop();
    this.#connection.forget(this.id);
  }

  #hold(bytes: Buffer): void {
    this.#held.push(bytes);
    this.#count(bytes.length + frameCost);
  }

  #drop(): void {
    this.#held = [];
    this.#count(-this.#heldBytes);
  }

  #count(bytes: number): void {
    this.#heldBytes += bytes;
    if (bytes !== 0) this.#connection.hold(bytes, this.#heldBytes);
  }

  #deliver(): void {
    const receiver = this.#receiver;
    if (!receiver) return;
    while (this.#wanted) {
      const bytes = this.#held.shift();
      if (bytes === undefined) break;
      this.#wanted = receiver.data(bytes);
      this.#count(-bytes.length - frameCost);
    }
    if (!this.#clientEnded || this.#toldEnd || this.#held.length > 0) return;
    this.#toldEnd = true;
    receiver.end();
  }
}
