// StopPodSandbox: everything of the pod ends and is freed; the record stays NOTREADY.
import type { KeyedLock } from '../lib/keyed-lock.ts';
import type { SandboxRecords } from './ports.ts';
import { releaseSandbox, type ReleasePorts } from './teardown.ts';

export interface StopSandboxPorts extends ReleasePorts {
  readonly records: SandboxRecords;
  readonly locks: KeyedLock;
  readonly now: () => bigint;
}

/** Stops a sandbox. Missing or stopped already: OK, and whatever is still owed is tried again. */
export async function stopSandbox(ports: StopSandboxPorts, idOrPrefix: string, signal: AbortSignal): Promise<void> {
  const id = ports.records.find(idOrPrefix)?.identity.id;
  if (id === undefined) return;
  await ports.locks.run(`sandbox ${id}`, signal, async () => {
    const sandbox = ports.records.get(id);
    if (!sandbox || sandbox.status.phase === 'stopped') return;
    if (sandbox.status.stopRequestedAt === 0n) ports.records.update(id, { stopRequestedAt: ports.now() });
    await releaseSandbox(ports, sandbox);
    if (sandbox.status.phase === 'ready') {
      ports.records.update(id, { phase: 'stopped', monitor: null, pausePid: 0 });
    }
  });
}
