// ExecSync: one command in a running container, its output collected.
import { deadlineExceeded, invalidArgument } from '../lib/failure.ts';
import { execProcess, type ExecProcessPorts, runningContainer } from './exec-process.ts';
import type { ContainerMonitors } from './ports.ts';

export interface ExecSyncPorts extends ExecProcessPorts {
  readonly monitors: Pick<ContainerMonitors, 'execSync' | 'cancelExec'>;
}

export interface ExecSyncInput {
  readonly id: string;
  readonly command: readonly string[];
  readonly timeoutMs: number;
}

export interface ExecSyncResult {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly exitCode: number;
}

/** Both outputs together stay under the kubelet's 16 MiB message limit (ruling 22). */
const maxOutputBytes = 16 * 1024 * 1024 - 64 * 1024;

/** How long output that a descendant holds open is waited for after the command's exit, in milliseconds. */
const drainMs = 2000;

/** How long a monitor may take to kill a command whose caller has gone, in milliseconds. */
const cancelMs = 10_000;

/** Runs a command without terminal or input. Past its time, or without its caller, it is killed with all its descendants. */
export async function execSync(
  ports: ExecSyncPorts,
  input: ExecSyncInput,
  signal: AbortSignal,
): Promise<ExecSyncResult> {
  const { id, command, timeoutMs } = input;
  if (command.length === 0) throw invalidArgument('cmd is empty');
  const container = runningContainer(ports.records, id);
  const process = await execProcess(ports, container, { command, terminal: false });
  const request = { ...process, timeoutMs, maxOutputBytes, drainMs };
  const { sandboxId } = container.identity;
  const reply = await ports.monitors.execSync(sandboxId, request, signal).catch(async (error: unknown) => {
    if (signal.aborted) await cancel(ports, sandboxId, process.execId);
    throw error;
  });
  if (reply.timedOut)
    throw deadlineExceeded(
      `command ${command[0]} in container ${process.containerId} did not end within ${timeoutMs} ms`,
    );
  return { stdout: reply.stdout, stderr: reply.stderr, exitCode: reply.exitCode };
}

/** Nobody waits for the command any more. Its caller is told why it went, not how this ended: it has its own timeout left. */
async function cancel({ monitors }: ExecSyncPorts, sandboxId: string, execId: string): Promise<void> {
  await monitors.cancelExec(sandboxId, execId, AbortSignal.timeout(cancelMs)).catch(() => undefined);
}
