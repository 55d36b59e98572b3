// HTTP answers on a connection that asked to be upgraded: refusals, and the upgrade to SPDY.
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';

/** How long a client that was refused may take to close its side, in milliseconds. */
const lingerMs = 1000;

/** A refusal, then the end of the connection, whatever the client does with its side of it. */
export function refuse(socket: Duplex, status: number, { message, headers = [] }: Refusal): void {
  const body = `${message}\n`;
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`,
    'Content-Type: text/plain; charset=utf-8',
    'X-Content-Type-Options: nosniff',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    ...headers,
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
  socket.resume(); // what it has still sent must not keep its end from being seen
  const timer = setTimeout(() => socket.destroy(), lingerMs).unref();
  socket.once('close', () => clearTimeout(timer));
}

export interface Refusal {
  readonly message: string;
  /** Further header lines. */
  readonly headers?: readonly string[];
}

/** 101 to SPDY/3.1 with the chosen version of what is spoken over it. */
export function upgradeToSpdy(socket: Duplex, version: string): void {
  const lines = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', 'Upgrade: SPDY/3.1'];
  socket.write([...lines, `X-Stream-Protocol-Version: ${version}`, '', ''].join('\r\n'));
}
