// Exec: a URL for a command whose streams a client takes, and the command once the client is there.
import { invalidArgument } from '../lib/failure.ts';
import { execProcess, type ExecProcess, type ExecProcessPorts, runningContainer } from './exec-process.ts';
import type { ContainerRecords } from './ports.ts';

/** Which streams a client takes. CRI ExecRequest, AttachRequest. */
export interface WantedStreams {
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

/** CRI ExecRequest. */
export interface ExecInput extends WantedStreams {
  readonly id: string;
  readonly command: readonly string[];
}

/** A checked Exec, as its URL stands for it. */
export interface ExecTicket extends WantedStreams {
  readonly kind: 'exec';
  readonly containerId: string;
  readonly command: readonly string[];
}

/** Checks the call and answers a one-use URL; nothing is started. */
export function exec(
  ports: { readonly records: Pick<ContainerRecords, 'find'>; readonly url: (ticket: ExecTicket) => string },
  input: ExecInput,
): string {
  if (input.command.length === 0) throw invalidArgument('cmd is empty');
  const { identity } = runningContainer(ports.records, input.id);
  const { command, tty, stdin, stdout, stderr } = input;
  return ports.url({ kind: 'exec', containerId: identity.id, command, tty, stdin, stdout, stderr });
}

/** proto Exec. */
export interface ExecRequest extends ExecProcess {
  readonly terminal: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly size: { readonly width: number; readonly height: number } | null;
}

export interface StartExecPorts<P> extends ExecProcessPorts {
  /** Starts the command with its streams at the sandbox's monitor. */
  readonly openExec: (sandboxId: string, request: ExecRequest, signal: AbortSignal) => Promise<P>;
}

/** Starts the command of a ticket; the container may have ended meanwhile. `size` is the terminal's, if it is known. */
export async function startExec<P>(
  ports: StartExecPorts<P>,
  { ticket, size }: { readonly ticket: ExecTicket; readonly size: ExecRequest['size'] },
  signal: AbortSignal,
): Promise<P> {
  const container = runningContainer(ports.records, ticket.containerId);
  const { command, tty: terminal, stdin, stdout, stderr } = ticket;
  const process = await execProcess(ports, container, { command, terminal });
  return ports.openExec(container.identity.sandboxId, { ...process, terminal, stdin, stdout, stderr, size }, signal);
}
