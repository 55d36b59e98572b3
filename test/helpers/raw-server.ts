// A server that answers each connection as it likes, byte by byte: what no HTTP library would send.
import net from 'node:net';

export interface RawServer {
  /** `127.0.0.1:port`. */
  readonly host: string;
  /** Bytes that clients took, kernel buffers included. */
  sent(): number;
  /** Connections so far. */
  connections(): number;
  close(): Promise<void>;
}

/** Hands each connection to `answer` when the head of its first request is there. */
export async function startRawServer(answer: (socket: net.Socket, head: string) => void): Promise<RawServer> {
  const sockets = new Set<net.Socket>();
  let connections = 0;
  let closedBytes = 0;
  const server = net.createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => undefined); // the client may break off at any time
    socket.on('close', () => {
      closedBytes += socket.bytesWritten;
      sockets.delete(socket);
    });
    let head = '';
    const read = (chunk: Buffer): void => {
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      socket.off('data', read);
      socket.resume();
      answer(socket, head);
    };
    socket.on('data', read);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    sent: () => [...sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, closedBytes),
    connections: () => connections,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

/** Sends a piece again and again, as fast as the client takes it, until the connection ends. */
export function sendForever(socket: net.Socket, piece: string | Buffer): void {
  const more = (): void => {
    while (!socket.destroyed && socket.write(piece));
  };
  socket.on('drain', more);
  more();
}

/** Sends a piece every few milliseconds until the connection ends. */
export function trickle(socket: net.Socket, piece: string): void {
  const timer = setInterval(() => socket.write(piece), 20);
  socket.on('close', () => clearInterval(timer));
}
