// StopContainer: signal, grace, kill; answers when the exit is recorded.
import { deadlineExceeded, Failure } from '../lib/failure.ts';
import type { KeyedLock } from '../lib/keyed-lock.ts';
import { signalNumber } from '../oci/signals.ts';
import { type Container, containerState } from './container.ts';
import { recordExit, recordLost } from './exits.ts';
import type { ContainerCgroups, ContainerMonitors, ContainerRecords } from './ports.ts';
import type { Starts } from './starts.ts';

export interface StopContainerPorts {
  readonly records: ContainerRecords;
  readonly locks: KeyedLock;
  readonly starts: Pick<Starts, 'has'>;
  readonly monitors: Pick<ContainerMonitors, 'stopContainer' | 'isAlive'>;
  readonly cgroups: Pick<ContainerCgroups, 'kill'>;
  readonly now: () => bigint;
}

/**
 * Stops a container. Missing, created or exited: OK. No lock is held while waiting, so that a second
 * call may shorten the first one's grace (the monitor keeps the deadline, ruling 12).
 */
export async function stopContainer(
  ports: StopContainerPorts,
  input: { readonly id: string; readonly timeoutMs: number },
  signal: AbortSignal,
): Promise<void> {
  const id = ports.records.find(input.id)?.identity.id;
  if (id === undefined) return;
  // one that is started, or has hooks that still run, has a monitor that keeps the deadline of its stop
  if (isCreated(ports, id) && !ports.starts.has(id) && ports.locks.isHeld(`container ${id}`)) {
    // it may be on its way to run: an answer now would be wrong in a moment
    await ports.locks.run(`container ${id}`, signal, async () => undefined);
  }
  const container = ports.records.get(id);
  if (!container) return;
  if (containerState(container) !== 'running' && !(isCreated(ports, id) && ports.starts.has(id))) return;
  if (container.status.stopRequestedAt === 0n) ports.records.update(id, { stopRequestedAt: ports.now() });
  await endProcesses(ports, container, { timeoutMs: input.timeoutMs, signal });
}

function isCreated(ports: StopContainerPorts, id: string): boolean {
  const container = ports.records.get(id);
  return container !== undefined && containerState(container) === 'created';
}

/** Ends a container's processes, in whatever state it is, and records the exit. */
export async function endProcesses(
  ports: StopContainerPorts,
  container: Container,
  how: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<void> {
  const { id, sandboxId, cgroupPath } = container.identity;
  if (container.status.exit !== null) return;
  if (ports.monitors.isAlive(sandboxId) && (await stopByMonitor(ports, container, how))) return;
  await ports.cgroups.kill(cgroupPath);
  const message = ports.monitors.isAlive(sandboxId)
    ? 'the monitor of the sandbox does not know the container'
    : 'the monitor of the sandbox ended before the container';
  recordLost(ports.records, id, { now: ports.now(), message });
}

/** Whether the monitor has ended it; false when it does not know the container. */
async function stopByMonitor(
  ports: StopContainerPorts,
  { identity }: Container,
  how: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<boolean> {
  const { id, sandboxId, stopSignal } = identity;
  const request = { containerId: id, signal: signalNumber(stopSignal), timeoutMs: how.timeoutMs };
  try {
    const { exit, stuck } = await ports.monitors.stopContainer(sandboxId, request, how.signal);
    if (stuck.length > 0 && !exit) throw deadlineExceeded(`container ${id} does not end: ${stuck.join(', ')}`);
    if (exit) recordExit(ports.records, exit);
    return exit !== null;
  } catch (error) {
    if (error instanceof Failure && error.kind === 'not-found') return false;
    if (!ports.monitors.isAlive(sandboxId)) return false; // it died of what also ended this call
    throw error;
  }
}
