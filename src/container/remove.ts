// RemoveContainer: nothing but the log is left.
import type { KeyedLock } from '../lib/keyed-lock.ts';
import type { ContainerRecords } from './ports.ts';
import type { Starts } from './starts.ts';

export interface RemoveContainerPorts {
  readonly records: Pick<ContainerRecords, 'find'>;
  readonly locks: KeyedLock;
  readonly teardown: (id: string) => Promise<void>;
  readonly starts: Pick<Starts, 'has'>;
  /** Kills a container's processes. */
  readonly halt: (id: string) => Promise<void>;
}

/** Removes a container, killing it first where needed. Missing: OK. */
export async function removeContainer(
  ports: RemoveContainerPorts,
  idOrPrefix: string,
  signal: AbortSignal,
): Promise<void> {
  const id = ports.records.find(idOrPrefix)?.identity.id;
  if (id === undefined) return;
  // a start ends with its container; otherwise this would wait for all that it runs
  if (ports.starts.has(id)) await ports.halt(id);
  await ports.locks.run(`container ${id}`, signal, () => ports.teardown(id));
}
