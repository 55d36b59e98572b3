// A client's input past the event loop: while it sends much, and nothing else, its connection is lent to who can carry it.
// Must not know how input is framed.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { handleOf } from '../lib/socket-handle.ts';
import type { Carried } from './streams.ts';

/** So much input makes it worth while, in bytes. */
const much = 512 * 1024;

/** Who speaks the protocol of the connection. */
export interface ExpressUser {
  /**
   * Has input carried from the connection with this descriptor, or null when that cannot be now. What was read before
   * has all been handed on by then; nothing is read until the promise settles.
   */
  readonly carry: (fd: number, signal: AbortSignal) => Promise<Carried> | null;
  /** Something was read elsewhere: `rest`, perhaps nothing, goes before what is read from now on. */
  readonly goOn: (rest: Buffer) => void;
}

/** The lane beside one connection. One with TLS, or inside of another, has none: it is served as ever. */
export class ExpressLane {
  readonly #wire: Duplex;
  readonly #user: ExpressUser;
  #input = 0;
  #lent: AbortController | null = null;
  #closed = false;

  constructor(wire: Duplex, user: ExpressUser) {
    this.#wire = wire;
    this.#user = user;
  }

  /** So many bytes were read and handed on. */
  took(bytes: number): void {
    if (this.#lent || this.#closed) return;
    this.#input += bytes;
    if (this.#input >= much) this.#lend();
  }

  /** The connection is wanted back for good. */
  close(): void {
    this.#closed = true;
    this.#lent?.abort();
  }

  #lend(): boolean {
    const handle = handleOf(this.#wire);
    if (!handle || this.#closed || this.#wire.readableLength > 0) return false;
    const lent = new AbortController();
    const carried = this.#user.carry(handle.fd, lent.signal);
    if (!carried) return false;
    handle.readStop(); // Node goes on to believe that it reads, and so does not begin again
    this.#lent = lent;
    carried.then(
      (done) => this.#takeBack(done),
      (error: unknown) => this.#wire.destroy(error as Error), // nobody knows what of its input is lost
    );
    return true;
  }

  #takeBack({ bytes, rest, stop }: Carried): void {
    if (this.#wire.destroyed) return;
    const socket = this.#wire as Socket;
    if (bytes > 0) socket.setTimeout(socket.timeout ?? 0); // begins anew: it was not idle
    if (rest) this.#user.goOn(rest);
    this.#lent = null;
    if (this.#wire.destroyed || (stop === 'done' && this.#lend())) return;
    if (stop !== 'done') this.#input = 0;
    handleOf(this.#wire)?.readStart();
  }
}
