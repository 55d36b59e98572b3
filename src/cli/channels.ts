// The tool's end of a streaming URL: a WebSocket of channels, each held up by its reader.
// Must not know what is streamed.
import { unavailable } from '../lib/failure.ts';

/** A connection to a streaming URL. */
export interface Channels {
  /** Sends bytes on a channel; `taken` is called when more may follow. */
  send(channel: number, bytes: Uint8Array, taken: () => void): void;
  /** Ends a channel of ours. */
  end(channel: number): void;
  /** Leaves: what still comes is told, and may be dropped. */
  close(): void;
}

/** Where to connect, and what to speak there. */
export interface StreamingUrl {
  readonly url: string;
  readonly protocol: 'v5.channel.k8s.io' | 'half-close.channel.podwright';
}

/** What comes. */
export interface ChannelEvents {
  /** Whether more may follow at once; if not, nothing comes until `resume` is called. */
  readonly data: (channel: number, bytes: Buffer, resume: () => void) => boolean;
  /** The other side has ended a channel of its own. */
  readonly end: (channel: number) => void;
  /** The connection is over; an error unless it was closed in good order. */
  readonly closed: (error: Error | null) => void;
}

const closeSignal = 255;
const normal = 1000;
/** Bytes of one message; servers limit them. */
const longestMessage = 64 * 1024;

/** Connects. Rejects with unavailable when nobody answers or the request is refused. */
export async function openChannels({ url, protocol }: StreamingUrl, events: ChannelEvents): Promise<Channels> {
  const { WebSocket } = await import('ws'); // no other command needs it
  // who gave us the URL did so over the socket of root; its certificate may be one of its own making
  const options = { rejectUnauthorized: false, perMessageDeflate: false, maxPayload: 16 * 2 ** 20 };
  const ws = new WebSocket(url.replace(/^http/, 'ws'), [protocol], options);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let failure: Error | null = null;
  let opened = false;
  ws.on('open', () => {
    opened = true;
    resolve();
  });
  ws.on('error', (error) => {
    failure = error;
    reject(unavailable(`connect to ${new URL(url).host}`, error));
  });
  ws.on('message', (message: Buffer) => {
    const [channel = 0] = message;
    if (channel === closeSignal) events.end(message[1] ?? 0);
    else if (message.length > 1 && !events.data(channel, message.subarray(1), () => ws.resume())) ws.pause();
  });
  ws.on('close', (code) => {
    if (opened) events.closed(code === normal ? null : (failure ?? unavailable('the connection was lost')));
  });
  await promise;
  return {
    send(channel, bytes, taken) {
      const head = Buffer.from([channel]);
      for (let at = 0; at < bytes.length; at += longestMessage) {
        const last = at + longestMessage >= bytes.length;
        const message = Buffer.concat([head, bytes.subarray(at, at + longestMessage)]);
        ws.send(message, { binary: true }, last ? taken : undefined);
      }
    },
    end: (channel) => ws.send(Buffer.from([closeSignal, channel])),
    close() {
      ws.resume(); // what is still to come is dropped, so that the answer to our close is seen
      ws.close(normal);
    },
  };
}
