// What releasing a sandbox is given: by its stop, its teardown and recovery.
import { containerCgroup } from '../cgroup/path.ts';
import type { MonitorRequests } from '../monitor/requests.ts';
import type { ContainerParts } from './container-ports.ts';
import type { Hands } from './hands.ts';
import type { PodStore } from './pod-store.ts';

/** What a sandbox's release works with besides the hands. */
export interface ReleaseParts {
  readonly store: PodStore;
  readonly requests: MonitorRequests;
  readonly halt: ContainerParts['halt'];
  readonly deleteByRuntime: ContainerParts['containerPorts']['deleteByRuntime'];
}

/** Ports of a sandbox's release. */
export const releasePortsOf = (
  { cgroups, network, paths, native }: Hands,
  { store, requests, halt, deleteByRuntime }: ReleaseParts,
) => ({
  records: store.sandboxes,
  cgroups,
  monitors: requests,
  network,
  files: store.files,
  netnsPin: paths.netnsPin,
  bootId: store.bootId,
  unpinNetns: async (path: string) => void (await native.netnsUnpin({ path })),
  containersOf: store.containersOf,
  haltContainer: halt,
  deleteByRuntime,
  pauseCgroupOf: containerCgroup,
  containerCgroup: (id: string) => store.containers.get(id)?.identity.cgroupPath ?? null,
});
