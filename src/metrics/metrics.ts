// What the daemon tells Prometheus: RPCs, pods, pulls, stages of a pod's start, recovery, the process itself.
// Must not reach into other rooms: they are observed through the calls below, or read through functions handed in.
import type { Registry } from 'prom-client';
import { serveMetrics } from './listener.ts';
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
  /** Who reads container events now. */
  readonly eventSubscribers: () => number;
  /** Steps of sandboxes and containers that were told since the start. */
  readonly events: () => number;
  /** Subscribers that were given up since the start because they did not keep up. */
  readonly eventOverflows: () => number;
}

/** One finished pull. */
export interface PullOutcome {
  readonly result: 'ok' | 'error';
  /** Bytes that came over the network. */
  readonly bytes: number;
  readonly seconds: number;
}

/** How one exec, attach or port-forward went. */
export interface StreamOutcome {
  readonly result: 'done' | 'failed' | 'lost';
  /** From the client. */
  readonly bytesIn: number;
  /** To the client. */
  readonly bytesOut: number;
}

/** The metrics as other rooms are handed them. */
export interface Metrics {
  /** One RPC with the name of its gRPC code ("OK", "NOT_FOUND") and its time. */
  observeRpc(method: string, code: string, seconds: number): void;
  /** One stage of an RPC of a pod's start. */
  observeStage(rpc: string, stage: string, seconds: number): void;
  observePull(pull: PullOutcome): void;
  /** An image was held against a policy; `at` is pull or create. */
  countVerdict(at: string, accepted: boolean): void;
  /** One exec, attach or port-forward began. */
  streamBegan(kind: string): void;
  /** One of them ended; `result` is done, failed or lost. */
  streamEnded(kind: string, end: StreamOutcome): void;
  /** A streaming token was refused: unknown or too-many. */
  countRefusedToken(why: string): void;
  /** One thing that recovery did at start: adopt, teardown, record-exit and so on. */
  countRecovered(action: string): void;
  /** One damaged record that was moved aside; `noun` is sandbox, container or image. */
  countQuarantined(noun: string): void;
  /** Names the functions that are read at each scrape; until then those series are absent. */
  setSources(sources: MetricSources): void;
  /** The text of a scrape. */
  scrape(): Promise<string>;
  /** Serves /metrics over HTTP on "host:port"; answers the address in use (port 0 picks one). */
  listen(address: string): Promise<string>;
  /** Ends the listener, if there is one. */
  close(): Promise<void>;
}

const callBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120];
const stageBounds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];
const pullBounds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600];

/** Makes the counters; the Prometheus library is loaded at the first scrape. */
export function createMetrics(build: { readonly version: string; readonly node: string }): Metrics {
  const counted = ownSeries();
  const info = { version: build.version, node: build.node };
  const fixed: Series = {
    name: 'podwright_build_info',
    help: 'Always 1; its labels say what runs',
    type: 'gauge',
    samples: () => [{ value: 1, labels: info }],
  };
  let gauges: readonly Series[] = [];
  let library: Promise<Library> | null = null;
  const scrape = async (): Promise<string> => {
    library ??= loadLibrary();
    const { processMetrics, registryOf } = await library;
    const own = registryOf([fixed, ...Object.values<Series>(counted), ...gauges]);
    return `${await own.metrics()}\n${await processMetrics.metrics()}`;
  };
  let close = async (): Promise<void> => undefined;
  return {
    observeRpc(method, code, seconds) {
      counted.rpcs.observe([method, code], seconds);
      if (code !== 'OK') counted.rpcErrors.add([method, code]);
    },
    observeStage: (rpc, stage, seconds) => counted.stages.observe([rpc, stage], seconds),
    observePull({ result, bytes, seconds }) {
      counted.pulls.add([result]);
      counted.pullBytes.add([], bytes);
      counted.pullSeconds.observe([result], seconds);
    },
    countVerdict: (at, accepted) => counted.verdicts.add([at, accepted ? 'accepted' : 'rejected']),
    ...streamCounts(counted),
    countRecovered: (action) => counted.recovered.add([action]),
    countQuarantined: (noun) => counted.quarantined.add([noun]),
    setSources: (sources) => void (gauges = gaugesOf(sources)),
    scrape,
    async listen(address) {
      const server = await serveMetrics(address, scrape);
      close = server.close;
      return server.address;
    },
    close: () => close(),
  };
}

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

function ownSeries() {
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
    quarantined: new Counter({
      name: 'podwright_quarantined_records_total',
      help: 'Damaged records that were moved aside',
      labels: ['noun'],
    }),
  };
}

function streamCounts(counted: ReturnType<typeof ownSeries>) {
  return {
    streamBegan: (kind: string) => counted.streamsOpen.add([kind]),
    streamEnded(kind: string, { result, bytesIn, bytesOut }: StreamOutcome) {
      counted.streamsOpen.add([kind], -1);
      counted.streams.add([kind, result]);
      counted.streamBytes.add([kind, 'in'], bytesIn);
      counted.streamBytes.add([kind, 'out'], bytesOut);
    },
    countRefusedToken: (why: string) => counted.refusedTokens.add([why]),
  };
}

function gaugesOf(sources: MetricSources): readonly Series[] {
  const gauge = (name: string, help: string, read: () => Readonly<Record<string, number>> | number): Series =>
    new Gauge({ name: `podwright_${name}`, help, labels: ['state'] }, read);
  const counter = (name: string, help: string, read: () => number): Series => ({
    name: `podwright_${name}_total`,
    help,
    type: 'counter',
    samples: () => [{ value: read(), labels: {} }],
  });
  return [
    gauge('sandboxes', 'Pod sandboxes by state', sources.sandboxes),
    gauge('containers', 'Containers by state', sources.containers),
    gauge('images', 'Images on disk', sources.images),
    gauge('image_pulls_running', 'Image pulls under way', sources.pulls),
    gauge('image_pull_layers', 'Layers of running pulls by stage', sources.pullLayers),
    gauge('image_pull_remaining_bytes', 'Bytes that running pulls have still to download', sources.pullRemainingBytes),
    gauge('unreachable_monitors', 'Monitors that are alive and do not answer', sources.unreachableMonitors),
    gauge('owed_network_releases', 'Network releases that are still owed', sources.owedReleases),
    gauge('event_subscribers', 'Readers of container events', sources.eventSubscribers),
    counter('events', 'Steps of sandboxes and containers', sources.events),
    counter('event_overflows', 'Readers of container events that were given up as too slow', sources.eventOverflows),
  ];
}

interface Library {
  readonly processMetrics: Registry;
  readonly registryOf: (series: readonly Series[]) => Registry;
}

async function loadLibrary(): Promise<Library> {
  const { collectDefaultMetrics, Registry: PromRegistry } = await import('prom-client');
  const processMetrics = new PromRegistry();
  collectDefaultMetrics({ register: processMetrics });
  return {
    processMetrics,
    registryOf: (all) => {
      const registry = new PromRegistry();
      for (const series of all) registry.registerMetric(asMetric(series));
      return registry;
    },
  };
}

// prom-client asks a metric for exactly this and takes any object that has it.
function asMetric(series: Series): never {
  const { name, help, type } = series;
  return { name, help, type, get: () => ({ name, help, type, values: series.samples() }) } as never;
}
