// PURE
// What a session is made of, whatever the protocol: bytes from a process to a client and back, and who waits for whom.
// Must not know SPDY, WebSocket or the monitor.

/**
 * Bytes in a buffer of their source. In front of `start` there are at least `headroom` bytes that a protocol may
 * write its frame's head to, so that a chunk is sent without being copied.
 */
export interface Chunk {
  readonly slab: Buffer;
  readonly start: number;
  readonly end: number;
}

/** Free bytes before each chunk. */
export const headroom = 16;

/** Output of a process or of a port. */
export interface Source {
  /** Begins to read. `data` answers whether the slab is free again; if not, nothing is read until `resume`. */
  start(receiver: SourceReceiver): void;
  resume(): void;
}

export interface SourceReceiver {
  readonly data: (chunk: Chunk) => boolean;
  /** The writer has ended, or is gone: nothing follows. */
  readonly end: () => void;
}

/** Input of a process or of a port. */
export interface Sink {
  /** Whether more may follow at once; if not, `onDrain` tells when. What is written after the reader is gone is dropped. */
  write(bytes: Buffer): boolean;
  onDrain(then: () => void): void;
  /** No more input. */
  end(): void;
  /** Takes input right from a client's connection, past the event loop; null when it cannot, now or ever. */
  readonly carry: Carry;
}

/** How a client frames its input, and where that stands. */
export type InputFraming =
  /** DATA frames of one stream; `left` bytes of the current one are to come, 0 between frames. */
  | { readonly type: 'spdy'; readonly streamId: number; readonly left: number }
  /** Binary messages of one channel; with `left` that many bytes are given back and nothing is carried. */
  | { readonly type: 'websocket'; readonly channel: number; readonly left: number; readonly longest: number };

/** What was carried. */
export interface Carried {
  readonly bytes: number;
  /** What the client's connection goes on with, before what is read from it now; null: nothing of it was read. */
  readonly rest: Buffer | null;
  /** Why no more: 'done' may go on at once. */
  readonly stop: 'other' | 'quiet' | 'done' | 'ended' | 'unread' | 'cancelled';
}

/** Carries what comes on the connection with this descriptor, until it is something else than input. */
export type Carry = (fd: number, framing: InputFraming, signal: AbortSignal) => Promise<Carried> | null;

/** Of who takes input by `write` alone. */
export const neverCarries: Carry = () => null;

/** One direction to the client. */
export interface Outlet {
  /**
   * Sends a chunk, and answers whether its slab is free again. `flushed` is called in any case, and when it is the
   * slab is free. After the client is gone nothing happens.
   */
  write(chunk: Chunk, flushed: () => void): boolean;
  /** Nothing follows. */
  end(): void;
}

/** One direction from the client. */
export interface Inlet {
  /** Begins to receive. `data` answers whether more may follow at once; if not, `resume` says when. */
  open(receiver: InletReceiver): void;
  resume(): void;
}

export interface InletReceiver {
  readonly data: (bytes: Buffer) => boolean;
  readonly end: () => void;
  /** See Sink. */
  readonly carry: Carry;
}

/** Columns and rows of a terminal. */
export interface TerminalSize {
  readonly width: number;
  readonly height: number;
}

/** A command in a container, or a container that is attached to. */
export interface RemoteProcess {
  readonly stdin: Sink | null;
  readonly stdout: Source | null;
  readonly stderr: Source | null;
  resize(size: TerminalSize): void;
  /** Exit code once it has ended; rejects when its monitor is gone. */
  readonly ended: Promise<number>;
  /** Lets go of it: its input ends, its output is dropped. */
  release(): void;
}

/** A container that is attached to. */
export interface AttachedProcess extends RemoteProcess {
  /** Whether the end of the client's input ends the attachment; otherwise it goes on until the container's output has ended. */
  readonly inputEndDetaches: boolean;
  /** Resolves when no more input is taken: it has ended, the container has, or a reader was too slow and is detached. */
  readonly inputGone: Promise<void>;
}

/** A connection to a port in a pod. */
export interface RemotePort {
  readonly sink: Sink;
  readonly source: Source;
  /** Called once when both directions have ended, or it broke. */
  onClose(then: () => void): void;
  /** Cuts it. */
  release(): void;
}

/** Sends all of a source to an outlet; while the client does not take it, the source is not read. */
export function pumpOut(source: Source, outlet: Outlet, { count, end }: PumpEnds): void {
  let unflushed = 0;
  let waiting = false;
  const flushed = (): void => {
    unflushed -= 1;
    if (!waiting || unflushed > 0) return;
    waiting = false;
    source.resume();
  };
  source.start({
    data(chunk) {
      count(chunk.end - chunk.start);
      unflushed += 1;
      waiting = !outlet.write(chunk, flushed);
      return !waiting;
    },
    end() {
      outlet.end();
      end();
    },
  });
}

/** Gives all of an inlet to a sink; while nobody reads it, the client is not read. */
export function pumpIn(inlet: Inlet, sink: Sink, { count, end }: PumpEnds): void {
  sink.onDrain(() => inlet.resume());
  inlet.open({
    data(bytes) {
      count(bytes.length);
      return sink.write(bytes);
    },
    end() {
      sink.end();
      end();
    },
    carry(fd, framing, signal) {
      const carried = sink.carry(fd, framing, signal);
      if (!carried) return null;
      return carried.then((done) => {
        count(done.bytes);
        return done;
      });
    },
  });
}

/** What is told of a direction. */
export interface PumpEnds {
  readonly count: (bytes: number) => void;
  readonly end: () => void;
}
