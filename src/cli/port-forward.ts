// podwright port-forward: ports of this machine that lead into a pod, until it is interrupted.
import { createServer, type Server, type Socket } from 'node:net';
import { failureChain, invalidArgument, unavailable } from '../lib/failure.ts';
import { type Channels, openChannels } from './channels.ts';
import { sandboxOf } from './names.ts';
import type { Run, Session } from './session.ts';

/** One `[LOCAL:]REMOTE`; a local port of 0, or `:REMOTE`, picks a free one. */
export interface PortPair {
  readonly local: number;
  readonly remote: number;
}

/** Reads a pair. Throws invalid-argument. */
export function parsePair(text: string): PortPair {
  const [, local, remote = ''] = /^(?:(\d{0,5}):)?(\d{1,5})$/.exec(text) ?? [];
  const pair = { local: local === undefined ? Number(remote) : Number(local), remote: Number(remote) };
  if (pair.remote < 1 || pair.remote > 65_535 || pair.local > 65_535)
    throw invalidArgument(`${text} is not a port, LOCAL:REMOTE or :REMOTE`);
  return pair;
}

/** Listens for each pair and forwards until the user interrupts. */
export const forwardPorts: Run = async (session, [pod = '', ...pairs], { address }) => {
  const wanted = pairs.map(parsePair);
  const sandboxId = await sandboxOf(session.client, pod);
  await session.client.call('PortForward', { pod_sandbox_id: sandboxId }); // a pod that is not there is told now
  const sockets = new Set<Socket>();
  const servers: Server[] = [];
  try {
    for (const pair of wanted) servers.push(await listen(session, { pair, sandboxId, sockets, host: String(address) }));
    await session.streams.interrupted;
  } finally {
    for (const server of servers) server.close();
    for (const socket of sockets) socket.destroy();
  }
};

interface Listening {
  readonly pair: PortPair;
  readonly sandboxId: string;
  readonly host: string;
  readonly sockets: Set<Socket>;
}

async function listen(session: Session, { pair, sandboxId, host, sockets }: Listening): Promise<Server> {
  const { local, remote } = pair;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    forward(session, sandboxId, { socket, remote }).catch((error: unknown) => {
      session.streams.stderr.write(`podwright: ${failureChain(error)}\n`);
      socket.destroy();
    });
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ host, port: local }, resolve);
  try {
    await promise;
  } catch (error) {
    throw unavailable(`listen on ${host}:${local}`, error);
  }
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : local;
  session.out(`Forwarding from ${host}:${port} -> ${remote}\n`);
  return server;
}

/** Each channel begins with the port's number. */
const preamble = 2;

/** One connection: a streaming URL of its own, data on channel 0, errors on channel 1. */
async function forward(
  { client }: Session,
  sandboxId: string,
  { socket, remote }: { readonly socket: Socket; readonly remote: number },
): Promise<void> {
  socket.pause();
  const { url } = await client.call('PortForward', { pod_sandbox_id: sandboxId, port: [remote] });
  const over = Promise.withResolvers<void>();
  const skipped = [0, 0];
  let message = '';
  const data = (channel: number, bytes: Buffer, resume: () => void): boolean => {
    const skip = Math.min(preamble - (skipped[channel] ?? preamble), bytes.length);
    skipped[channel] = (skipped[channel] ?? preamble) + skip;
    const rest = bytes.subarray(skip);
    if (channel === 1) message += rest.toString();
    if (channel !== 0 || rest.length === 0 || socket.destroyed || socket.write(rest)) return true;
    socket.once('drain', resume);
    return false;
  };
  const connection = await openChannels(
    { url, protocol: 'half-close.channel.podwright' },
    {
      data,
      end: (channel) => void (channel === 0 && socket.end()),
      closed: (error) => (error ? over.reject(error) : over.resolve()),
    },
  );
  sendAll(connection, socket);
  await over.promise;
  if (message !== '') throw unavailable(message);
  socket.end();
}

function sendAll(connection: Channels, socket: Socket): void {
  socket.on('data', (bytes) => {
    socket.pause();
    connection.send(0, bytes, () => void socket.resume());
  });
  socket.on('end', () => connection.end(0));
  socket.on('close', () => connection.close());
  socket.resume();
}
