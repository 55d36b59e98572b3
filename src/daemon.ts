// The composition root: builds each room once, wires ports, start and stop order. No logic of its own.
import { createCgroups } from './cgroup/cgroup.ts';
import type { Config } from './config/schema.ts';
import { chainsOf } from './container/container.ts';
import { version } from './config/version.ts';
import { startCriServer } from './cri/server.ts';
import { warmUp } from './cri/warm-up.ts';
import { composeAdmin } from './daemon/admin.ts';
import { claimNode, elapsedMs, hostClock } from './daemon/foundation.ts';
import { composeNri, startNri } from './daemon/nri.ts';
import { askHandlers } from './daemon/handlers.ts';
import type { Hands } from './daemon/hands.ts';
import { composeImages } from './daemon/images.ts';
import { linkKube } from './daemon/kube.ts';
import { composePods } from './daemon/live.ts';
import { type Recovery, runRecovery } from './daemon/recovery.ts';
import { keepThroughReloads } from './daemon/reloads.ts';
import { metricListeners } from './daemon/metric-listeners.ts';
import { countExits, metricSources } from './daemon/metric-sources.ts';
import { runtimeVerbs } from './daemon/runtime-verbs.ts';
import { callVersion } from './daemon/self-call.ts';
import { type ManagerAddress, serviceManager } from './daemon/service-manager.ts';
import { startStreaming } from './daemon/streaming.ts';
import { steppedImages, steppedRuntime } from './daemon/steps.ts';
import { composeStats } from './daemon/stats.ts';
import { trimWhenIdle } from './daemon/idle.ts';
import type { Log } from './log.ts';
import { createMetrics } from './metrics/metrics.ts';
import { startOwed } from './daemon/owed.ts';
import { composeOwn } from './daemon/own-processes.ts';
import { createNetwork } from './network/network.ts';
import { RecordWriter } from './state/record-writer.ts';
import { dropPidFile, writePidFile } from './state/run-files.ts';
import { socketFiles } from './state/socket-files.ts';
import { startSpans } from './trace/start-spans.ts';
import { createTrace } from './trace/trace.ts';

/** A serving daemon. */
export interface Daemon {
  /** Finishes running calls, closes the socket; pods live on. */
  stop(): Promise<void>;
  /** Takes a configuration read again: what is reloadable in it counts from now on. */
  reload(config: Config): void;
  /** Settles when somebody asked the daemon to end through the admin API. */
  readonly ended: Promise<void>;
}

/** Builds the rooms and wires their ports; nothing answers yet. */
async function compose(config: Config, current: () => Config, log: Log) {
  const node = claimNode(config, log);
  const { paths, native, step } = node;
  const clock = hostClock();
  const now = (): bigint => clock.now();
  const onError = (error: unknown): void => log.error({ error }, 'work in the background failed');
  const writer = new RecordWriter(onError, step);
  const metrics = createMetrics({ version, node: process.version, onError });
  const spans = await startSpans({ env: process.env, version, log: (level, fields, text) => log[level](fields, text) });
  const listeners = metricListeners({ metrics, config, files: socketFiles, log });
  const trace = createTrace({
    keep: config.trace.keep,
    nowMs: Date.now,
    elapsedMs,
    onStage: (rpc, stage, seconds) => metrics.observeStage(rpc, stage, seconds),
    beginStage: spans.beginStage,
  });
  const cgroups = createCgroups(native, config.cgroup.driver);
  const own = await composeOwn({ config, native, cgroups, paths, log });
  const network = createNetwork({
    native,
    config: { ...config.network, hostLocalDir: paths.networksDir },
    recordDir: paths.sandboxDir,
    step,
    log: (level, fields, message) => log[level](fields, message),
  });
  const chainsInUse = (): string[] => pods.containers.list().flatMap((c) => chainsOf(c.identity));
  const images = await composeImages({
    config,
    current,
    ...node,
    native: own.native,
    log,
    clock,
    writer,
    metrics,
    onError,
    chainsInUse,
  });
  const nri = composeNri({ config, log, pods: () => pods });
  const stages: Hands['stages'] = (id, call) => trace.stages(id, call);
  const hands = { ...node, config, current, log, now, cgroups, network, own, images, writer, nri, stages };
  const pods = composePods(hands);
  const stats = composeStats({ config, pods, cgroups, network, images, paths, now });
  const handlers = askHandlers(config.node.runtimes, { native, log });
  const cgroupDriver = cgroups.driver;
  return { ...hands, cgroupDriver, handlers, metrics, metricListeners: listeners, spans, trace, pods, ...stats };
}

/** What the service manager is told, and by whom. */
function composeManager(
  manager: ManagerAddress | null,
  rooms: Awaited<ReturnType<typeof compose>> & { recovery: Recovery },
) {
  const { native, config, log, pods, recovery } = rooms;
  const { socket } = config.node;
  const service = serviceManager(manager, {
    notify: native.serviceNotify,
    check: (withinMs) => callVersion(socket, withinMs),
    status: () => `${recovery.notReady()?.message ?? 'serving'}; ${pods.sandboxes.list().length} pods on ${socket}`,
    log,
    monotonicUs: () => process.hrtime.bigint() / 1000n,
  });
  void recovery.done.then(() => service.changed());
  return service;
}

/** Says where metrics are read, and serves them. */
async function startMetrics(
  rooms: Awaited<ReturnType<typeof compose>> & { readonly recovery: Recovery },
): Promise<void> {
  const { metrics, metricListeners: listeners, podMetrics } = rooms;
  metrics.setSources(metricSources(rooms));
  metrics.setPods({ families: () => podMetrics.metricDescriptors(), read: () => podMetrics.podMetrics() });
  await listeners.start();
}

/** Starts everything; the socket answers when this resolves, recovery may still run. `manager` is told so. */
export async function startDaemon(config: Config, log: Log, manager: ManagerAddress | null): Promise<Daemon> {
  let current = config;
  const rooms = await compose(config, () => current, log);
  const { paths, metrics, network, images, pods } = rooms;
  void pods.userNamespaceTrouble(); // found out meanwhile: Status waits for it
  countExits(pods.containers, (reason) => metrics.countExit(reason)); // also of what recovery finds
  const recovery = runRecovery(rooms);
  const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms).unref());
  void recovery.done.then(() => keepThroughReloads({ ...rooms, ...pods, sleep }));
  const owed = startOwed({ ...rooms, recovery });
  const kube = linkKube({ ...rooms, recovery });
  const ended = Promise.withResolvers<void>();
  const { root, state, socket } = config.node;
  const nri = await startNri(rooms.nri, { config, log, recovered: recovery.done });
  const streaming = await startStreaming({ ...rooms });
  const server = await startCriServer({
    socket,
    files: socketFiles,
    runtime: steppedRuntime(runtimeVerbs({ ...rooms, streaming, notReady: recovery.notReady }), rooms.step),
    images: steppedImages(kube.images(images.verbs), rooms.step),
    services: [
      composeAdmin({ ...rooms, recovery, owed, leave: kube.leave, endPlugins: () => nri.stop(), end: ended.resolve }),
    ],
    ports: recovery.rpcPorts,
    host: { handlers: Object.keys(config.node.runtimes) },
  });
  writePidFile(paths.pidFile);
  await startMetrics({ ...rooms, recovery });
  const idle = trimWhenIdle(rooms.native.heapTrim, (error) => log.error({ error }, 'memory was not given back'));
  const service = composeManager(manager, { ...rooms, recovery });
  await service.ready();
  log.info({ socket, root, state, version }, 'serving');
  void recovery.done.then(warmUp); // before that it would keep the node from being ready
  kube.start();
  return {
    ended: ended.promise,
    reload(fresh) {
      current = fresh;
      streaming.reload();
      void service.reloaded();
    },
    async stop() {
      await service.stopping();
      idle.stop();
      owed.stop();
      await Promise.all([server.stop(config.grpc.drainTimeoutMs), streaming.stop(), kube.stop()]);
      await nri.stop();
      await rooms.metricListeners.stop();
      pods.monitors.close();
      await images.stop();
      await rooms.own.leave().catch((error: unknown) => log.error({ error }, 'the daemon did not leave its cgroup'));
      await network.shutdown({ removeAll: false });
      await rooms.writer.close().catch((error: unknown) => log.error({ error }, 'not all records are durable'));
      await rooms.spans.close();
      dropPidFile(paths.pidFile);
      log.info({}, 'stopped; pods live on');
    },
  };
}
