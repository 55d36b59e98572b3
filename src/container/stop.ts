// StopContainer: signal, grace, kill; answers when the exit is recorded.
import { deadlineExceeded } from '../lib/failure.ts';
import { signalNumber } from '../oci/signals.ts';
import { type Container, containerState } from './container.ts';
import { lostExit, recordExit } from './exits.ts';
import type { ContainerCgroups, ContainerMonitors, ContainerRecords } from './ports.ts';

export interface StopContainerPorts {
  readonly records: ContainerRecords;
  readonly monitors: Pick<ContainerMonitors, 'stopContainer' | 'isAlive'>;
  readonly cgroups: Pick<ContainerCgroups, 'kill'>;
  readonly now: () => bigint;
}

/**
 * Stops a container. Missing, created or exited: OK. No lock is held while waiting, so that a second
 * call may shorten the first one's grace (the monitor keeps the deadline, RULINGS 12).
 */
export async function stopContainer(
  ports: StopContainerPorts,
  input: { readonly id: string; readonly timeoutMs: number },
  signal: AbortSignal,
): Promise<void> {
  const container = ports.records.find(input.id);
  if (!container) return;
  const { id } = container.identity;
  if (containerState(container) !== 'running') return;
  if (container.status.stopRequestedAt === 0n) ports.records.update(id, { stopRequestedAt: ports.now() });
  await endProcesses(ports, container, { timeoutMs: input.timeoutMs, signal });
}

/** Ends a container's processes, in whatever state it is, and records the exit. */
export async function endProcesses(
  ports: StopContainerPorts,
  container: Container,
  how: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<void> {
  const { id, sandboxId, cgroupPath, stopSignal } = container.identity;
  if (container.status.exit !== null) return;
  if (!ports.monitors.isAlive(sandboxId)) {
    await ports.cgroups.kill(cgroupPath);
    ports.records.update(id, { pid: 0, exit: lostExit(ports.now(), 'the monitor of the sandbox ended before the container') });
    return;
  }
  const request = { containerId: id, signal: signalNumber(stopSignal), timeoutMs: how.timeoutMs };
  const { exit, stuck } = await ports.monitors.stopContainer(sandboxId, request, how.signal);
  if (exit) {
    recordExit(ports.records, exit);
    return;
  }
  if (stuck.length > 0) throw deadlineExceeded(`container ${id} does not end: ${stuck.join(', ')}`);
}
