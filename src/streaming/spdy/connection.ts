// A SPDY/3.1 connection as its server: streams that clients open, and the limits of what they may make us hold.
// Must not know what streams are for.
import type { Duplex } from 'node:stream';
import { ExpressLane } from '../express.ts';
import type { Chunk } from '../streams.ts';
import { type Frame, FrameReader, goAwayFrame, pingFrame, resetFrame, resetStatus, synReplyFrame } from './frames.ts';
import { HeaderInflater, type Headers, HeaderWriter } from './headers.ts';
import { SpdyStream, type StreamCarrier } from './stream.ts';
import { endStalled } from '../last-words.ts';

/** Answers to pings and refused streams that the client has not taken, until it is not read any more. */
const mostReplies = 1000;
/** Bytes that may come before the streams are opened that they wait for. */
const mostHeldEarly = 64 * 1024;
/** How long a client's last bytes are read and dropped after all was sent, so that no reset overtakes it, in milliseconds. */
const lingerMs = 5000;
/** How often a client that is not being read is asked whether it is alive, in milliseconds. */
const pingEveryMs = 15_000;

/** What a connection tells its owner. */
export interface SpdyHandlers {
  /** Whether a stream with these headers is taken. */
  readonly accepts: (headers: Headers, streamId: number) => boolean;
  /** A stream that was taken; its client knows. */
  readonly onStream: (stream: SpdyStream) => void;
  /** The client is gone, said goodbye or spoke no SPDY. Called once; not after `end`. */
  readonly onLost: (why: string) => void;
}

/** Parts of a connection. */
export interface SpdyOptions extends SpdyHandlers {
  /**
   * Bytes of one stream, and of all, that may wait for their readers until the client is not read any more. A connection
   * has no other way to hold up one stream: who must not hold up the others needs room for what it does not take.
   */
  readonly mostHeld: { readonly stream: number; readonly all: number };
  /** Whether streams are still to be opened that the others wait for: their data may come before. */
  readonly isOpening?: () => boolean;
  /** Streams at the same time, at most. */
  readonly mostStreams: number;
}

/** The server's end. `wire` is a TCP socket, or messages of a WebSocket. */
export class SpdyConnection implements StreamCarrier {
  readonly #wire: Duplex;
  readonly #options: SpdyOptions;
  readonly #reader = new FrameReader();
  readonly #headers = new HeaderInflater();
  readonly #headerWriter = new HeaderWriter();
  readonly #streams = new Map<number, SpdyStream>();
  readonly #express: ExpressLane;
  #lastStreamId = 0;
  #nextPing = 2;
  #inflating = false;
  /** Streams whose reader waits: while they hold too much the wire is not read. */
  #held = 0;
  #crowded = 0;
  #replies = 0;
  #pinging: NodeJS.Timeout | null = null;
  #state: 'open' | 'ending' | 'closed' = 'open';

  constructor(wire: Duplex, options: SpdyOptions) {
    this.#wire = wire;
    this.#options = options;
    this.#express = new ExpressLane(wire, {
      carry: (fd, signal) => this.#carry(fd, signal),
      goOn: (rest) => {
        this.#reader.skip();
        this.#receive(rest);
      },
    });
    wire.on('data', (chunk: Buffer) => {
      this.#receive(chunk);
      this.#express.took(chunk.length);
    });
    wire.on('end', () => this.#lose('the client closed the connection'));
    wire.on('error', (error) => this.#lose(error.message));
    wire.on('close', () => this.#lose('the connection broke'));
  }

  /** Takes bytes that came with the request. */
  unshift(head: Buffer): void {
    if (head.length > 0) this.#receive(head);
  }

  /** Says goodbye when everything written was sent; the connection closes itself then. */
  end(): void {
    if (this.#state !== 'open') return;
    this.#state = 'ending';
    for (const stream of this.#streams.values()) stream.reset(resetStatus.cancel);
    this.#wire.write(goAwayFrame(this.#lastStreamId));
    // a client that reads slowly takes what was written as slowly: its time begins when the kernel has all of it
    this.#wire.end(() => setTimeout(() => this.#wire.destroy(), lingerMs).unref());
    endStalled(
      () => (this.#wire.destroyed ? 0 : this.#wire.writableLength),
      () => this.#wire.destroy(),
    );
    this.#express.close();
    this.#headers.close();
    this.#stopPinging();
    this.#wire.resume();
  }

  /** Cuts the connection. */
  destroy(): void {
    this.#lose('cut');
  }

  /** Sends a chunk as a DATA frame; see Outlet. The frame's head goes into the room before the chunk. */
  send(chunk: Chunk, from: number, flushed: () => void): boolean {
    if (this.#state !== 'open') return true;
    this.#wire.write(chunk.slab.subarray(from, chunk.end), flushed);
    return this.#wire.writableLength === 0;
  }

  /** Sends a small frame. */
  sendFrame(frame: Buffer): void {
    if (this.#state === 'open') this.#wire.write(frame);
  }

  /** Answers a frame of the client's: one that asks without reading answers is not read. */
  #reply(frame: Buffer): void {
    if (this.#state !== 'open') return;
    this.#replies += 1;
    this.#wire.write(frame, () => {
      this.#replies -= 1;
      if (this.#replies === mostReplies) this.#steer();
    });
    if (this.#replies === mostReplies + 1) this.#steer();
  }

  /** A stream holds `bytes` more (or less) than before, `all` in total; the wire is read while all hold little. */
  hold(bytes: number, all: number): void {
    const { stream } = this.#options.mostHeld;
    this.#held += bytes;
    this.#crowded += Number(all > stream) - Number(all - bytes > stream);
    this.#steer();
  }

  /** A stream is over. */
  forget(streamId: number): void {
    this.#streams.delete(streamId);
  }

  get #full(): boolean {
    if (this.#replies > mostReplies) return true;
    const { mostHeld, isOpening } = this.#options;
    return isOpening?.() === true ? this.#held > mostHeldEarly : this.#crowded > 0 || this.#held > mostHeld.all;
  }

  #steer(): void {
    if (this.#state !== 'open') return;
    if (this.#full || this.#inflating) this.#wire.pause();
    else if (this.#wire.isPaused()) this.#wire.resume();
    if (!this.#full) this.#stopPinging();
    // a client that is not read cannot be seen to leave: what is written to it tells
    else this.#pinging ??= setInterval(() => this.#ping(), pingEveryMs).unref();
  }

  #ping(): void {
    this.sendFrame(pingFrame(this.#nextPing));
    this.#nextPing += 2;
  }

  #stopPinging(): void {
    if (this.#pinging) clearInterval(this.#pinging);
    this.#pinging = null;
  }

  #receive(chunk: Buffer): void {
    if (this.#state !== 'open') return;
    this.#reader.push(chunk);
    this.#parse();
  }

  /** Frames of the stream that was read last go to its reader at once, while nothing else is under way. */
  #carry(fd: number, signal: AbortSignal): ReturnType<SpdyStream['carry']> {
    const place = this.#reader.place;
    if (this.#state !== 'open' || !place || this.#inflating || this.#full || this.#wire.isPaused()) return null;
    return this.#streams.get(place.streamId)?.carry(fd, place.left, signal) ?? null;
  }

  #parse(): void {
    try {
      while (this.#state === 'open' && !this.#inflating) {
        const frame = this.#reader.next();
        if (frame === null) return;
        this.#take(frame);
      }
    } catch (error) {
      this.#lose((error as Error).message);
    }
  }

  #take(frame: Frame): void {
    switch (frame.kind) {
      case 'data':
        this.#streams.get(frame.streamId)?.receive(frame.bytes, frame.fin);
        break;
      case 'syn-stream':
      case 'syn-reply':
      case 'headers':
        this.#inflate(frame);
        break;
      case 'reset':
        this.#streams.get(frame.streamId)?.receiveReset();
        break;
      case 'ping':
        if (frame.id % 2 === 1) this.#reply(pingFrame(frame.id)); // an even one is the answer to ours
        break;
      case 'go-away':
        this.#lose('the client said goodbye');
        break;
      case 'ignored':
        break;
    }
  }

  /** Frames behind a header block wait for it: it may be what makes their stream. */
  #inflate(frame: Extract<Frame, { block: Buffer }>): void {
    this.#inflating = true;
    this.#steer();
    this.#headers.read(frame.block).then(
      (headers) => {
        this.#inflating = false;
        if (this.#state !== 'open') return;
        if (frame.kind === 'syn-stream') this.#open(frame.streamId, headers, frame.fin);
        else if (frame.fin) this.#streams.get(frame.streamId)?.receive(Buffer.alloc(0), true);
        this.#parse();
        this.#steer();
      },
      (error: unknown) => this.#lose((error as Error).message),
    );
  }

  #open(streamId: number, headers: Headers, fin: boolean): void {
    if (streamId % 2 === 0 || streamId <= this.#lastStreamId) {
      this.#reply(resetFrame(streamId, resetStatus.protocolError));
      return;
    }
    this.#lastStreamId = streamId;
    const { mostStreams, accepts, onStream } = this.#options;
    if (this.#streams.size >= mostStreams || !accepts(headers, streamId)) {
      this.#reply(resetFrame(streamId, resetStatus.refusedStream));
      return;
    }
    const stream = new SpdyStream(this, streamId, headers);
    this.#streams.set(streamId, stream);
    this.#reply(synReplyFrame(streamId, this.#headerWriter.write(new Map())));
    onStream(stream);
    if (fin) stream.receive(Buffer.alloc(0), true);
  }

  #lose(why: string): void {
    if (this.#state === 'closed') return;
    const { onLost } = this.#options;
    const wasOpen = this.#state === 'open';
    this.#state = 'closed';
    this.#stopPinging();
    this.#express.close();
    this.#headers.close();
    this.#wire.destroy();
    for (const stream of this.#streams.values()) stream.receiveReset();
    this.#streams.clear();
    if (wasOpen) onLost(why);
  }
}
