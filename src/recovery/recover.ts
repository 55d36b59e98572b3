// Applies what reconcile decided, sandboxes side by side, each within its own time.
import { failureChain } from '../lib/failure.ts';
import { observe, type ObservePorts } from './observe.ts';
import { type Action, reconcile, type FoundExit } from './reconcile.ts';

export interface RecoverPorts extends ObservePorts {
  readonly teardownSandbox: (id: string) => Promise<void>;
  readonly stopSandbox: (id: string, signal: AbortSignal) => Promise<void>;
  readonly teardownContainer: (id: string) => Promise<void>;
  /** Kills what is left of a container by its cgroup and records that its end was not seen. */
  readonly loseContainer: (id: string, why: string) => Promise<void>;
  readonly recordStart: (
    id: string,
    start: { readonly pid: number; readonly startTime: number; readonly startedAt: bigint },
  ) => void;
  readonly recordExit: (exit: FoundExit) => void;
  /** Ends a container that has no record, by its monitor. */
  readonly forgetContainer: (sandboxId: string, containerId: string) => Promise<void>;
  /** Ends the monitor of a sandbox that has no record, and frees what bears the sandbox's name. */
  readonly endOrphan: (sandboxId: string) => Promise<void>;
  readonly removeSnapshot: (containerId: string) => Promise<void>;
  readonly removeBundle: (containerId: string) => Promise<void>;
  /** Goes on trying to reach a silent monitor in the background. */
  readonly reachMonitor: (sandboxId: string) => void;
  /** Told of each action that was done, also when it was tried again. */
  readonly onAction: (action: Action) => void;
  readonly onFailure: (failed: FailedAction) => void;
  readonly log: { readonly info: Write; readonly warn: Write };
}

type Write = (fields: Readonly<Record<string, unknown>>, message: string) => void;

/** An action that has failed, or takes so long that nobody waits for it. */
export interface FailedAction {
  readonly action: Action;
  /** Whether it goes on still. */
  readonly isRunning: () => boolean;
  /** Tries it once more, or waits for what goes on. */
  readonly again: () => Promise<void>;
}

/** What was done, for the log and the metrics. */
export interface RecoveryReport {
  readonly actions: number;
  readonly failed: number;
  readonly adopted: number;
}

const perObjectMs = 30_000;

function apply(ports: RecoverPorts, action: Action): Promise<void> | void {
  switch (action.type) {
    case 'teardown-sandbox':
      return ports.teardownSandbox(action.sandboxId);
    case 'stop-sandbox':
      return ports.stopSandbox(action.sandboxId, AbortSignal.timeout(perObjectMs));
    case 'reach-monitor':
      return ports.reachMonitor(action.sandboxId);
    case 'teardown-container':
      return ports.teardownContainer(action.containerId);
    case 'record-start':
      return ports.recordStart(action.containerId, action);
    case 'record-exit':
      return ports.recordExit(action.exit);
    case 'lose-container':
      return ports.loseContainer(action.containerId, action.why);
    case 'forget-container':
      return ports.forgetContainer(action.sandboxId, action.containerId);
    case 'end-orphan':
      return ports.endOrphan(action.sandboxId);
    case 'remove-snapshot':
      return ports.removeSnapshot(action.containerId);
    case 'remove-bundle':
      return ports.removeBundle(action.containerId);
  }
}

async function withinTime(work: Promise<void>): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`it took longer than ${perObjectMs} ms; it goes on`)), perObjectMs);
  try {
    await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** An action that can be tried more than once, but never goes on twice at a time, nor again when it has come off. */
function attemptOf(ports: RecoverPorts, action: Action): FailedAction {
  let running: Promise<void> | null = null;
  let done = false;
  const once = async (): Promise<void> => {
    await apply(ports, action);
    done = true;
    ports.onAction(action);
  };
  return {
    action,
    isRunning: () => running !== null,
    async again() {
      if (done) return;
      running ??= once().finally(() => (running = null));
      await withinTime(running);
    },
  };
}

/** Brings the records and the host into agreement. A failed action is logged, and told for whoever tries it again. */
export async function recover(ports: RecoverPorts): Promise<RecoveryReport> {
  const seen = await observe(ports);
  const actions = reconcile(seen);
  const bySandbox = Map.groupBy(actions, (action) => action.sandboxId);
  let failed = 0;
  const inOrder = async (group: readonly Action[]): Promise<void> => {
    for (const action of group) {
      const attempt = attemptOf(ports, action);
      try {
        if ('why' in action) ports.log.info({ ...action }, 'recovering');
        await attempt.again();
      } catch (error) {
        failed += 1;
        ports.log.warn({ ...action, error: failureChain(error) }, 'recovery of an object failed; it is tried again');
        ports.onFailure(attempt);
      }
    }
  };
  await Promise.all([...bySandbox.values()].map(inOrder));
  const adopted = [...seen.monitors.values()].filter((finding) => finding === 'adopted').length;
  return { actions: actions.length, failed, adopted };
}
