// Exec and attach over WebSocket channels: 0 stdin, 1 stdout, 2 stderr, 3 how it ended, 4 sizes of the terminal.
import { ResizeReader } from '../resize.ts';
import type { CommandClient } from '../session.ts';
import type { CommandStreams } from '../spdy/command.ts';
import { type Outcome, statusJson, statusText } from '../status.ts';
import { type Inlet, neverCarries, type Outlet, type TerminalSize } from '../streams.ts';
import { ChannelConnection, type UpgradedSocket } from './connection.ts';

const channels = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const;

/** The client of an upgraded connection. */
export class WebSocketCommandClient implements CommandClient {
  readonly #connection: ChannelConnection;
  readonly stdin: Inlet | null;
  readonly stdout: Outlet | null;
  readonly stderr: Outlet | null;

  constructor(upgraded: UpgradedSocket, streams: CommandStreams) {
    this.#connection = new ChannelConnection(upgraded);
    this.stdin = streams.stdin ? this.#connection.inlet(channels.stdin) : null;
    this.stdout = streams.stdout ? this.#connection.outlet(channels.stdout) : null;
    this.stderr = streams.stderr ? this.#connection.outlet(channels.stderr) : null;
    // an empty message on the lowest channel of ours tells clients that the connection stands
    const lowest = streams.stdout ? channels.stdout : streams.stderr ? channels.stderr : channels.error;
    this.#connection.sendBytes(lowest, Buffer.alloc(0));
  }

  onResize(then: (size: TerminalSize) => void): void {
    const reader = new ResizeReader(then);
    this.#connection
      .inlet(channels.resize)
      .open({ data: (bytes) => reader.push(bytes), end: () => undefined, carry: neverCarries });
  }

  onLost(then: (why: string) => void): void {
    this.#connection.onLost(then);
  }

  finish(outcome: Outcome): void {
    const text = this.#connection.protocol.json ? statusJson(outcome) : statusText(outcome);
    if (text !== '') this.#connection.sendBytes(channels.error, Buffer.from(text));
    this.#connection.end();
  }
}
