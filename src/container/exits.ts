// An exit told by a monitor, or deduced by recovery → the container's record.
import { oomCause } from '../lib/oom.ts';
import { type ContainerExit, type ExitReason } from './container.ts';
import type { ContainerRecords, ExitFact } from './ports.ts';

/** The reason in the words that the kubelet copies . */
export function exitReason(fact: Pick<ExitFact, 'exitCode' | 'oomKilled'>): ExitReason {
  if (fact.oomKilled) return 'OOMKilled';
  return fact.exitCode === 0 ? 'Completed' : 'Error';
}

/** What the kubelet shows with the reason. */
function exitMessage({ oomKilled, oom, exitCode, logDroppedBytes }: ExitFact): string {
  const cause = oom && oomCause(oom);
  const why = cause ? `: ${cause}` : '';
  const parts: string[] = [];
  if (oomKilled) parts.push(`OOM killed${why}`);
  // it has outlived that, but may have ended because of it
  else if (oom && exitCode !== 0) parts.push(`${oom.kills} of its processes had been OOM killed${why}`);
  if (logDroppedBytes > 0) parts.push(`${logDroppedBytes} bytes of output were not logged`);
  return parts.join('; ');
}

/** Exit code of a container whose process could not be executed: containerd's and CRI-O's convention. */
export const startErrorCode = 128;

/** A start as a monitor tells it. */
export interface StartFact {
  readonly containerId: string;
  readonly pid: number;
  readonly startTime: number;
  /** Unix nanoseconds; 0n = not started. */
  readonly startedAt: bigint;
}

type Records = Pick<ContainerRecords, 'get' | 'update'>;

/** Records a start once. The container's times stay in order, whatever clock they are from and whichever fact came first. */
export function recordStart(records: Records, fact: StartFact): void {
  const container = records.get(fact.containerId);
  if (!container || fact.startedAt === 0n || container.status.startedAt > 0n) return;
  const { createdAt } = container.identity;
  const { exit } = container.status;
  const startedAt = fact.startedAt > createdAt ? fact.startedAt : createdAt + 1n;
  if (exit === null) records.update(fact.containerId, { startedAt, pid: fact.pid, startTime: fact.startTime });
  else
    records.update(fact.containerId, { startedAt, exit: { ...exit, finishedAt: later(exit.finishedAt, startedAt) } });
}

/** A time, or just after another one when it is not later. */
const later = (time: bigint, than: bigint): bigint => (time > than ? time : than + 1n);

/** Records the end of a container whose exit nobody saw; one that was seen stands. */
export function recordLost(
  records: Records,
  id: string,
  lost: { readonly now: bigint; readonly message: string },
): void {
  const container = records.get(id);
  if (!container || container.status.exit !== null) return;
  const finishedAt = later(lost.now, container.status.startedAt);
  const exit: ContainerExit = { exitCode: 255, reason: 'Unknown', message: lost.message, finishedAt };
  records.update(id, { pid: 0, exit });
}

/** Records an exit once: the first fact stands, whoever brings it. A start that was not told of yet comes with it. */
export function recordExit(records: Records, fact: ExitFact): void {
  const container = records.get(fact.containerId);
  if (!container || container.status.exit !== null) return;
  const { createdAt } = container.identity;
  const known = container.status.startedAt;
  const startedAt = known > 0n || fact.startedAt === 0n ? known : later(fact.startedAt, createdAt);
  const finishedAt = later(fact.finishedAt, startedAt > 0n ? startedAt : createdAt);
  const reason = !fact.started && fact.exitCode === startErrorCode ? 'StartError' : exitReason(fact);
  records.update(fact.containerId, {
    pid: 0,
    startedAt,
    exit: { exitCode: fact.exitCode, reason, message: exitMessage(fact), finishedAt },
  });
}
