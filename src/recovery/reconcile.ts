// PURE
// From what was found after a start to what must be done. Must not do any of it.
import type { Container } from '../container/container.ts';
import type { OomKills } from '../lib/oom.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';

/** What a sandbox's monitor turned out to be: answering, alive but silent, dead, or of an earlier boot. */
export type MonitorFinding = 'adopted' | 'silent' | 'dead' | 'other-boot';

/** An exit as a monitor or its exit file tells it. */
export interface FoundExit {
  readonly containerId: string;
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** Of any of its processes; absent: none, or a monitor of an older release. */
  readonly oom?: OomKills;
  readonly finishedAt: bigint;
  readonly started: boolean;
  /** Unix nanoseconds; 0n: never started, or not known. */
  readonly startedAt: bigint;
  readonly logDroppedBytes: number;
}

/** What an adopted monitor says of a container. */
export interface FoundContainer {
  readonly containerId: string;
  readonly pid: number;
  readonly startTime: number;
  readonly startedAt: bigint;
  readonly exit: FoundExit | null;
}

export interface Observations {
  readonly sandboxes: readonly Sandbox[];
  readonly containers: readonly Container[];
  readonly monitors: ReadonlyMap<string, MonitorFinding>;
  readonly facts: ReadonlyMap<string, FoundContainer>;
  /** Exit files by container id. */
  readonly exits: ReadonlyMap<string, FoundExit>;
  /** Writable layers of containers without a record. */
  readonly snapshots: readonly string[];
  /** Bundles of containers without a record. */
  readonly bundles: readonly string[];
  /** Sandboxes without a record that hold something of the host: a monitor's socket, a netns pin, files. */
  readonly orphans: readonly string[];
  /** Containers that an adopted monitor tells of, without a record. */
  readonly strangers: readonly Stranger[];
}

/** A container that only its monitor knows: its record was damaged and is in quarantine. */
export interface Stranger {
  readonly sandboxId: string;
  readonly containerId: string;
}

/** One thing to do; all of one sandbox's are done in order. */
export type Action =
  | { readonly type: 'teardown-sandbox'; readonly sandboxId: string; readonly why: string }
  | { readonly type: 'stop-sandbox'; readonly sandboxId: string; readonly why: string }
  | { readonly type: 'reach-monitor'; readonly sandboxId: string }
  | {
      readonly type: 'teardown-container';
      readonly sandboxId: string;
      readonly containerId: string;
      readonly why: string;
    }
  | {
      readonly type: 'record-start';
      readonly sandboxId: string;
      readonly containerId: string;
      readonly pid: number;
      readonly startTime: number;
      readonly startedAt: bigint;
    }
  | { readonly type: 'record-exit'; readonly sandboxId: string; readonly exit: FoundExit }
  | { readonly type: 'lose-container'; readonly sandboxId: string; readonly containerId: string; readonly why: string }
  | {
      readonly type: 'forget-container';
      readonly sandboxId: string;
      readonly containerId: string;
      readonly why: string;
    }
  | { readonly type: 'end-orphan'; readonly sandboxId: string; readonly why: string }
  | {
      readonly type: 'remove-snapshot' | 'remove-bundle';
      readonly sandboxId: string;
      readonly containerId: string;
    };

/** What to do with a container that exists for its callers. */
function containerAction(container: Container, finding: MonitorFinding, seen: Observations): Action[] {
  const { id, sandboxId } = container.identity;
  if (container.status.exit !== null || finding === 'silent') return [];
  const fact = finding === 'adopted' ? seen.facts.get(id) : undefined;
  const actions: Action[] = [];
  if (fact && fact.startedAt > 0n && container.status.startedAt === 0n) {
    const { pid, startTime, startedAt } = fact;
    actions.push({ type: 'record-start', sandboxId, containerId: id, pid, startTime, startedAt });
  }
  const exit = fact?.exit ?? seen.exits.get(id);
  if (exit) actions.push({ type: 'record-exit', sandboxId, exit });
  else if (!fact) actions.push({ type: 'lose-container', sandboxId, containerId: id, why: lostBecause(finding) });
  return actions;
}

const lostBecause = (finding: MonitorFinding): string => {
  if (finding === 'other-boot') return 'the host restarted while the container ran';
  if (finding === 'dead') return 'the monitor of the sandbox ended before the container';
  return 'the monitor of the sandbox does not know the container';
};

function sandboxActions(sandbox: Sandbox, finding: MonitorFinding): Action[] {
  const { id } = sandbox.identity;
  const { phase, stopRequestedAt } = sandbox.status;
  if (phase === 'creating') return [{ type: 'teardown-sandbox', sandboxId: id, why: 'its creation never ended' }];
  if (phase === 'removing') return [{ type: 'teardown-sandbox', sandboxId: id, why: 'its removal never ended' }];
  if (phase === 'stopped') return [];
  if (finding === 'other-boot') return [{ type: 'stop-sandbox', sandboxId: id, why: 'the host restarted' }];
  if (stopRequestedAt > 0n) return [{ type: 'stop-sandbox', sandboxId: id, why: 'its stop never ended' }];
  return finding === 'silent' ? [{ type: 'reach-monitor', sandboxId: id }] : [];
}

/** What has no record goes: processes first, then what they write to. */
function orphanActions({ orphans, strangers, snapshots, bundles }: Observations): Action[] {
  const sandboxOf = new Map(strangers.map(({ sandboxId, containerId }) => [containerId, sandboxId]));
  const remove = (type: 'remove-snapshot' | 'remove-bundle', containerId: string): Action => ({
    type,
    sandboxId: sandboxOf.get(containerId) ?? '',
    containerId,
  });
  return [
    ...strangers.map((stranger): Action => ({ type: 'forget-container', ...stranger, why: 'it has no record' })),
    ...orphans.map((sandboxId): Action => ({ type: 'end-orphan', sandboxId, why: 'it has no record' })),
    ...snapshots.map((id) => remove('remove-snapshot', id)),
    ...bundles.map((id) => remove('remove-bundle', id)),
  ];
}

/** Everything that must be done, container facts before their sandbox's fate. */
export function reconcile(seen: Observations): Action[] {
  const actions: Action[] = [];
  const sandboxes = new Map(seen.sandboxes.map((s) => [s.identity.id as string, s]));
  for (const container of seen.containers) {
    const { id, sandboxId } = container.identity;
    const sandbox = sandboxes.get(sandboxId);
    if (!sandbox) actions.push({ type: 'teardown-container', sandboxId, containerId: id, why: 'its sandbox is gone' });
    else if (sandbox.status.phase === 'creating' || sandbox.status.phase === 'removing') continue;
    else if (container.status.phase !== 'created') {
      const why = container.status.phase === 'creating' ? 'its creation never ended' : 'its removal never ended';
      actions.push({ type: 'teardown-container', sandboxId, containerId: id, why });
    } else actions.push(...containerAction(container, seen.monitors.get(sandboxId) ?? 'dead', seen));
  }
  for (const sandbox of seen.sandboxes) {
    actions.push(...sandboxActions(sandbox, seen.monitors.get(sandbox.identity.id) ?? 'dead'));
  }
  return [...orphanActions(seen), ...actions];
}
