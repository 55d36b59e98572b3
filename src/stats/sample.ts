// Usage of containers and pods: read during the call, in one batch (ruling 23). Must not cache what it reads.
import { notFound } from '../lib/failure.ts';
import { labelsMatch } from '../lib/labels.ts';
import { type Container, containerState } from '../container/container.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { StatsPorts } from './ports.ts';
import { containerUsage, podUsage } from './usage.ts';

export interface UsageFilter {
  readonly id: string;
  readonly podSandboxId: string;
  readonly labels: Readonly<Record<string, string>>;
}

const containersFor = ({ containers }: StatsPorts, filter: UsageFilter): Container[] =>
  containers.list().filter((c) => {
    const { identity } = c;
    if (containerState(c) !== 'running' || !identity.id.startsWith(filter.id)) return false;
    return identity.sandboxId.startsWith(filter.podSandboxId) && labelsMatch(identity.config.labels, filter.labels);
  });

const podsFor = ({ sandboxes }: StatsPorts, filter: UsageFilter): Sandbox[] =>
  sandboxes
    .list()
    .filter(
      (s) =>
        s.status.phase === 'ready' &&
        s.identity.id.startsWith(filter.id) &&
        labelsMatch(s.identity.config.labels, filter.labels),
    );

/** The verbs of stats. */
export function statsVerbs(ports: StatsPorts) {
  const usageOf = (containers: readonly Container[]) => containerUsage(ports, containers);
  const usageOfPods = (sandboxes: readonly Sandbox[]) => podUsage(ports, sandboxes);
  return {
    /** ContainerStats: one container; without its cgroup only the writable layer. */
    async containerStats(id: string) {
      const container = ports.containers.find(id);
      if (!container) throw notFound(`container ${id} does not exist`);
      const [usage] = await usageOf([container]);
      if (!usage) throw notFound(`container ${id} does not exist`);
      return usage;
    },
    /** ListContainerStats: running containers. */
    listContainerStats: (filter: UsageFilter) => usageOf(containersFor(ports, filter)),
    /** PodSandboxStats: one pod with its containers. */
    async podSandboxStats(id: string) {
      const sandbox = id === '' ? undefined : ports.sandboxes.find(id);
      if (!sandbox) throw notFound(`sandbox ${id} does not exist`);
      const [usage] = await usageOfPods([sandbox]);
      if (!usage) throw notFound(`sandbox ${id} does not exist`);
      return usage;
    },
    /** ListPodSandboxStats: pods that are ready. */
    listPodSandboxStats: (filter: UsageFilter) => usageOfPods(podsFor(ports, filter)),
  };
}
