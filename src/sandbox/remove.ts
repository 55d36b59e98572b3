// RemovePodSandbox: nothing of the sandbox is left, its containers included.
import type { KeyedLock } from '../lib/keyed-lock.ts';
import type { SandboxRecords } from './ports.ts';

export interface RemoveSandboxPorts {
  readonly records: SandboxRecords;
  readonly locks: KeyedLock;
  readonly teardown: (id: string) => Promise<void>;
}

/** Removes a sandbox, stopping it first where needed. Missing: OK. */
export async function removeSandbox(ports: RemoveSandboxPorts, idOrPrefix: string, signal: AbortSignal): Promise<void> {
  const id = ports.records.find(idOrPrefix)?.identity.id;
  if (id === undefined) return;
  await ports.locks.run(`sandbox ${id}`, signal, () => ports.teardown(id));
}
