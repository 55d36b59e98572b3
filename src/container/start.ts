// StartContainer: CREATED becomes RUNNING, or EXITED with StartError.
import { Failure, failedPrecondition, failureChain, invalidArgument, notFound, unavailable } from '../lib/failure.ts';
import type { KeyedLock } from '../lib/keyed-lock.ts';
import { type Container, containerState, mayAct } from './container.ts';
import { recordStart, startErrorCode } from './exits.ts';
import type { ContainerMonitors, ContainerRecords } from './ports.ts';
import type { Starts } from './starts.ts';

export interface StartContainerPorts {
  readonly records: ContainerRecords;
  readonly locks: KeyedLock;
  readonly starts: Starts;
  readonly monitors: Pick<ContainerMonitors, 'startContainer' | 'stopContainer' | 'isAlive'>;
  /** Tells plugins of the node; fails when one of them says no. */
  readonly starting: (container: Container) => Promise<void>;
  readonly now: () => bigint;
  readonly stages: (
    id: string,
    name: string,
  ) => { readonly stage: <T>(name: string, work: () => Promise<T>) => Promise<T> };
}

const never = new AbortController().signal;

/** Starts a created container; answers when its process has been executed. */
export async function startContainer(
  ports: StartContainerPorts,
  idOrPrefix: string,
  signal: AbortSignal,
): Promise<void> {
  const id = ports.records.find(idOrPrefix)?.identity.id;
  if (id === undefined) throw notFound(`container ${idOrPrefix} does not exist`);
  await ports.locks.run(`container ${id}`, signal, async () => {
    const container = ports.records.get(id);
    if (!container) throw notFound(`container ${id} does not exist`);
    const state = containerState(container);
    if (container.status.phase !== 'created' || !mayAct('start', state)) {
      throw failedPrecondition(`container ${id} is ${state}, not created`);
    }
    const { sandboxId } = container.identity;
    if (!ports.monitors.isAlive(sandboxId)) throw unavailable(`sandbox ${sandboxId} of container ${id} has no monitor`);
    const { stage } = ports.stages(sandboxId, 'StartContainer');
    let started: Awaited<ReturnType<ContainerMonitors['startContainer']>>;
    await askPlugins(ports, container);
    try {
      started = await stage('exec', () =>
        ports.starts.during(id, () => ports.monitors.startContainer(sandboxId, id, never)),
      );
    } catch (error) {
      // whether it runs is not known: the monitor tells when it is reached again, or it is dead and with it the container
      if (error instanceof Failure && error.kind === 'unavailable') throw error;
      const now = ports.records.get(id)?.status;
      // what was left of the start went with the container, whose exit the stop records
      if (now && now.stopRequestedAt > 0n)
        throw failedPrecondition(`container ${id} was stopped while it was started`, error);
      // the call before this one did it, and its answer was lost
      if (now && now.startedAt > 0n) return;
      const message = failureChain(error);
      ports.records.update(id, {
        pid: 0,
        exit: { exitCode: startErrorCode, reason: 'StartError', message, finishedAt: ports.now() },
      });
      throw notExecutable(error) ?? error;
    }
    // the process may have ended already: its exit stands
    recordStart(ports.records, { containerId: id, startTime: container.status.startTime, ...started });
  });
}

const killMs = 20_000;

/** A container that a plugin does not let start ends as one whose program could not be run. */
async function askPlugins(ports: StartContainerPorts, container: Container): Promise<void> {
  const { id, sandboxId } = container.identity;
  try {
    await ports.starting(container);
  } catch (error) {
    const message = failureChain(error);
    ports.records.update(id, {
      pid: 0,
      exit: { exitCode: startErrorCode, reason: 'StartError', message, finishedAt: ports.now() },
    });
    const kill = { containerId: id, signal: 9, timeoutMs: 0 };
    // what lives on for all that ends with the container's removal; the plugin's word is the answer
    await ports.monitors.stopContainer(sandboxId, kill, AbortSignal.timeout(killMs)).catch(() => undefined);
    throw error;
  }
}

/** Answers of execve(2) to a program that is missing or is none: ENOENT, ENOEXEC, EACCES, ENOTDIR, EISDIR, ELOOP. */
const notAProgram: readonly unknown[] = [2, 8, 13, 20, 21, 40];

/** What the caller asked to run cannot be run: that is no failure of ours. */
function notExecutable(error: unknown): Failure | null {
  if (!(error instanceof Failure) || error.details?.['syscall'] !== 'execve') return null;
  return notAProgram.includes(error.details['errno']) ? invalidArgument(error.message, error.cause) : null;
}
