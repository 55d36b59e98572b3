// RemoveContainer: nothing but the log is left.
import type { KeyedLock } from '../lib/keyed-lock.ts';
import type { ContainerRecords } from './ports.ts';

export interface RemoveContainerPorts {
  readonly records: Pick<ContainerRecords, 'find'>;
  readonly locks: KeyedLock;
  readonly teardown: (id: string) => Promise<void>;
}

/** Removes a container, killing it first where needed. Missing: OK. */
export async function removeContainer(
  ports: RemoveContainerPorts,
  idOrPrefix: string,
  signal: AbortSignal,
): Promise<void> {
  const id = ports.records.find(idOrPrefix)?.identity.id;
  if (id === undefined) return;
  await ports.locks.run(`container ${id}`, signal, () => ports.teardown(id));
}
