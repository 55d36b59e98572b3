// ExecSync: one command in a running container, its output collected.
import { deadlineExceeded, invalidArgument } from '../lib/failure.ts';
import { execProcess, type ExecProcessPorts, runningContainer } from './exec-process.ts';
import type { ContainerMonitors } from './ports.ts';

export interface ExecSyncPorts extends ExecProcessPorts {
  readonly monitors: Pick<ContainerMonitors, 'execSync'>;
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

/** Runs a command without terminal or input. Past its time it is killed with all its descendants. */
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
  const reply = await ports.monitors.execSync(container.identity.sandboxId, request, signal);
  if (reply.timedOut)
    throw deadlineExceeded(
      `command ${command[0]} in container ${process.containerId} did not end within ${timeoutMs} ms`,
    );
  return { stdout: reply.stdout, stderr: reply.stderr, exitCode: reply.exitCode };
}
