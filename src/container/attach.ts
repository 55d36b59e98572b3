// Attach: a URL for the streams of a container's main process, and the streams once the client is there.
import type { WantedStreams } from './exec.ts';
import { runningContainer } from './exec-process.ts';
import type { ContainerRecords } from './ports.ts';

/** CRI AttachRequest. */
export interface AttachInput extends WantedStreams {
  readonly id: string;
}

/** A checked Attach, as its URL stands for it. */
export interface AttachTicket extends WantedStreams {
  readonly kind: 'attach';
  readonly containerId: string;
}

/** Checks the call and answers a one-use URL. */
export function attach(
  ports: { readonly records: Pick<ContainerRecords, 'find'>; readonly url: (ticket: AttachTicket) => string },
  input: AttachInput,
): string {
  const { identity } = runningContainer(ports.records, input.id);
  const { tty, stdin, stdout, stderr } = input;
  return ports.url({ kind: 'attach', containerId: identity.id, tty, stdin, stdout, stderr });
}

/** proto Attach. */
export interface AttachRequest {
  readonly containerId: string;
  readonly attachId: string;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

export interface StartAttachPorts<P> {
  readonly records: Pick<ContainerRecords, 'find'>;
  readonly newExecId: () => string;
  /** Takes the streams at the sandbox's monitor. */
  readonly openAttach: (sandboxId: string, request: AttachRequest, signal: AbortSignal) => Promise<P>;
}

/** What was attached to. */
export type Attached<P> = P & {
  /**
   * Whether the end of the client's input ends the attachment. It does as with containerd and Docker, where it does not
   * end the container's input (`stdin_once` without a terminal) whose last output is waited for then.
   */
  readonly inputEndDetaches: boolean;
};

/** Attaches for a ticket. A container that was made without stdin has none, and one with a terminal has one output. */
export async function startAttach<P extends object>(
  ports: StartAttachPorts<P>,
  ticket: AttachTicket,
  signal: AbortSignal,
): Promise<Attached<P>> {
  const { identity } = runningContainer(ports.records, ticket.containerId);
  const { config, sandboxId, id } = identity;
  const request = {
    containerId: id,
    attachId: ports.newExecId(),
    stdin: ticket.stdin && config.stdin,
    stdout: ticket.stdout,
    stderr: ticket.stderr && !config.tty,
  };
  const attached = await ports.openAttach(sandboxId, request, signal);
  return { ...attached, inputEndDetaches: !config.stdinOnce || config.tty };
}
