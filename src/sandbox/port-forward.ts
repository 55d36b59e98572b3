// PortForward: a URL for connections into a pod's network namespace, and the connections once the client is there.
import { failedPrecondition } from '../lib/failure.ts';
import { type ListSandboxPorts, sandboxStatus } from './list.ts';

/** CRI PortForwardRequest. */
export interface PortForwardInput {
  readonly id: string;
  /** Only for WebSocket, and mostly empty: clients name ports on the connection. */
  readonly ports: readonly number[];
}

/** A checked PortForward, as its URL stands for it. */
export interface PortForwardTicket {
  readonly kind: 'portforward';
  readonly sandboxId: string;
  readonly ports: readonly number[];
}

/** The id of a sandbox that is ready. Throws not-found and failed-precondition. */
function readySandbox(ports: ListSandboxPorts, idOrPrefix: string): string {
  const { sandbox, state } = sandboxStatus(ports, idOrPrefix);
  const { id } = sandbox.identity;
  if (state !== 'ready') throw failedPrecondition(`sandbox ${id} is not ready`);
  return id;
}

/** Checks the call and answers a one-use URL. */
export function portForward(
  ports: ListSandboxPorts & { readonly url: (ticket: PortForwardTicket) => string },
  input: PortForwardInput,
): string {
  const sandboxId = readySandbox(ports, input.id);
  return ports.url({ kind: 'portforward', sandboxId, ports: input.ports });
}

export interface DialPorts<P> extends ListSandboxPorts {
  readonly openPort: (sandboxId: string, port: number, signal: AbortSignal) => Promise<P>;
}

/** Connects to a port of the pod: 127.0.0.1, then ::1. */
export async function dialPort<P>(
  ports: DialPorts<P>,
  { sandboxId, port }: { readonly sandboxId: string; readonly port: number },
  signal: AbortSignal,
): Promise<P> {
  return ports.openPort(readySandbox(ports, sandboxId), port, signal);
}
