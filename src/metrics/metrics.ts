// What the daemon tells Prometheus: RPCs, pods, pulls, stages of a pod's start, recovery, the process itself.
// Must not reach into other rooms: they are observed through the calls below, or read through functions handed in.
import type { Registry } from 'prom-client';
import { unavailable } from '../lib/failure.ts';
import { type MetricsServer, type MetricsSocketFiles, serveMetrics, serveMetricsSocket } from './listener.ts';
import { buildInfo, gaugesOf, type MetricSources, ownSeries, type OwnSeries } from './own-series.ts';
import { podMetricsText, type PodMetricSource } from './pod-text.ts';
import type { Series } from './series.ts';

export type { MetricSources } from './own-series.ts';
export type { MetricsSocketFiles } from './listener.ts';

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
  /** A container ended; `reason` as its status says. */
  countExit(reason: string): void;
  /** One thing that recovery did at start: adopt, teardown, record-exit and so on. */
  countRecovered(action: string): void;
  /** One damaged record that was moved aside; `noun` is sandbox, container or image. */
  countQuarantined(noun: string): void;
  /** One request to the API server: ok, refused, failed. */
  countKubeRequest(result: string): void;
  /** One event for the API server, by what became of it. */
  countKubeEvent(fate: string): void;
  /** Names the functions that are read at each scrape; until then those series are absent. */
  setSources(sources: MetricSources): void;
  /** Names what gives the metrics of pods; until then they are not served. */
  setPods(source: PodMetricSource): void;
  /** The text of a scrape. */
  scrape(): Promise<string>;
  /** Serves /metrics, and the metrics of pods at /metrics/cadvisor, over HTTP on "host:port"; answers the address in use (port 0 picks one). */
  listen(address: string): Promise<string>;
  /** Serves the same on a unix socket that its owner alone may open. */
  listenUnix(path: string, files: MetricsSocketFiles): Promise<void>;
  /** Ends the listeners, if there are any. */
  close(): Promise<void>;
}

/** What metrics are made with. */
export interface MetricsOptions {
  readonly version: string;
  /** Of Node. */
  readonly node: string;
  /** Told of what befalls a listener that serves. */
  readonly onError: (error: unknown) => void;
}

/** Makes the counters; the Prometheus library is loaded at the first scrape. */
export function createMetrics({ onError, ...build }: MetricsOptions): Metrics {
  const counted = ownSeries();
  const fixed = buildInfo(build);
  let gauges: readonly Series[] = [];
  let library: Promise<Library> | null = null;
  const scrape = async (): Promise<string> => {
    library ??= loadLibrary();
    const { processMetrics, registryOf } = await library;
    const own = registryOf([fixed, ...Object.values<Series>(counted), ...gauges]);
    return `${await own.metrics()}\n${await processMetrics.metrics()}`;
  };
  let pods: PodMetricSource | null = null;
  const scrapePods = async (): Promise<string> => {
    if (pods === null) throw unavailable('podwrightd is starting');
    return podMetricsText(pods.families(), await pods.read());
  };
  const served = { scrapes: { '/metrics': scrape, '/metrics/cadvisor': scrapePods }, onError };
  const servers: MetricsServer[] = [];
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
    countExit: (reason) => counted.exits.add([reason]),
    countRecovered: (action) => counted.recovered.add([action]),
    countQuarantined: (noun) => counted.quarantined.add([noun]),
    countKubeRequest: (result) => counted.kubeRequests.add([result]),
    countKubeEvent: (fate) => counted.kubeEvents.add([fate]),
    setSources: (sources) => void (gauges = gaugesOf(sources)),
    setPods: (source) => void (pods = source),
    scrape,
    async listen(address) {
      const server = await serveMetrics(address, served);
      servers.push(server);
      return server.address;
    },
    async listenUnix(path, files) {
      servers.push(await serveMetricsSocket(path, served, files));
    },
    async close() {
      await Promise.all(servers.splice(0).map((server) => server.close()));
    },
  };
}

function streamCounts(counted: OwnSeries) {
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
