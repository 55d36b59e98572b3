// Makes events of what changes in the records of sandboxes and containers, in the turn in which it changes.
// Wires: the order of steps is events/steps.ts, the carrying is events/bus.ts.
import { type Container, containerState } from '../container/container.ts';
import type { ContainerEvent } from '../cri/verbs.ts';
import { EventBus } from '../events/bus.ts';
import { type LifeFacts, type LifeStep, LifeSteps } from '../events/steps.ts';
import type { Log } from '../log.ts';
import { type Sandbox, sandboxState } from '../sandbox/sandbox.ts';
import type { PodStore } from './pod-store.ts';

/** What one subscriber may leave unread: some seconds of a busy node. */
const limits = { events: 2000, bytes: 16 * 1024 * 1024 };

/** How long what recovery found is told to who subscribes: a kubelet comes back within seconds. */
const foundForMs = 60_000;

export interface PodEventParts {
  readonly store: Pick<PodStore, 'sandboxes' | 'containers'>;
  readonly isAlive: (sandboxId: string) => boolean;
  readonly now: () => bigint;
  readonly log: Pick<Log, 'warn' | 'error'>;
}

const containerFacts = (container: Container, gone: boolean): LifeFacts => ({
  made: container.status.phase === 'created',
  started: container.status.startedAt > 0n,
  ended: containerState(container) === 'exited',
  gone,
});

const sandboxFacts = (
  { status: { phase } }: Sandbox,
  { alive, gone }: { readonly alive: boolean; readonly gone: boolean },
): LifeFacts => ({
  made: phase === 'ready',
  started: phase === 'ready',
  ended: phase === 'stopped' || (phase === 'ready' && !alive) || gone,
  gone,
});

/** Tells a step of a container, or of the sandbox itself, with the whole pod as it is now. */
type Tell = (containerId: string, steps: readonly LifeStep[], sandbox: Sandbox) => void;

/** From a change of a record to the steps that it is; null before it was made, and after it is gone. */
function changes({ store, isAlive }: Pick<PodEventParts, 'store' | 'isAlive'>, tell: Tell) {
  const lives = new LifeSteps();
  return {
    container(before: Container | null, after: Container | null): void {
      const container = after ?? before;
      if (!container) return;
      const { id, sandboxId } = container.identity;
      const steps = lives.advance(id, containerFacts(container, after === null));
      const sandbox = store.sandboxes.get(sandboxId);
      // of a pod that has no record there is nothing to tell: its subscribers ask for its status first
      if (sandbox) tell(id, steps, sandbox);
    },
    sandbox(before: Sandbox | null, after: Sandbox | null): void {
      const sandbox = after ?? before;
      if (!sandbox) return;
      const { id } = sandbox.identity;
      const gone = after === null;
      tell(id, lives.advance(id, sandboxFacts(sandbox, { alive: isAlive(id), gone })), sandbox);
    },
    /** What was loaded counts as told: by the daemon before. */
    passOver(): void {
      for (const s of store.sandboxes.list()) {
        lives.advance(s.identity.id, sandboxFacts(s, { alive: true, gone: false }));
      }
      for (const c of store.containers.list()) lives.advance(c.identity.id, containerFacts(c, false));
    },
  };
}

/** The events of this daemon's pods. */
export function podEvents({ store, isAlive, now, log }: PodEventParts) {
  const { sandboxes, containers } = store;
  const counts = { overflows: 0, published: 0 };
  const bus = new EventBus<ContainerEvent>({
    limits,
    onOverflow: (unread) => {
      counts.overflows += 1;
      log.warn(unread, 'a subscriber of container events is too slow and was given up');
    },
  });
  const changed = changes({ store, isAlive }, (containerId, steps, sandbox) => {
    counts.published += steps.length;
    if (steps.length === 0 || !bus.heard) return;
    const { id } = sandbox.identity;
    const view = { sandbox, state: sandboxState(sandbox, isAlive(id)) };
    const all = containers.list().filter((c) => c.identity.sandboxId === id && c.status.phase !== 'creating');
    for (const type of steps) bus.publish({ containerId, type, createdAt: now(), sandbox: view, containers: all });
  });
  /** A record must change whatever becomes of its event. */
  const guarded =
    <T>(told: (before: T | null, after: T | null) => void) =>
    (before: T | null, after: T | null): void => {
      try {
        told(before, after);
      } catch (error) {
        log.error({ error }, 'bug: an event could not be made');
      }
    };
  containers.onChange(guarded((before, after) => changed.container(before, after)));
  sandboxes.onChange(guarded((before, after) => changed.sandbox(before, after)));
  return {
    subscribe: (sizeOf: (event: ContainerEvent) => number) => bus.subscribe(sizeOf),
    /** What changes from here on is found by recovery, and kept for who subscribes soon. */
    recovering(): void {
      changed.passOver();
      bus.keep();
    },
    /** Recovery is over: sandboxes whose monitors were found dead have stopped. */
    recovered(): void {
      for (const sandbox of sandboxes.list()) changed.sandbox(sandbox, sandbox);
      bus.stopKeeping(foundForMs);
    },
    /** The monitor of a sandbox is dead, and its containers' ends are recorded. */
    monitorGone(sandboxId: string): void {
      const sandbox = sandboxes.get(sandboxId);
      if (sandbox) changed.sandbox(sandbox, sandbox);
    },
    subscribers: (): number => bus.subscribers,
    overflows: (): number => counts.overflows,
    published: (): number => counts.published,
  };
}

export type PodEvents = ReturnType<typeof podEvents>;
