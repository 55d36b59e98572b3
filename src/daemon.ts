// The composition root: builds each room once, wires ports, start and stop order. No logic of its own.
import { createCgroups } from './cgroup/cgroup.ts';
import type { Config } from './config/schema.ts';
import { version } from './config/version.ts';
import { startCriServer } from './cri/server.ts';
import { composeAdmin } from './daemon/admin.ts';
import { composeImages } from './daemon/images.ts';
import { composePods } from './daemon/live.ts';
import { runRecovery } from './daemon/recovery.ts';
import { metricSources } from './daemon/metric-sources.ts';
import { runtimeVerbs } from './daemon/runtime-verbs.ts';
import { trimWhenIdle } from './daemon/idle.ts';
import { failedPrecondition } from './lib/failure.ts';
import { followingClock, monotonicClock } from './lib/clock.ts';
import type { Log } from './log.ts';
import { createMetrics } from './metrics/metrics.ts';
import { loadNative } from './native/load.ts';
import { createNetwork } from './network/network.ts';
import { buildPaths } from './paths.ts';
import { RecordWriter } from './state/record.ts';
import { dropPidFile, makeDirectories, writePidFile } from './state/run-files.ts';
import { socketFiles } from './state/socket-files.ts';
import { statsVerbs } from './stats/sample.ts';
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

/** Starts everything; the socket answers when this resolves, recovery may still run. */
export async function startDaemon(config: Config, log: Log): Promise<Daemon> {
  let current = config;
  const { root, state, socket } = config.node;
  const paths = buildPaths(root, state, socket);
  const native = loadNative(config.node.addon);
  makeDirectories([root, state, paths.netnsDir, paths.socketsDir, paths.sandboxRunDir(''), paths.bundleDir('')]);
  if (!native.lockFile(paths.lockFile)) throw failedPrecondition(`another podwrightd works in ${root}`);
  native.prepareMonitor(config.node.monitor);

  const elapsedMs = (): number => performance.now();
  const clock = monotonicClock(followingClock({ wallMs: Date.now, elapsedMs, startMs: performance.timeOrigin + elapsedMs() }));
  const now = (): bigint => clock.now();
  const onError = (error: unknown): void => log.error({ error }, 'work in the background failed');
  const writer = new RecordWriter(onError);
  const metrics = createMetrics({ version, node: process.version });
  const trace = createTrace({
    keep: config.trace.keep,
    nowMs: Date.now,
    elapsedMs,
    onStage: (rpc, stage, seconds) => metrics.observeStage(rpc, stage, seconds),
  });
  const cgroups = createCgroups(native);
  const network = createNetwork({
    native,
    config: { ...config.network, hostLocalDir: paths.networksDir },
    recordDir: paths.sandboxDir,
    log: (level, fields, message) => log[level](fields, message),
  });
  const images = await composeImages({ config, current: () => current, paths, native, log, clock, writer, metrics, onError, chainsInUse: () => pods.containers.list().flatMap((c) => c.identity.chain) });
  const pods = composePods({
    config,
    paths,
    native,
    log,
    now,
    cgroups,
    network,
    images,
    writer,
    stages: (id, call) => trace.stages(id, call),
  });
  const stats = statsVerbs({
    containers: pods.containers,
    sandboxes: pods.sandboxes,
    cgroupStats: (paths) => cgroups.stats(paths),
    layerUsage: (id) => images.storage.snapshots.usage(id),
    interfaces: (sandbox) => network.interfaceStats(sandbox.identity.id),
    snapshotsDir: paths.snapshotsDir,
    now,
  });

  const recovery = runRecovery({ pods, paths, native, network, images, metrics, log });
  const ended = Promise.withResolvers<void>();
  const runtime = runtimeVerbs({ pods, config, network, stats, now, notReady: recovery.notReady });
  const admin = composeAdmin({ config, pods, images, network, trace, recovery, log, end: ended.resolve });
  const server = await startCriServer({
    socket,
    files: socketFiles,
    runtime,
    images: images.verbs,
    services: [admin],
    ports: recovery.rpcPorts,
    host: pods.facts,
  });
  writePidFile(paths.pidFile);
  metrics.setSources(metricSources({ pods, network, images }));
  if (config.metrics.address !== '') await metrics.listen(config.metrics.address);
  const idle = trimWhenIdle();
  log.info({ socket, root, state, version }, 'serving');
  return {
    ended: ended.promise,
    reload: (fresh) => void (current = fresh),
    async stop() {
      idle.stop();
      await server.stop(config.grpc.drainTimeoutMs);
      await metrics.close();
      pods.monitors.close();
      await images.stop();
      await network.shutdown({ removeAll: false });
      await writer.flush();
      dropPidFile(paths.pidFile);
      log.info({}, 'stopped; pods live on');
    },
  };
}
