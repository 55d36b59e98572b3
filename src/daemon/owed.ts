// What is owed, over the composed rooms: removals and stops that did not end, releases of networks, what the start could
// not end. Wires, decides little.
import type { Log } from '../log.ts';
import type { Network } from '../network/network.ts';
import { lookMs, OwedWork, type Owed } from '../recovery/owed.ts';
import { stopSandbox } from '../sandbox/stop.ts';
import type { Pods } from './live.ts';
import type { Recovery } from './recovery.ts';

export interface OwedParts {
  readonly pods: Pick<
    Pods,
    'sandboxes' | 'containers' | 'locks' | 'releasePorts' | 'runPorts' | 'teardownSandbox' | 'teardownContainer'
  >;
  readonly network: Pick<Network, 'owed' | 'releaseAgain'>;
  readonly recovery: Pick<Recovery, 'done' | 'owed'>;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
}

/** Trying again in the background. */
export interface OwedLoop extends Pick<OwedWork, 'report' | 'settled'> {
  /** Begins no more; what has begun goes on to its own end, as nothing is lost when it does not come to that. */
  readonly stop: () => void;
}

const never = new AbortController().signal;
const short = (id: string): string => id.slice(0, 13);

/** Sandboxes whose stop or removal did not end. */
function owedBySandboxes({ pods }: OwedParts): Owed[] {
  const { sandboxes, locks, releasePorts, runPorts } = pods;
  return sandboxes.list().flatMap(({ identity: { id }, status: { phase, stopRequestedAt } }): Owed[] => {
    const key = `sandbox ${id}`;
    const one = { key, subject: `sandbox ${short(id)}`, isBusy: locks.isHeld(key) };
    if (phase === 'removing') {
      const again = (): Promise<void> => locks.run(key, never, () => pods.teardownSandbox(id));
      return [{ ...one, problem: 'its removal did not end', again }];
    }
    if (phase !== 'ready' || stopRequestedAt === 0n) return [];
    const again = (): Promise<void> => stopSandbox({ ...releasePorts, locks, now: runPorts.now }, id, never);
    return [{ ...one, problem: 'its stop did not end', again }];
  });
}

/** Containers whose removal did not end, but for those that go with their sandboxes. */
function owedByContainers({ pods }: OwedParts): Owed[] {
  const { containers, sandboxes, locks } = pods;
  return containers.list().flatMap(({ identity: { id, sandboxId }, status }): Owed[] => {
    if (status.phase !== 'removing' || sandboxes.get(sandboxId)?.status.phase === 'removing') return [];
    const key = `container ${id}`;
    const again = (): Promise<void> => locks.run(key, never, () => pods.teardownContainer(id));
    return [
      { key, subject: `container ${short(id)}`, problem: 'its removal did not end', isBusy: locks.isHeld(key), again },
    ];
  });
}

/** Networks of sandboxes that are gone; that of one on record is released by its stop or removal. */
function owedByNetworks({ pods, network }: OwedParts): Owed[] {
  return network.owed().flatMap((id): Owed[] => {
    if (pods.sandboxes.get(id)) return [];
    const problem = 'it is gone, and its network was not released';
    return [
      {
        key: `network ${id}`,
        subject: `sandbox ${short(id)}`,
        problem,
        isBusy: false,
        again: () => network.releaseAgain(id),
      },
    ];
  });
}

/** Everything that is owed now. */
export const owedOf = (parts: OwedParts): Owed[] => [
  ...owedBySandboxes(parts),
  ...owedByContainers(parts),
  ...owedByNetworks(parts),
  ...parts.recovery.owed(),
];

/** Tries it again for as long as the daemon lives, from the end of recovery on: until then it is recovery's. */
export function startOwed(parts: OwedParts): OwedLoop {
  const work = new OwedWork({
    list: () => owedOf(parts),
    elapsedMs: () => performance.now(),
    log: parts.log,
  });
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const look = (): void => {
    try {
      work.look();
    } catch (error) {
      parts.log.error({ error }, 'bug: what is owed could not be looked at');
    }
  };
  void parts.recovery.done.then(() => {
    if (!stopped) timer = setInterval(look, lookMs).unref();
  });
  return {
    report: () => work.report(),
    settled: () => work.settled(),
    stop() {
      stopped = true;
      clearInterval(timer);
    },
  };
}
