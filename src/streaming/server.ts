// The streaming server: the HTTP border for exec, attach and port-forward. Listens, redeems tokens, upgrades.
// Must not look into containers: what a ticket leads to comes in as functions.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { KeyPair } from '../lib/certificate.ts';
import { unavailable } from '../lib/failure.ts';
import { refuse } from './reply.ts';
import { parsePath, type Ticket } from './requests.ts';
import { type SessionObserver, Sessions, type StreamTargets } from './sessions.ts';
import { Tokens, type TokenSources } from './tokens.ts';
import { Upgrades } from './upgrade.ts';

/** What a server is made with. */
export interface StreamingOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Null: plain HTTP. */
  readonly tls: KeyPair | null;
  readonly idleTimeoutMs: number;
  readonly creationTimeoutMs: number;
  /** How long a client's first terminal size is waited for, in milliseconds, where that is not a moment. */
  readonly firstSizeMs?: number | undefined;
  readonly targets: StreamTargets;
  readonly observer: StreamingObserver;
  readonly random: TokenSources['random'];
}

/** What a server tells the house. */
export interface StreamingObserver extends SessionObserver {
  /** A token was refused: none such, or too many wait. */
  readonly tokenRefused: (why: 'unknown' | 'too-many') => void;
}

/** How long a client may take to send its request, in milliseconds. */
const requestTimeoutMs = 10_000;
/** Connections at the same time, at most: each costs up to five descriptors, of which a process has some twenty thousand. */
const mostConnections = 2000;

/** A server that listens. */
export class StreamingServer {
  readonly #options: StreamingOptions;
  readonly #server: Server | TlsServer;
  readonly #tokens: Tokens<Ticket>;
  readonly #sessions: Sessions;
  readonly #sockets = new Set<Socket>();
  readonly #upgrades: Upgrades;

  private constructor(options: StreamingOptions) {
    this.#options = options;
    this.#tokens = new Tokens({ elapsedMs: options.observer.elapsedMs, random: options.random });
    this.#sessions = new Sessions(options.targets, options.observer, options.firstSizeMs);
    this.#upgrades = new Upgrades(this.#sessions, options);
    this.#server = options.tls ? createTlsServer({ ...options.tls }) : createServer();
    this.#server.headersTimeout = requestTimeoutMs;
    this.#server.requestTimeout = requestTimeoutMs;
    this.#server.keepAliveTimeout = 1;
    this.#server.maxConnections = mostConnections;
    this.#server.on('connection', (socket) => this.#track(socket));
    this.#server.on('request', (request, response) => this.#answer(request, response));
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket as Socket, head));
  }

  /** Listens. An address that cannot be had is an unavailable Failure. */
  static async listen(options: StreamingOptions): Promise<StreamingServer> {
    const streaming = new StreamingServer(options);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    streaming.#server.once('error', reject);
    streaming.#server.listen({ host: options.host, port: options.port }, resolve);
    try {
      await promise;
    } catch (error) {
      throw unavailable(`listen for streaming on ${options.host}:${options.port}`, error);
    }
    streaming.#server.removeListener('error', reject);
    streaming.#server.on('error', (error) =>
      options.observer.log.warn({ error }, 'the streaming listener has a problem'),
    );
    return streaming;
  }

  /** "host:port" that clients reach. A wildcard address is reached by loopback: clients are on this node. */
  get address(): string {
    const { address, family, port } = this.#server.address() as AddressInfo;
    const host = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
    return family === 'IPv6' ? `[${host}]:${port}` : `${host}:${port}`;
  }

  /** A one-use URL for a request. Throws resource-exhausted while too many wait. */
  url(ticket: Ticket): string {
    try {
      const token = this.#tokens.issue(ticket);
      return `${this.#options.tls ? 'https' : 'http'}://${this.address}/${ticket.kind}/${token}`;
    } catch (error) {
      this.#options.observer.tokenRefused('too-many');
      throw error;
    }
  }

  /** Another key pair from now on; connections that stand keep theirs. Throws when the two do not fit. */
  setKeyPair(pair: KeyPair): void {
    if ('setSecureContext' in this.#server) this.#server.setSecureContext({ ...pair });
  }

  /** Listens no more, ends every session with a word to its client, then cuts what is left. */
  async stop(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await this.#sessions.stop();
    await this.#flushed();
    for (const socket of this.#sockets) socket.destroy();
    await promise;
  }

  /** Waits a moment for last words to go out. */
  async #flushed(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, 1000);
    const check = (): void => void (this.#sockets.size === 0 && resolve());
    for (const socket of this.#sockets) socket.once('close', check);
    check();
    await promise;
    clearTimeout(timer);
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('close', () => this.#sockets.delete(socket));
  }

  /** A request without an upgrade is always a mistake. */
  #answer(request: IncomingMessage, response: ServerResponse): void {
    const ticket = this.#redeem(request);
    const [status, text] = ticket
      ? [400, 'unable to upgrade: this is for SPDY/3.1 and WebSocket only']
      : [404, 'no such streaming request'];
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
    response.end(`${text}\n`);
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const onError = (): void => void socket.destroy();
    socket.on('error', onError);
    const ticket = this.#redeem(request);
    if (!ticket) return refuse(socket, 404, { message: 'no such streaming request' });
    if (request.method !== 'GET' && request.method !== 'POST') {
      return refuse(socket, 405, { message: 'only GET and POST', headers: ['Allow: GET, POST'] });
    }
    this.#upgrades.take({ request, socket, head }, ticket);
  }

  #redeem(request: IncomingMessage): Ticket | null {
    const path = parsePath((request.url ?? '').split('?', 1)[0] ?? '');
    const ticket = path && this.#tokens.redeem(path.token);
    if (ticket && ticket.kind === path.kind) return ticket;
    this.#options.observer.tokenRefused('unknown');
    return null;
  }
}
