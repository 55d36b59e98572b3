// An exit told by a monitor, or deduced by recovery → the container's record.
import { type ContainerExit, type ExitReason } from './container.ts';
import type { ContainerRecords, ExitFact } from './ports.ts';

/** The reason in the words that the kubelet copies (SURFACE §4). */
export function exitReason(fact: Pick<ExitFact, 'exitCode' | 'oomKilled'>): ExitReason {
  if (fact.oomKilled) return 'OOMKilled';
  return fact.exitCode === 0 ? 'Completed' : 'Error';
}

/** The exit of a container whose end nobody saw. */
export const lostExit = (now: bigint, message: string): ContainerExit => ({
  exitCode: 255,
  reason: 'Unknown',
  message,
  finishedAt: now,
});

/** Records an exit once: the first fact stands, whoever brings it. */
export function recordExit(records: Pick<ContainerRecords, 'get' | 'update'>, fact: ExitFact): void {
  const container = records.get(fact.containerId);
  if (!container || container.status.exit !== null) return;
  const after = container.status.startedAt > 0n ? container.status.startedAt : container.identity.createdAt;
  const finishedAt = fact.finishedAt > after ? fact.finishedAt : after + 1n;
  const message = fact.logDroppedBytes > 0 ? `${fact.logDroppedBytes} bytes of output were not logged` : '';
  records.update(fact.containerId, {
    pid: 0,
    exit: { exitCode: fact.exitCode, reason: exitReason(fact), message, finishedAt },
  });
}
