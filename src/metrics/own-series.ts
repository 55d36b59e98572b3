// The daemon's own series: names, meanings and bounds. Must not know how they are written out.
import { Counter, Gauge, Histogram, Level, type Series } from './series.ts';

/** What is read at a scrape. Each answers at once, from memory. */
export interface MetricSources {
  /** Sandboxes by state: ready, notready. */
  readonly sandboxes: () => Readonly<Record<string, number>>;
  /** Containers by state: created, running, exited, unknown. */
  readonly containers: () => Readonly<Record<string, number>>;
  readonly images: () => number;
  /** Layers of running pulls by stage. */
  readonly pullLayers: () => Readonly<Record<string, number>>;
  /** Compressed bytes that running pulls have still to download. */
  readonly pullRemainingBytes: () => number;
  readonly pulls: () => number;
  /** Monitors that are alive and do not answer. */
  readonly unreachableMonitors: () => number;
  /** Network releases that are still owed. */
  readonly owedReleases: () => number;
  /** Sandboxes and containers whose removal has begun and not ended. */
  readonly owedRemovals: () => number;
  /** What the start should have ended or removed and has not yet, where no record tells of it. */
  readonly owedLeftovers: () => number;
  /** Records that the disk has not taken yet. */
  readonly owedWrites: () => number;
  /** Processes of containers that the OOM killer struck since the start: main or child, and whose limit it was. */
  readonly oomKills: () => readonly { readonly process: string; readonly limit: string; readonly count: number }[];
  /** Bytes of containers' output that could not be logged, since the start. */
  readonly droppedLogBytes: () => number;
  /** Who reads container events now. */
  readonly nriPlugins: () => number;
  readonly eventSubscribers: () => number;
  /** Steps of sandboxes and containers that were told since the start. */
  readonly events: () => number;
  /** Subscribers that were given up since the start because they did not keep up. */
  readonly eventOverflows: () => number;
}

const callBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120];
const stageBounds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];
const pullBounds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600];

/** What runs. */
export const buildInfo = (build: { readonly version: string; readonly node: string }): Series => ({
  name: 'podwright_build_info',
  help: 'Always 1; its labels say what runs',
  labels: ['version', 'node'],
  type: 'gauge',
  samples: () => [{ value: 1, labels: { version: build.version, node: build.node } }],
});

function streamSeries() {
  const counter = (name: string, help: string, labels: readonly string[]): Counter =>
    new Counter({ name: `podwright_streaming_${name}`, help, labels });
  return {
    streamsOpen: new Level({ name: 'podwright_streaming_sessions', help: 'Sessions under way', labels: ['kind'] }),
    streams: counter('sessions_total', 'Exec, attach and port-forward sessions that ended', ['kind', 'result']),
    streamBytes: counter('bytes_total', 'Bytes of sessions that ended, in is from the client', ['kind', 'direction']),
    refusedTokens: counter('refused_tokens_total', 'Streaming tokens that were refused', ['why']),
  };
}

/** What is counted as it happens. */
export function ownSeries() {
  const method = ['method', 'code'];
  return {
    rpcs: new Histogram(
      { name: 'podwright_rpc_duration_seconds', help: 'Time of each RPC', labels: method },
      callBounds,
    ),
    rpcErrors: new Counter({ name: 'podwright_rpc_errors_total', help: 'RPCs that failed', labels: method }),
    stages: new Histogram(
      {
        name: 'podwright_pod_start_stage_seconds',
        help: "Time of each stage of a pod's start",
        labels: ['rpc', 'stage'],
      },
      stageBounds,
    ),
    pulls: new Counter({ name: 'podwright_image_pulls_total', help: 'Image pulls that ended', labels: ['result'] }),
    pullBytes: new Counter({ name: 'podwright_image_pull_bytes_total', help: 'Bytes downloaded by pulls', labels: [] }),
    pullSeconds: new Histogram(
      { name: 'podwright_image_pull_duration_seconds', help: 'Time of each image pull', labels: ['result'] },
      pullBounds,
    ),
    verdicts: new Counter({
      name: 'podwright_image_verdicts_total',
      help: 'Images that were held against a policy',
      labels: ['at', 'verdict'],
    }),
    ...streamSeries(),
    recovered: new Counter({
      name: 'podwright_recovered_total',
      help: 'What recovery did at start',
      labels: ['action'],
    }),
    kubeRequests: new Counter({
      name: 'podwright_kube_requests_total',
      help: 'Requests to the API server',
      labels: ['result'],
    }),
    kubeEvents: new Counter({
      name: 'podwright_kube_events_total',
      help: 'Events for the API server: created, counted (on one that was), limited, overflow, refused, expired',
      labels: ['fate'],
    }),
    exits: new Counter({
      name: 'podwright_container_exits_total',
      help: 'Containers that ended',
      labels: ['reason'],
    }),
    quarantined: new Counter({
      name: 'podwright_quarantined_records_total',
      help: 'Damaged records that were moved aside',
      labels: ['noun'],
    }),
  };
}

export type OwnSeries = ReturnType<typeof ownSeries>;

/** What is read at a scrape, as series. */
export function gaugesOf(sources: MetricSources): readonly Series[] {
  const gauge = (name: string, help: string, read: () => number): Series =>
    new Gauge({ name: `podwright_${name}`, help, labels: [] }, read);
  const byState = (name: string, help: string, read: () => Readonly<Record<string, number>>): Series =>
    new Gauge({ name: `podwright_${name}`, help, labels: ['state'] }, read);
  const counter = (name: string, help: string, read: () => number): Series => ({
    name: `podwright_${name}_total`,
    help,
    labels: [],
    type: 'counter',
    samples: () => [{ value: read(), labels: {} }],
  });
  return [
    byState('sandboxes', 'Pod sandboxes by state', sources.sandboxes),
    byState('containers', 'Containers by state', sources.containers),
    gauge('images', 'Images on disk', sources.images),
    gauge('image_pulls_running', 'Image pulls under way', sources.pulls),
    byState('image_pull_layers', 'Layers of running pulls by stage', sources.pullLayers),
    gauge('image_pull_remaining_bytes', 'Bytes that running pulls have still to download', sources.pullRemainingBytes),
    gauge('unreachable_monitors', 'Monitors that are alive and do not answer', sources.unreachableMonitors),
    gauge('owed_network_releases', 'Network releases that are still owed', sources.owedReleases),
    gauge('owed_removals', 'Sandboxes and containers whose removal has begun and not ended', sources.owedRemovals),
    gauge(
      'owed_leftovers',
      'What the start should have ended or removed and has not yet: monitors, containers, layers, bundles',
      sources.owedLeftovers,
    ),
    gauge('owed_record_writes', 'Records that the disk has not taken yet', sources.owedWrites),
    {
      name: 'podwright_container_oom_kills_total',
      help: 'Processes of containers that the OOM killer struck, by process (main, child) and whose limit it was',
      labels: ['process', 'limit'],
      type: 'counter',
      samples: () => sources.oomKills().map(({ count, ...labels }) => ({ value: count, labels })),
    },
    counter(
      'log_dropped_bytes',
      "Bytes of containers' output that could not be logged and were dropped",
      sources.droppedLogBytes,
    ),
    gauge('nri_plugins', 'NRI plugins that are connected', sources.nriPlugins),
    gauge('event_subscribers', 'Readers of container events', sources.eventSubscribers),
    counter('events', 'Steps of sandboxes and containers', sources.events),
    counter('event_overflows', 'Readers of container events that were given up as too slow', sources.eventOverflows),
  ];
}
