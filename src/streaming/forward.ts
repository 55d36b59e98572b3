// One forwarded connection: joins a client's data channel with a port in the pod, both ways, each ending by itself.
// Must not know how either side speaks.
import { failureChain } from '../lib/failure.ts';
import { type Inlet, type Outlet, pumpIn, pumpOut, type RemotePort } from './streams.ts';

/** The client's side of one forwarded connection. */
export interface ForwardClient {
  readonly port: number;
  readonly inlet: Inlet;
  /** Its end ends the error channel too: clients wait for that. */
  readonly outlet: Outlet;
  /** Whether the client learns of the end of `outlet` alone; otherwise the pod's end is the end of all. */
  readonly halfCloses: boolean;
  /** Called once when the client gives the connection up. */
  onCut(then: () => void): void;
  /** Tells why there is no connection, and ends both channels. */
  fail(message: string): void;
  /** Ends what is left of both channels. */
  close(): void;
}

/** What forwarding needs. */
export interface ForwardPorts {
  readonly sandboxId: string;
  /** Connects to a port of the pod. */
  readonly dial: (port: number, signal: AbortSignal) => Promise<RemotePort>;
  /** Fires when the client is gone or the daemon stops. */
  readonly over: AbortSignal;
  readonly countIn: (bytes: number) => void;
  readonly countOut: (bytes: number) => void;
  /** Told of a connection that failed. */
  readonly onFailure: (port: number, message: string) => void;
}

/** Forwards until both directions have ended, the client gives up or the port is gone. Never rejects. */
export async function forwardPort(client: ForwardClient, ports: ForwardPorts): Promise<void> {
  const cut = new AbortController();
  const give = (): void => cut.abort();
  client.onCut(give);
  ports.over.addEventListener('abort', give, { once: true });
  try {
    await converse(client, ports, cut.signal);
    client.close();
  } catch (error) {
    const message = failureChain(error);
    if (!cut.signal.aborted) ports.onFailure(client.port, message);
    client.fail(`error forwarding port ${client.port} to pod ${ports.sandboxId}, uid : ${message}`);
  } finally {
    ports.over.removeEventListener('abort', give);
  }
}

async function converse(client: ForwardClient, ports: ForwardPorts, cut: AbortSignal): Promise<void> {
  if (ports.over.aborted) return;
  const port = await ports.dial(client.port, cut);
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const give = (): void => resolve();
  cut.addEventListener('abort', give, { once: true });
  if (cut.aborted) resolve();
  port.onClose(give);
  pumpOut(port.source, client.outlet, {
    count: ports.countOut,
    end: () => (client.halfCloses ? undefined : resolve()),
  });
  pumpIn(client.inlet, port.sink, { count: ports.countIn, end: () => undefined });
  await over;
  port.release();
}
