// What a scrape reads: counts from memory. Wires, decides nothing.
import { type Container, containerState } from '../container/container.ts';
import type { MetricSources } from '../metrics/metrics.ts';
import { sandboxState } from '../sandbox/sandbox.ts';
import type { Images } from './images.ts';
import type { Pods } from './live.ts';
import type { Recovery } from './recovery.ts';

export interface SourceParts {
  readonly pods: Pods;
  readonly images: Images;
  readonly nri: { readonly list: readonly object[] };
  readonly network: { readonly owedReleases: () => number };
  readonly writer: { readonly owed: number };
  readonly recovery: Pick<Recovery, 'owed'>;
}

function countBy<T>(
  items: readonly T[],
  states: readonly string[],
  stateOf: (item: T) => string,
): Record<string, number> {
  const counts = Object.fromEntries(states.map((state) => [state, 0]));
  for (const item of items) counts[stateOf(item)] = (counts[stateOf(item)] ?? 0) + 1;
  return counts;
}

const layerStages = ['queued', 'connecting', 'downloading', 'waiting', 'unpacking', 'syncing', 'present', 'done'];

const pulledLayers = (images: Images) => images.progress().flatMap(({ layers }) => layers);

/** The functions that a scrape calls. */
export function metricSources({ pods, images, network, nri, writer, recovery }: SourceParts): MetricSources {
  const { sandboxes, containers, monitors, events, ooms, dropped } = pods;
  const ready = () => sandboxes.list().filter((s) => s.status.phase === 'ready');
  return {
    sandboxes: () =>
      countBy(sandboxes.list(), ['ready', 'notready'], (s) =>
        sandboxState(s, monitors.isAlive(s.identity.id)).replace('-', ''),
      ),
    containers: () => countBy(containers.list(), ['created', 'running', 'exited', 'unknown'], containerState),
    images: () => images.count(),
    pulls: () => images.progress().length,
    pullLayers: () => countBy(pulledLayers(images), layerStages, ({ stage }) => stage),
    pullRemainingBytes: () => pulledLayers(images).reduce((sum, { bytes, totalBytes }) => sum + totalBytes - bytes, 0),
    unreachableMonitors: () =>
      ready().filter((s) => monitors.isAlive(s.identity.id) && !monitors.isReachable(s.identity.id)).length,
    owedReleases: () => network.owedReleases(),
    owedRemovals: () => [...sandboxes.list(), ...containers.list()].filter((o) => o.status.phase === 'removing').length,
    owedLeftovers: () => recovery.owed().length,
    owedWrites: () => writer.owed,
    oomKills: () => ooms.counts(),
    droppedLogBytes: () => dropped.total,
    nriPlugins: () => nri.list.length,
    eventSubscribers: events.subscribers,
    events: events.published,
    eventOverflows: events.overflows,
  };
}

/** Counts the ends of containers as they are recorded. */
export function countExits(
  containers: { readonly onChange: (listener: (before: Container | null, after: Container | null) => void) => void },
  count: (reason: string) => void,
): void {
  containers.onChange((before, after) => {
    const exit = after?.status.exit ?? null;
    // a record that is read at the start was counted by the daemon before
    if (exit !== null && before !== null && before.status.exit === null) count(exit.reason);
  });
}
