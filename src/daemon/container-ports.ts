// What the verbs of containers are given, and how a container is ended and taken away.
import type { Container } from '../container/container.ts';
import { recordExit } from '../container/exits.ts';
import { Starts } from '../container/starts.ts';
import { endProcesses } from '../container/stop.ts';
import { teardownContainer } from '../container/teardown.ts';
import { failureChain } from '../lib/failure.ts';
import type { MonitorRequests } from '../monitor/requests.ts';
import { deleteByRuntime } from '../monitor/runtimes.ts';
import { parseExitFile } from '../recovery/observe.ts';
import type { PodRuntime } from '../sandbox/sandbox.ts';
import type { Storage } from '../storage/storage.ts';
import type { Hands } from './hands.ts';
import type { PodStore } from './pod-store.ts';

/** How long a monitor may take to kill a container before its pod's stop fails, in milliseconds. */
const haltMs = 60_000;

const snapshotPorts = ({ snapshots, layers, rootfsFiles }: Storage) => ({
  prepare: (id: string, limitBytes: number | null) => snapshots.prepare(id, limitBytes),
  lowerDirs: (chain: readonly string[]) => layers.lowerDirs(chain),
  remove: (id: string) => snapshots.remove(id),
  readFile: (chain: readonly string[], path: string) => rootfsFiles.read(chain, path),
});

/** Ports of the verbs of containers. */
export function composeContainers(
  { cgroups, images, native, now, paths, stages, log, nri }: Hands,
  store: PodStore,
  requests: MonitorRequests,
) {
  const { containers, locks, files, bootId, containersOf } = store;
  const deletion = (runtime: PodRuntime, { sandboxId, id }: { sandboxId: string; id: string }): Promise<void> =>
    deleteByRuntime(native, runtime, { root: paths.runtimeRoot(sandboxId), id });
  const snapshots = snapshotPorts(images.storage);
  const containerPorts = {
    records: containers,
    locks,
    starts: new Starts(),
    monitors: requests,
    cgroups,
    snapshots,
    files,
    now,
    stages,
    deleteByRuntime: deletion,
    starting: (container: Container) => nri.starting(container),
  };

  async function teardown(id: string): Promise<void> {
    const identity = containers.get(id)?.identity;
    await teardownContainer(containerPorts, id);
    const used = identity ? [identity.imageId, ...(identity.imageVolumes ?? []).map((v) => v.imageId)] : [];
    if (used.some((imageId) => images.facts(imageId) === null)) images.collect();
  }

  /** Ends a container's processes at once. */
  async function halt(id: string): Promise<void> {
    const container = containers.get(id);
    if (container) await endProcesses(containerPorts, container, { timeoutMs: 0, signal: AbortSignal.timeout(haltMs) });
  }

  /** Ends the containers of a sandbox whose monitor is dead; what it still wrote of exits counts. */
  async function loseContainersOf(sandboxId: string): Promise<void> {
    for (const id of containersOf(sandboxId)) {
      try {
        const seen = parseExitFile(files.readExit(id), id, bootId);
        if (seen) recordExit(containers, seen);
        await halt(id);
      } catch (error) {
        log.error({ sandboxId, containerId: id, error: failureChain(error) }, 'ending a container without its monitor');
      }
    }
  }

  return { containerPorts, teardown, halt, loseContainersOf };
}

export type ContainerParts = ReturnType<typeof composeContainers>;
