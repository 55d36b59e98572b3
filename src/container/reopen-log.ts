// ReopenContainerLog: the monitor goes on in a new file at the same path.
import { failedPrecondition } from '../lib/failure.ts';
import { containerState, mayAct } from './container.ts';
import { findContainer } from './list.ts';
import type { ContainerMonitors, ContainerRecords } from './ports.ts';

export interface ReopenLogPorts {
  readonly records: Pick<ContainerRecords, 'find'>;
  readonly monitors: Pick<ContainerMonitors, 'reopenLog'>;
}

/** Reopens a running container's log; answers when the switch is done. Not running: fails, and makes no file. */
export async function reopenContainerLog(
  ports: ReopenLogPorts,
  idOrPrefix: string,
  signal: AbortSignal,
): Promise<void> {
  const container = findContainer(ports.records, idOrPrefix);
  const { id, sandboxId } = container.identity;
  const state = containerState(container);
  if (!mayAct('reopen-log', state)) throw failedPrecondition(`container ${id} is ${state}, not running`);
  await ports.monitors.reopenLog(sandboxId, id, signal);
}
