// From an upgrade request to a session: which transport, which version, which client. Must not read their bytes.
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws';
import { refuse, upgradeToSpdy } from './reply.ts';
import { negotiate, type PortForwardTicket, type Ticket } from './requests.ts';
import type { Sessions } from './sessions.ts';
import { commandProtocols, spdyCommandClient } from './spdy/command.ts';
import { forwardProtocols, SpdyForward, type SpdyForwardOptions } from './spdy/forward.ts';
import { type ChannelProtocol, chooseProtocol, commandChannels, forwardChannels } from './websocket/channels.ts';
import { WebSocketCommandClient } from './websocket/command.ts';
import { longestMessage, type UpgradedSocket } from './websocket/connection.ts';
import { mostPorts, portsOfQuery, WebSocketForward } from './websocket/forward.ts';

/** SPDY in the messages of a WebSocket, as kubectl forwards ports. */
const tunnelProtocol = 'SPDY/3.1+portforward.k8s.io';

/** A request that asks for another protocol, and its connection. */
export interface UpgradeRequest {
  readonly request: IncomingMessage;
  readonly socket: Socket;
  /** Bytes that came behind the request. */
  readonly head: Buffer;
}

/** Limits of connections, in milliseconds. */
export interface Timeouts {
  /** Without a byte in either direction. */
  readonly idleTimeoutMs: number;
  /** For a SPDY client to open its streams. */
  readonly creationTimeoutMs: number;
}

/** Takes upgrade requests whose tokens were redeemed. */
export class Upgrades {
  readonly #sessions: Sessions;
  readonly #timeouts: Timeouts;
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: longestMessage,
  });

  constructor(sessions: Sessions, timeouts: Timeouts) {
    this.#sessions = sessions;
    this.#timeouts = timeouts;
    this.#webSockets.on('headers', (headers, request) => {
      const protocol = chosen.get(request) ?? '';
      if (protocol !== '') headers.push(`Sec-WebSocket-Protocol: ${protocol}`);
    });
  }

  /** Upgrades the connection and starts the session, or refuses. */
  take(upgrade: UpgradeRequest, ticket: Ticket): void {
    const wanted = (upgrade.request.headers.upgrade ?? '').toLowerCase();
    if (wanted === 'websocket') this.#webSocket(upgrade, ticket);
    else if (wanted.includes('spdy/3.1')) this.#spdy(upgrade, ticket);
    else
      refuse(upgrade.socket, 400, {
        message: `unable to upgrade: ${wanted || 'nothing'} is not SPDY/3.1 or websocket`,
      });
  }

  #spdy({ request, socket, head }: UpgradeRequest, ticket: Ticket): void {
    const header = request.headers['x-stream-protocol-version'];
    const offered = Array.isArray(header) ? header.join(',') : header;
    const spoken = ticket.kind === 'portforward' ? forwardProtocols : commandProtocols;
    if (offered === undefined || offered.trim() === '')
      return refuse(socket, 400, { message: 'unable to upgrade: header X-Stream-Protocol-Version is missing' });
    const version = negotiate<string>(offered, spoken);
    if (version === null) {
      const message = `unable to upgrade: the client speaks ${offered}, this server ${spoken.join(', ')}`;
      const headers = spoken.map((name) => `X-Accepted-Stream-Protocol-Versions: ${name}`);
      return refuse(socket, 403, { message, headers });
    }
    upgradeToSpdy(socket, version);
    this.#limitIdling(socket);
    if (ticket.kind === 'portforward') this.#forward({ wire: socket, head, protocol: `spdy ${version}` }, ticket);
    else void this.#command({ socket, head }, ticket, version as (typeof commandProtocols)[number]);
  }

  async #command(
    { socket, head }: Pick<UpgradeRequest, 'socket' | 'head'>,
    ticket: Exclude<Ticket, PortForwardTicket>,
    protocol: (typeof commandProtocols)[number],
  ): Promise<void> {
    const { creationTimeoutMs } = this.#timeouts;
    const client = await spdyCommandClient({ wire: socket, head, protocol, streams: ticket, creationTimeoutMs });
    if (client) this.#sessions.command(client, ticket, `spdy ${protocol}`);
  }

  #forward({ wire, head, protocol }: ForwardWire, ticket: PortForwardTicket): void {
    const session = this.#sessions.forward(ticket, protocol);
    const connection = new SpdyForward({
      wire,
      head,
      creationTimeoutMs: this.#timeouts.creationTimeoutMs,
      onClient: (client) => void session.serve(client),
      onLost: session.lost,
    });
    session.attach(connection);
  }

  #webSocket(upgrade: UpgradeRequest, ticket: Ticket): void {
    const { request, socket } = upgrade;
    const header = request.headers['sec-websocket-protocol'];
    const tunnels = (header ?? '').split(',').some((name) => name.trim() === tunnelProtocol);
    if (ticket.kind === 'portforward' && tunnels) {
      this.#accept(upgrade, tunnelProtocol, (ws) => {
        const wire = createWebSocketStream(ws);
        this.#forward({ wire, head: Buffer.alloc(0), protocol: 'spdy in websocket' }, ticket);
      });
      return;
    }
    const spoken = ticket.kind === 'portforward' ? forwardChannels : commandChannels;
    const protocol = chooseProtocol(header, spoken);
    if (!protocol) {
      const names = spoken.map(({ name }) => name).filter((name) => name !== '');
      return refuse(socket, 403, {
        message: `unable to upgrade: the client speaks ${header}, this server ${names.join(', ')}`,
      });
    }
    if (ticket.kind === 'portforward') return this.#forwardChannels(upgrade, ticket, protocol);
    this.#accept(upgrade, protocol.name, (ws) => {
      const client = new WebSocketCommandClient({ ws, socket, protocol }, ticket);
      this.#sessions.command(client, ticket, `websocket ${protocol.name}`);
    });
  }

  #forwardChannels(upgrade: UpgradeRequest, ticket: PortForwardTicket, protocol: ChannelProtocol): void {
    const { socket, request } = upgrade;
    const query = new URLSearchParams((request.url ?? '').split('?', 2)[1] ?? '');
    const ports = ticket.ports.length > 0 ? ticket.ports : portsOfQuery(query);
    if (!ports) return refuse(socket, 400, { message: 'the query must name ports: port=80&port=443' });
    if (ports.length > mostPorts) return refuse(socket, 400, { message: `at most ${mostPorts} ports at a time` });
    this.#accept(upgrade, protocol.name, (ws) => {
      const session = this.#sessions.forward(ticket, `websocket ${protocol.name}`);
      const upgraded: UpgradedSocket = { ws, socket, protocol };
      session.attach(new WebSocketForward({ upgraded, ports, onClient: session.serve, onLost: session.lost }));
    });
  }

  #accept({ request, socket, head }: UpgradeRequest, protocol: string, then: (ws: WebSocket) => void): void {
    chosen.set(request, protocol);
    // kubectl's protocol has a slash, which RFC 6455 does not allow and the library refuses
    delete request.headers['sec-websocket-protocol'];
    if (request.method === 'POST') request.method = 'GET'; // POST is as good as GET here, but not in RFC 6455
    this.#webSockets.handleUpgrade(request, socket, head, (ws) => {
      this.#limitIdling(socket);
      then(ws);
    });
  }

  #limitIdling(socket: Socket): void {
    socket.setTimeout(this.#timeouts.idleTimeoutMs, () => socket.destroy());
  }
}

/** The subprotocol that was chosen for a request, for the handshake. */
const chosen = new WeakMap<IncomingMessage, string>();

interface ForwardWire extends Pick<SpdyForwardOptions, 'wire' | 'head'> {
  readonly protocol: string;
}
