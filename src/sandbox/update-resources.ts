// UpdatePodSandboxResources: what the kubelet gave the pod as a whole, kept beside what it was made with.
// Must not touch cgroups: the kubelet has resized the pod's own before it tells.
import { failedPrecondition, notFound } from '../lib/failure.ts';
import type { KeyedLock } from '../lib/keyed-lock.ts';
import type { SandboxRecords } from './ports.ts';
import type { LinuxResources, Sandbox } from './sandbox.ts';

export interface UpdateSandboxPorts {
  readonly records: SandboxRecords;
  readonly locks: KeyedLock;
}

/** CRI UpdatePodSandboxResourcesRequest; null leaves that part alone. */
export interface SandboxResources {
  readonly overhead: LinuxResources | null;
  readonly resources: LinuxResources | null;
}

/** PURE: what the sandbox has now: as updated, else as it was made. */
export const sandboxResources = ({ identity, status }: Sandbox): SandboxResources => ({
  overhead: status.updated?.overhead ?? identity.config.overhead,
  resources: status.updated?.resources ?? identity.config.resources,
});

/** Keeps the new values, each as a whole. Throws not-found; failed-precondition for a sandbox that has stopped. */
export async function updateSandboxResources(
  ports: UpdateSandboxPorts,
  input: SandboxResources & { readonly id: string },
  signal: AbortSignal,
): Promise<void> {
  const id = ports.records.find(input.id)?.identity.id;
  if (id === undefined) throw notFound(`sandbox ${input.id} does not exist`);
  await ports.locks.run(`sandbox ${id}`, signal, async () => {
    const sandbox = ports.records.get(id);
    if (!sandbox) throw notFound(`sandbox ${id} does not exist`);
    if (sandbox.status.phase !== 'ready') throw failedPrecondition(`sandbox ${id} is not ready`);
    const before = sandboxResources(sandbox);
    ports.records.update(id, {
      updated: { overhead: input.overhead ?? before.overhead, resources: input.resources ?? before.resources },
    });
  });
}
