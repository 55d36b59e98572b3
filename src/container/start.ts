// StartContainer: CREATED becomes RUNNING, or EXITED with StartError.
import { failedPrecondition, failureChain, notFound, unavailable } from '../lib/failure.ts';
import type { KeyedLock } from '../lib/keyed-lock.ts';
import { containerState, mayAct } from './container.ts';
import type { ContainerMonitors, ContainerRecords } from './ports.ts';

export interface StartContainerPorts {
  readonly records: ContainerRecords;
  readonly locks: KeyedLock;
  readonly monitors: Pick<ContainerMonitors, 'startContainer' | 'isAlive'>;
  readonly now: () => bigint;
  readonly stages: (id: string, name: string) => { readonly stage: <T>(name: string, work: () => Promise<T>) => Promise<T> };
}

/** Exit code of a container whose process could not be executed: containerd's and CRI-O's convention. */
const startErrorCode = 128;

const never = new AbortController().signal;

/** Starts a created container; answers when its process has been executed. */
export async function startContainer(ports: StartContainerPorts, idOrPrefix: string, signal: AbortSignal): Promise<void> {
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
    try {
      const { pid, startedAt } = await stage('exec', () => ports.monitors.startContainer(sandboxId, id, never));
      const now = ports.records.get(id);
      // the process may have ended already: its exit fact clears the pid and stays
      ports.records.update(id, { startedAt, ...(now?.status.exit === null ? { pid } : {}) });
    } catch (error) {
      const message = failureChain(error);
      ports.records.update(id, { pid: 0, exit: { exitCode: startErrorCode, reason: 'StartError', message, finishedAt: ports.now() } });
      throw error;
    }
  });
}
