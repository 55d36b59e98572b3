// Programs of the node's plugins, which the daemon starts: the connection is their descriptor 3.
import type { Duplex } from 'node:stream';
import { failedPrecondition } from '../lib/failure.ts';
import { endGroup, startInGroup } from '../lib/own-group.ts';

/** A plugin's program. */
export interface Launched {
  readonly socket: Duplex;
  /** Ends it with all that it has started. */
  readonly end: () => void;
}

/** Whose program it is, and who is told when it ends. */
export interface Launch {
  readonly path: string;
  readonly index: string;
  readonly name: string;
  readonly onExit: (how: string) => void;
}

const socketFd = 3;

/** Starts one. Throws failed-precondition where it cannot be begun; an error that comes later ends the connection. */
export function launchPlugin({ path, index, name, onExit }: Launch): Launched {
  let trouble: unknown = null;
  const child = startInGroup(
    {
      command: path,
      args: [],
      // a pipe of Node's is a pair of connected unix sockets
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
      env: { NRI_PLUGIN_NAME: name, NRI_PLUGIN_IDX: index, NRI_PLUGIN_SOCKET: String(socketFd) },
    },
    (error) => {
      trouble = error;
    },
  );
  const socket = child?.stdio[socketFd] as Duplex | null | undefined;
  if (!child || !socket) throw failedPrecondition(`start NRI plugin ${path}`, trouble);
  child.on('exit', (code, signal) => onExit(signal === null ? `exit code ${code}` : signal));
  child.unref();
  return { socket, end: () => endGroup(child) };
}
