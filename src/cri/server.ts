// The CRI socket: binding it safely, registering the services, draining. Must not know what an RPC does.
import { connect } from 'node:net';
import { Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { failedPrecondition, failureChain, internal, invalidArgument } from '../lib/failure.ts';
import type { HostOffers } from './field-policy.ts';
import { imageService } from './image-service.ts';
import { maxMessageBytes, type RpcPorts } from './rpc.ts';
import { runtimeService } from './runtime-service.ts';
import { buildService } from './table.ts';
import type { ImageVerbs, RuntimeVerbs } from './verbs.ts';

/** What the server does to the socket's file; all paths absolute. */
export interface SocketFiles {
  /** chmod(2). */
  setMode(path: string, mode: number): Promise<void>;
  /** rename(2): replaces what is there. */
  rename(from: string, to: string): Promise<void>;
  /** unlink(2); nothing there is fine. */
  remove(path: string): Promise<void>;
}

/** What a CRI server is made of. */
export interface CriServerParts {
  /** Absolute path of the socket. */
  readonly socket: string;
  readonly files: SocketFiles;
  readonly runtime: RuntimeVerbs;
  readonly images: ImageVerbs;
  readonly ports: RpcPorts;
  /** What requests can ask of this host. */
  readonly host: HostOffers;
  /** Further services on the same socket. */
  readonly services: readonly ServedService[];
}

/** A service as grpc-js takes it. */
export interface ServedService {
  readonly definition: ServiceDefinition;
  readonly handlers: UntypedServiceImplementation;
}

/** A serving CRI socket. */
export interface CriServer {
  /**
   * Takes no new calls, ends streams that have no end of their own, waits for running calls up to `drainMs`,
   * then cuts them off; removes the socket.
   */
  stop(drainMs: number): Promise<void>;
}

/** Owner and group may talk to us: ruling 16 keeps everybody else out of the directory already. */
const socketMode = 0o660;

const serverOptions = {
  'grpc.max_receive_message_length': maxMessageBytes,
  'grpc.max_send_message_length': maxMessageBytes,
  // channelz keeps a record of each call; nothing reads it
  'grpc.enable_channelz': 0,
};

/**
 * Serves both services on the socket. Fails with failed-precondition when another daemon listens there;
 * a socket that nobody listens on is replaced.
 */
export async function startCriServer(parts: CriServerParts): Promise<CriServer> {
  await refuseIfServed(parts.socket);
  const server = new Server(serverOptions);
  const { ports, host } = parts;
  const stopper = new AbortController();
  const made = { ports, host, stopping: stopper.signal };
  for (const service of [
    buildService('RuntimeService', runtimeService, { verbs: parts.runtime, ...made }),
    buildService('ImageService', imageService, { verbs: parts.images, ...made }),
    ...parts.services,
  ]) {
    server.addService(service.definition, service.handlers);
  }
  await bind(server, parts);
  return {
    stop(drainMs) {
      stopper.abort();
      return stop(server, parts, drainMs);
    },
  };
}

/**
 * The socket is bound beside its place and renamed into it: it never exists there with another mode,
 * and a stale one is replaced in one step.
 */
async function bind(server: Server, { socket, files }: CriServerParts): Promise<void> {
  const fresh = `${socket}.new`;
  if (Buffer.byteLength(fresh) > 107) {
    throw invalidArgument(
      `socket path ${socket} is longer than 103 bytes, more than a unix socket address holds with ".new" behind it`,
    );
  }
  await files.remove(fresh);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.bindAsync(`unix:${fresh}`, ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve()));
  try {
    await promise;
    await files.setMode(fresh, socketMode);
    await files.rename(fresh, socket);
  } catch (error) {
    server.forceShutdown();
    await files.remove(fresh);
    throw internal(`bind the CRI socket ${socket}`, error);
  }
}

async function refuseIfServed(socket: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const probe = connect(socket);
  probe.once('connect', () => resolve(true));
  probe.once('error', () => resolve(false));
  const served = await promise;
  probe.destroy();
  if (served) throw failedPrecondition(`another daemon listens on ${socket}`);
}

async function stop(server: Server, { socket, files, ports }: CriServerParts, drainMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    ports.log.warn({ drainMs }, 'calls were still running and are cut off');
    server.forceShutdown();
    resolve();
  }, drainMs);
  server.tryShutdown((error) => {
    if (error) ports.log.warn({ error: failureChain(error) }, 'closing the CRI server');
    resolve();
  });
  await promise;
  clearTimeout(timer);
  await files.remove(socket);
}
