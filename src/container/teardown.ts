// The one way down for a container: total, idempotent, goes on after a failure.
import { Failure } from '../lib/failure.ts';
import { ResultList } from '../lib/result-list.ts';
import type { PodRuntime } from '../sandbox/sandbox.ts';
import type { ContainerCgroups, ContainerFiles, ContainerMonitors, ContainerRecords, Snapshots } from './ports.ts';

export interface TeardownContainerPorts {
  readonly records: ContainerRecords;
  readonly monitors: Pick<ContainerMonitors, 'removeContainer' | 'isAlive'>;
  readonly cgroups: Pick<ContainerCgroups, 'kill' | 'remove'>;
  readonly snapshots: Pick<Snapshots, 'remove'>;
  readonly files: Pick<ContainerFiles, 'removeBundle'>;
  /** Makes the runtime that made a container forget it. */
  readonly deleteByRuntime: (runtime: PodRuntime, container: { sandboxId: string; id: string }) => Promise<void>;
}

const monitorTimeoutMs = 20_000;

/** Kills what runs and frees processes, cgroup, writable layer, bundle and record. The log file stays: it is the kubelet's. */
export async function teardownContainer(ports: TeardownContainerPorts, id: string): Promise<void> {
  const container = ports.records.get(id);
  if (!container) return;
  const { sandboxId, cgroupPath, runtime } = container.identity;
  if (container.status.phase !== 'removing') ports.records.update(id, { phase: 'removing' });
  const results = new ResultList();
  await results.attempt('end its processes', async () => {
    if (ports.monitors.isAlive(sandboxId)) await forget(ports, sandboxId, id);
    if (ports.monitors.isAlive(sandboxId)) return;
    await ports.cgroups.kill(cgroupPath);
    if (runtime) await ports.deleteByRuntime(runtime, { sandboxId, id });
  });
  // a cgroup with a process in it cannot go, and trying takes its time
  if (results.ok) await results.attempt('remove its cgroup', () => ports.cgroups.remove([cgroupPath]));
  // while a process may live, what it writes to stays
  if (results.ok) {
    await results.attempt('remove its writable layer', () => ports.snapshots.remove(id));
    await results.attempt('remove its bundle', () => ports.files.removeBundle(id));
  }
  if (results.ok) await results.attempt('remove its record', () => ports.records.remove(id));
  results.throwIfAny(`remove container ${id}`);
}

async function forget(ports: TeardownContainerPorts, sandboxId: string, id: string): Promise<void> {
  try {
    await ports.monitors.removeContainer(sandboxId, id, AbortSignal.timeout(monitorTimeoutMs));
  } catch (error) {
    // it never got that far, or the monitor died meanwhile
    if (!(error instanceof Failure && error.kind === 'not-found') && ports.monitors.isAlive(sandboxId)) throw error;
  }
}
