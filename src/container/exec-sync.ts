// ExecSync: one command in a running container, its output collected.
import { deadlineExceeded, failedPrecondition, invalidArgument } from '../lib/failure.ts';
import type { OciProcess } from '../oci/types.ts';
import type { SecurityProfile } from '../sandbox/sandbox.ts';
import { containerState, mayAct } from './container.ts';
import { findContainer } from './list.ts';
import type { ContainerFiles, ContainerMonitors, ContainerRecords, SeccompFilter } from './ports.ts';

export interface ExecSyncPorts {
  readonly records: Pick<ContainerRecords, 'find'>;
  readonly monitors: Pick<ContainerMonitors, 'execSync'>;
  readonly files: Pick<ContainerFiles, 'readProcess'>;
  readonly seccomp: (profile: SecurityProfile | null, capabilities: readonly string[]) => Promise<SeccompFilter>;
  readonly newExecId: () => string;
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
  if (input.command.length === 0) throw invalidArgument('cmd is empty');
  const container = findContainer(ports.records, input.id);
  const { id, sandboxId, config } = container.identity;
  const state = containerState(container);
  if (!mayAct('exec', state)) throw failedPrecondition(`container ${id} is ${state}, not running`);
  const own = ports.files.readProcess(id) as OciProcess | null;
  if (own === null) throw failedPrecondition(`container ${id} has no bundle any more`);
  const { privileged, seccomp } = config.security;
  const filter = await ports.seccomp(privileged ? null : seccomp, own.capabilities.bounding);
  const reply = await ports.monitors.execSync(
    sandboxId,
    {
      containerId: id,
      execId: ports.newExecId(),
      process: JSON.stringify({ ...own, args: input.command, terminal: false }),
      timeoutMs: input.timeoutMs,
      maxOutputBytes,
      seccompBpf: filter.bpf,
      seccompFlags: filter.flags,
      drainMs,
    },
    signal,
  );
  if (reply.timedOut)
    throw deadlineExceeded(`command ${input.command[0]} in container ${id} did not end within ${input.timeoutMs} ms`);
  return { stdout: reply.stdout, stderr: reply.stderr, exitCode: reply.exitCode };
}
