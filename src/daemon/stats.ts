// The composition of statistics and metrics of pods. Wires, decides nothing.
import type { Cgroups, UsageQuestion } from '../cgroup/cgroup.ts';
import type { Config } from '../config/schema.ts';
import type { Network } from '../network/network.ts';
import type { Paths } from '../paths.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { blockDeviceName } from '../state/host.ts';
import { podMetricVerbs } from '../stats/pod-metrics.ts';
import { statsVerbs } from '../stats/sample.ts';
import type { Images } from './images.ts';
import type { Pods } from './live.ts';

export interface StatsParts {
  readonly config: Config;
  readonly pods: Pods;
  readonly cgroups: Cgroups;
  readonly network: Network;
  readonly images: Images;
  readonly paths: Paths;
  readonly now: () => bigint;
}

/** "8:1" as its parts. */
const deviceOf = (numbers: string): string => {
  const [major = 0, minor = 0] = numbers.split(':').map(Number);
  return blockDeviceName(major, minor);
};

/** Both kinds of verbs over the same readings. */
export function composeStats({ config, pods, cgroups, network, images, paths, now }: StatsParts) {
  const { snapshots } = images.storage;
  const ports = {
    containers: pods.containers,
    sandboxes: pods.sandboxes,
    cgroupUsage: (of: UsageQuestion, at: bigint) => cgroups.usage(of, at),
    cgroupStats: (groups: readonly string[]) => cgroups.stats(groups),
    layerUsages: (ids: readonly string[]) => snapshots.usages(ids),
    interfaces: (sandbox: Sandbox) => network.interfaceStats(sandbox.identity.id),
    now,
  };
  return {
    stats: statsVerbs({ ...ports, snapshotsDir: paths.snapshotsDir }),
    podMetrics: podMetricVerbs(
      {
        ...ports,
        cgroupTasks: (groups) => cgroups.tasks(groups),
        deviceName: blockDeviceName,
        layerRoom: async () => {
          const { totalBytes, totalInodes, freeInodes, fsId } = await snapshots.room();
          return { device: deviceOf(fsId), totalBytes, totalInodes, freeInodes };
        },
      },
      config.metrics.podMetrics,
    ),
  };
}
