// A WebSocket with Kubernetes channels: outlets and inlets by number, with the limits of what a client may make us hold.
// Must not know what a channel is for.
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { ExpressLane } from '../express.ts';
import type { Carried, Chunk, Inlet, InletReceiver, InputFraming, Outlet } from '../streams.ts';
import { headroom } from '../streams.ts';
import { type ChannelProtocol, closeSignal, decodeMessage, encodeMessage } from './channels.ts';
import { FrameTrack } from './frame-track.ts';
import { endStalled } from '../last-words.ts';

/** Largest message that is taken, in bytes: with what one more read brings, a session holds 1 MiB. */
export const longestMessage = 2 ** 20 - 64 * 1024;
/** How long the client may take to answer our close, in milliseconds. */
const closeMs = 5000;
/** How often a client that is not being read is asked whether it is alive, in milliseconds. */
const pingEveryMs = 15_000;

/** A connection that was upgraded. */
export interface UpgradedSocket {
  readonly ws: WebSocket;
  /** The TCP connection below. */
  readonly socket: Socket;
  readonly protocol: ChannelProtocol;
}

/** The channels of one WebSocket. */
export class ChannelConnection {
  readonly #ws: WebSocket;
  readonly #socket: Socket;
  readonly #protocol: ChannelProtocol;
  readonly #inlets = new Map<number, ChannelInlet>();
  readonly #track = new FrameTrack();
  readonly #express: ExpressLane;
  #messages = 0;
  #lastChannel = 0;
  /** Messages of ours that the kernel has not taken. */
  #unsent = 0;
  #full = 0;
  #pinging: NodeJS.Timeout | null = null;
  #state: 'open' | 'ending' | 'closed' = 'open';
  #lost: string | null = null;
  #onLost: ((why: string) => void) | null = null;

  constructor({ ws, socket, protocol }: UpgradedSocket) {
    this.#ws = ws;
    this.#socket = socket;
    this.#protocol = protocol;
    this.#express = new ExpressLane(socket, {
      carry: (fd, signal) => this.#carry(fd, signal),
      goOn: (rest) => void (rest.length > 0 && socket.unshift(rest)),
    });
    ws.on('message', (message: Buffer) => {
      this.#messages += 1;
      this.#receive(message);
    });
    // behind the library's own: the messages in these bytes have been handed on
    socket.on('data', (bytes: Buffer) => {
      this.#track.push(bytes);
      this.#express.took(bytes.length);
    });
    ws.on('error', (error) => this.#lose(error.message));
    ws.on('close', (code) => this.#lose(`the client closed the connection (${code})`));
  }

  get protocol(): ChannelProtocol {
    return this.#protocol;
  }

  /** Called once when the client is gone; not after `end`. */
  onLost(then: (why: string) => void): void {
    this.#onLost = then;
    if (this.#lost !== null) then(this.#lost);
  }

  /** The client's side of a channel: it is dropped unless somebody receives it. */
  inlet(channel: number): Inlet {
    const inlet = new ChannelInlet((full) => this.#steer(full));
    this.#inlets.set(channel, inlet);
    return inlet;
  }

  /** Our side of a channel. Clients of exec and attach know no end of a channel of ours; our own, for ports, do. */
  outlet(channel: number, { tellsEnd }: { readonly tellsEnd: boolean } = { tellsEnd: false }): Outlet {
    let ended = false;
    return {
      write: (chunk, flushed) => this.#send(channel, chunk, flushed),
      end: () => {
        if (tellsEnd && !ended && this.#protocol.closes && this.#state === 'open') {
          this.#ws.send(Buffer.from([closeSignal, channel]));
        }
        ended = true;
      },
    };
  }

  /** Sends a short message; an empty one tells the client that the channel is there. */
  sendBytes(channel: number, bytes: Uint8Array): void {
    const slab = Buffer.concat([Buffer.alloc(headroom), bytes]);
    this.#send(channel, { slab, start: headroom, end: slab.length }, () => undefined);
  }

  /** Closes normally after everything written was sent: a client that reads slowly is waited for until then. */
  end(): void {
    if (this.#state !== 'open') return;
    this.#state = 'ending';
    this.#stopPinging();
    this.#express.close();
    this.#ws.resume();
    endStalled(
      () => this.#ws.bufferedAmount,
      () => this.#ws.terminate(),
    );
    this.#closeWhenSent();
  }

  #closeWhenSent(): void {
    if (this.#state !== 'ending' || this.#unsent > 0 || this.#ws.readyState !== this.#ws.OPEN) return;
    this.#ws.close(1000);
    setTimeout(() => this.#ws.terminate(), closeMs).unref();
  }

  /** Closes because of the client's fault. */
  refuse(why: string): void {
    this.#ws.close(1002, why.slice(0, 120));
    this.#lose(why);
  }

  #send(channel: number, chunk: Chunk, flushed: () => void): boolean {
    if (this.#state !== 'open') return true;
    const message = encodeMessage(this.#protocol, channel, chunk);
    this.#unsent += 1;
    this.#ws.send(message, { binary: typeof message !== 'string', compress: false }, () => {
      this.#unsent -= 1;
      flushed();
      this.#closeWhenSent();
    });
    return this.#socket.writableLength === 0;
  }

  #receive(message: Buffer): void {
    if (this.#state !== 'open') return;
    const what = decodeMessage(this.#protocol, message);
    if (what.kind === 'wrong') this.refuse(what.why);
    else if (what.kind === 'close') this.#inlets.get(what.channel)?.receiveEnd();
    else if (what.kind === 'data' && what.bytes.length > 0) {
      this.#lastChannel = what.channel;
      this.#inlets.get(what.channel)?.receive(what.bytes);
    }
  }

  /** Messages of the channel that was read last go to its reader at once, while nothing else is under way. */
  #carry(fd: number, signal: AbortSignal): ReturnType<ChannelInlet['carry']> {
    const { left, messages } = this.#track;
    const [channel, { base64 }] = [this.#lastChannel, this.#protocol];
    if (this.#state !== 'open' || base64 || left === null || this.#full > 0) return null;
    if (this.#ws.isPaused || messages !== this.#messages) return null; // the library has something yet
    return (
      this.#inlets.get(channel)?.carry(fd, { type: 'websocket', channel, left, longest: longestMessage }, signal) ??
      null
    );
  }

  #steer(full: boolean): void {
    this.#full += full ? 1 : -1;
    if (this.#state !== 'open') return;
    if (this.#full > 0) this.#ws.pause();
    else this.#ws.resume();
    if (this.#full === 0) this.#stopPinging();
    // a client that is not read cannot be seen to leave: what is written to it tells
    else this.#pinging ??= setInterval(() => this.#ws.ping(), pingEveryMs).unref();
  }

  #stopPinging(): void {
    if (this.#pinging) clearInterval(this.#pinging);
    this.#pinging = null;
  }

  #lose(why: string): void {
    if (this.#state === 'closed') return;
    const wasOpen = this.#state === 'open';
    this.#state = 'closed';
    this.#stopPinging();
    this.#express.close();
    if (!wasOpen) return;
    this.#lost = why;
    this.#onLost?.(why);
  }
}

/** Bytes of one channel on their way to whoever receives them. */
class ChannelInlet implements Inlet {
  readonly #tellFull: (full: boolean) => void;
  #receiver: InletReceiver | null = null;
  /** What came although we had paused: the rest of one read. */
  #held: Buffer[] = [];
  #full = false;
  #ended = false;
  #toldEnd = false;

  constructor(tellFull: (full: boolean) => void) {
    this.#tellFull = tellFull;
  }

  open(receiver: InletReceiver): void {
    this.#receiver = receiver;
    this.#setFull(false);
    this.#deliver();
  }

  resume(): void {
    this.#setFull(false);
    this.#deliver();
  }

  receive(bytes: Buffer): void {
    if (this.#ended) return;
    this.#held.push(bytes);
    if (!this.#receiver) this.#setFull(true); // nobody is ready yet
    this.#deliver();
  }

  /** The next messages shall go to the reader without this. Null when they cannot. */
  carry(fd: number, framing: InputFraming, signal: AbortSignal): Promise<Carried> | null {
    if (!this.#receiver || this.#full || this.#ended || this.#held.length > 0) return null;
    return this.#receiver.carry(fd, framing, signal);
  }

  receiveEnd(): void {
    this.#ended = true;
    this.#deliver();
  }

  #deliver(): void {
    const receiver = this.#receiver;
    if (!receiver) return;
    while (!this.#full) {
      const bytes = this.#held.shift();
      if (bytes === undefined) break;
      this.#setFull(!receiver.data(bytes));
    }
    if (!this.#ended || this.#toldEnd || this.#held.length > 0) return;
    this.#toldEnd = true;
    receiver.end();
  }

  #setFull(full: boolean): void {
    if (full === this.#full) return;
    this.#full = full;
    this.#tellFull(full);
  }
}
