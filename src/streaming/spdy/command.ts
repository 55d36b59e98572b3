// Exec and attach over SPDY: the client opens one stream for each channel, named by its `streamType` header.
import type { Duplex } from 'node:stream';
import type { CommandClient } from '../session.ts';
import { type Outcome, statusJson, statusText } from '../status.ts';
import { type Inlet, neverCarries, type Outlet, type TerminalSize } from '../streams.ts';
import { ResizeReader } from '../resize.ts';
import { SpdyConnection } from './connection.ts';
import type { SpdyStream } from './stream.ts';

/** Versions that are spoken, the best first. v4 has exit codes, v3 terminal sizes. */
export const commandProtocols = [
  'v4.channel.k8s.io',
  'v3.channel.k8s.io',
  'v2.channel.k8s.io',
  'channel.k8s.io',
] as const;

export type CommandProtocol = (typeof commandProtocols)[number];

/** What the client asked for in its CRI call. */
export interface CommandStreams {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

/** What a client is made from. */
export interface SpdyCommandOptions {
  readonly wire: Duplex;
  readonly head: Buffer;
  readonly protocol: CommandProtocol;
  readonly streams: CommandStreams;
  /** How long the streams are waited for, in milliseconds. */
  readonly creationTimeoutMs: number;
}

const streamTypes = ['error', 'stdin', 'stdout', 'stderr', 'resize'] as const;
type StreamType = (typeof streamTypes)[number];
const isStreamType = (text: string | undefined): text is StreamType => streamTypes.some((type) => type === text);

/** The streams a client opens before anything begins. */
export function expectedStreams(protocol: CommandProtocol, streams: CommandStreams): StreamType[] {
  const resizes = protocol === 'v4.channel.k8s.io' || protocol === 'v3.channel.k8s.io';
  const wanted: Readonly<Record<StreamType, boolean>> = { ...streams, error: true, resize: streams.tty && resizes };
  return streamTypes.filter((type) => wanted[type]);
}

/** The client once its streams are there; null when it went away or took too long. */
export async function spdyCommandClient(options: SpdyCommandOptions): Promise<CommandClient | null> {
  const client = new SpdyCommandClient(options);
  return (await client.complete) ? client : null;
}

class SpdyCommandClient implements CommandClient {
  readonly #connection: SpdyConnection;
  readonly #options: SpdyCommandOptions;
  readonly #streams = new Map<StreamType, SpdyStream>();
  #lost: string | null = null;
  #onLost: ((why: string) => void) | null = null;
  /** Whether every expected stream came. */
  readonly complete: Promise<boolean>;

  constructor(options: SpdyCommandOptions) {
    this.#options = options;
    const missing = new Set(expectedStreams(options.protocol, options.streams));
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => {
      const names = [...missing].join(', ');
      this.finish({ kind: 'failed', message: `timed out waiting for the client to open streams: ${names}` });
      resolve(false);
    }, options.creationTimeoutMs);
    this.complete = promise;
    this.#connection = new SpdyConnection(options.wire, {
      mostStreams: streamTypes.length,
      mostHeld: { stream: 0, all: 0 }, // input that is not taken stops the client at once
      isOpening: () => missing.size > 0,
      accepts: (headers) => {
        const type = headers.get('streamtype');
        return isStreamType(type) && !this.#streams.has(type);
      },
      onStream: (stream) => {
        const type = stream.headers.get('streamtype') as StreamType;
        this.#streams.set(type, stream);
        missing.delete(type);
        if (missing.size > 0) return;
        clearTimeout(timer);
        resolve(true);
      },
      onLost: (why) => {
        clearTimeout(timer);
        this.#lost = why;
        resolve(false);
        this.#onLost?.(why);
      },
    });
    this.#connection.unshift(options.head);
  }

  get stdin(): Inlet | null {
    return this.#options.streams.stdin ? (this.#streams.get('stdin') ?? null) : null;
  }

  get stdout(): Outlet | null {
    return this.#options.streams.stdout ? (this.#streams.get('stdout') ?? null) : null;
  }

  get stderr(): Outlet | null {
    return this.#options.streams.stderr ? (this.#streams.get('stderr') ?? null) : null;
  }

  onResize(then: (size: TerminalSize) => void): void {
    const reader = new ResizeReader(then);
    this.#streams
      .get('resize')
      ?.open({ data: (bytes) => reader.push(bytes), end: () => undefined, carry: neverCarries });
  }

  onLost(then: (why: string) => void): void {
    this.#onLost = then;
    if (this.#lost !== null) then(this.#lost);
  }

  finish(outcome: Outcome): void {
    const error = this.#streams.get('error');
    const text = this.#options.protocol === 'v4.channel.k8s.io' ? statusJson(outcome) : statusText(outcome);
    if (text !== '') error?.writeText(text);
    for (const type of ['stdout', 'stderr', 'error'] as const) this.#streams.get(type)?.end();
    this.#connection.end();
  }
}
