// Port-forward over WebSocket channels: for the n-th port, channel 2n has its data and 2n+1 its errors. Each channel
// of ours begins with the port's number, two bytes, the lower one first.
import type { ForwardClient } from '../forward.ts';
import type { Inlet, Outlet } from '../streams.ts';
import { ChannelConnection, type UpgradedSocket } from './connection.ts';

/** Ports of one connection, at most: their channels are numbered by one byte, of which 255 has a meaning. */
export const mostPorts = 100;

/** The ports that a request's query names (`port=80&port=81,82`); null when it names none, too many or a wrong one. */
export function portsOfQuery(query: URLSearchParams): number[] | null {
  const texts = query.getAll('port').flatMap((text) => text.split(','));
  const ports = texts.map((text) => (/^\d{1,5}$/.test(text) ? Number(text) : 0));
  const right = ports.length > 0 && ports.length <= mostPorts && ports.every((port) => port >= 1 && port <= 65_535);
  return right ? ports : null;
}

/** What a connection for port-forward is made from. */
export interface WebSocketForwardOptions {
  readonly upgraded: UpgradedSocket;
  readonly ports: readonly number[];
  readonly onClient: (client: ForwardClient) => Promise<void>;
  readonly onLost: (why: string) => void;
}

/** The forwarded ports of a connection. */
export class WebSocketForward {
  readonly #connection: ChannelConnection;

  constructor({ upgraded, ports, onClient, onLost }: WebSocketForwardOptions) {
    const connection = new ChannelConnection(upgraded);
    this.#connection = connection;
    connection.onLost(onLost);
    const forwarded = ports.map((port, i) => {
      const number = Buffer.alloc(2);
      number.writeUInt16LE(port);
      connection.sendBytes(2 * i, number);
      connection.sendBytes(2 * i + 1, number);
      return onClient(new ChannelForwardClient(connection, port, 2 * i));
    });
    void Promise.all(forwarded).then(() => {
      connection.end();
      onLost('every port was closed');
    });
  }

  /** Ends the connection. */
  end(): void {
    this.#connection.end();
  }
}

class ChannelForwardClient implements ForwardClient {
  readonly port: number;
  readonly inlet: Inlet;
  readonly outlet: Outlet;
  readonly halfCloses: boolean;
  readonly #connection: ChannelConnection;
  readonly #errorChannel: number;

  constructor(connection: ChannelConnection, port: number, dataChannel: number) {
    this.port = port;
    this.#connection = connection;
    this.#errorChannel = dataChannel + 1;
    this.inlet = connection.inlet(dataChannel);
    this.outlet = connection.outlet(dataChannel, { tellsEnd: true });
    this.halfCloses = connection.protocol.closes;
  }

  onCut(): void {
    // a channel cannot be given up alone: the end of the connection is what ends it
  }

  fail(message: string): void {
    this.#connection.sendBytes(this.#errorChannel, Buffer.from(message));
  }

  close(): void {
    this.outlet.end();
  }
}
