// What a scrape reads: counts from memory. Wires, decides nothing.
import { containerState } from '../container/container.ts';
import type { MetricSources } from '../metrics/metrics.ts';
import { sandboxState } from '../sandbox/sandbox.ts';
import type { Images } from './images.ts';
import type { Pods } from './live.ts';

export interface SourceParts {
  readonly pods: Pods;
  readonly images: Images;
  readonly network: { readonly owedReleases: () => number };
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
export function metricSources({ pods, images, network }: SourceParts): MetricSources {
  const { sandboxes, containers, monitors, events } = pods;
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
    eventSubscribers: events.subscribers,
    events: events.published,
    eventOverflows: events.overflows,
  };
}
