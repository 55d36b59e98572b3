// Recovery as the daemon runs it: loads records, reconciles, opens the gate for calls. Wires, decides little.
import { randomUUID } from 'node:crypto';
import { recordExit } from '../container/exits.ts';
import { lostExit } from '../container/exits.ts';
import type { RpcPorts } from '../cri/rpc.ts';
import { failureChain } from '../lib/failure.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { containerFacts } from '../monitor/requests.ts';
import type { Native } from '../native/load.ts';
import type { Network } from '../network/network.ts';
import type { Paths } from '../paths.ts';
import { recover } from '../recovery/recover.ts';
import { stopSandbox } from '../sandbox/stop.ts';
import type { LoadReport } from '../state/record-store.ts';
import type { Images } from './images.ts';
import { noteWork } from './idle.ts';
import type { Pods } from './live.ts';

export interface RecoveryParts {
  readonly pods: Pods;
  readonly paths: Paths;
  readonly native: Native;
  readonly network: Network;
  readonly images: Images;
  readonly metrics: Metrics;
  readonly log: Log;
}

/** The state of recovery, as the border and Status need it. */
export interface Recovery {
  readonly notReady: () => { readonly reason: string; readonly message: string } | null;
  readonly rpcPorts: RpcPorts;
  /** Settles when it is over. */
  readonly done: Promise<void>;
  /** What loading set aside, for doctor. */
  readonly setAside: readonly { readonly noun: string; readonly id: string; readonly why: string }[];
}

/** Loads the records at once and reconciles in the background. */
export function runRecovery(parts: RecoveryParts): Recovery {
  const { pods, log, metrics } = parts;
  const setAside = [...aside('sandbox', pods.sandboxes.load()), ...aside('container', pods.containers.load())];
  for (const each of setAside) log.error(each, 'a record could not be read; it was set aside, all others live');
  for (const { noun } of setAside) metrics.countQuarantined(noun);
  let running: Promise<void> | null = null;
  let failed: string | null = null;
  running = reconcileAll(parts)
    .catch((error: unknown) => {
      failed = failureChain(error);
      log.error({ error }, 'recovery failed; pods of before may be unknown');
    })
    .finally(() => {
      running = null;
    });
  return {
    done: running,
    setAside,
    notReady: () => {
      if (running) return { reason: 'Recovering', message: 'podwrightd looks at what was running before it started' };
      return failed === null ? null : { reason: 'RecoveryFailed', message: failed };
    },
    rpcPorts: {
      log,
      recovering: () => running,
      observe: (method, code, seconds) => {
        noteWork();
        metrics.observeRpc(method, code, seconds);
      },
      newRequestId: randomUUID,
      elapsedMs: () => performance.now(),
      nowMs: Date.now,
    },
  };
}

const aside = (noun: string, report: LoadReport) =>
  [...report.quarantined, ...report.left].map(({ id, why }) => ({ noun, id, why }));

async function reconcileAll(parts: RecoveryParts): Promise<void> {
  const { pods, paths, native, network, images, log, metrics } = parts;
  const { sandboxes, containers, monitors, locks } = pods;
  await network.start();
  const report = await recover({
    sandboxes: () => sandboxes.list(),
    containers: () => containers.list(),
    bootId: pods.bootId,
    processStartTime: native.processStartTime,
    adopt: async (id) => containerFacts(await monitors.adopt(id)),
    readExit: (id) => pods.files.readExit(id),
    snapshotsDir: paths.snapshotsDir,
    teardownSandbox: pods.teardownSandbox,
    stopSandbox: (id, signal) => stopSandbox({ ...pods.releasePorts, locks, now: pods.runPorts.now }, id, signal),
    teardownContainer: pods.teardownContainer,
    loseContainer: async (id, why) => {
      const container = containers.get(id);
      if (!container) return;
      await pods.releasePorts.cgroups.kill(container.identity.cgroupPath);
      containers.update(id, { pid: 0, exit: lostExit(pods.runPorts.now(), why) });
    },
    recordStart: (id, { pid, startTime, startedAt }) => void containers.update(id, { pid, startTime, startedAt }),
    recordExit: (exit) => recordExit(containers, exit),
    removeSnapshot: (id) => images.storage.snapshots.remove(id),
    reachMonitor: (id) => void keepReaching(parts, id),
    onAction: (type) => metrics.countRecovered(type),
    log,
  });
  await network.collect(new Set(sandboxes.list().map((s) => s.identity.id)));
  await images.afterRecovery();
  log.info({ ...report, sandboxes: sandboxes.size, containers: containers.size }, 'recovered');
}

const reachDelayMs = 2000;

/** Tries a silent monitor again until it answers or is dead (RULINGS 12). */
async function keepReaching({ pods, native, log }: RecoveryParts, sandboxId: string): Promise<void> {
  for (;;) {
    const process = pods.sandboxes.get(sandboxId)?.status.monitor;
    if (!process) return;
    if (native.processStartTime(process.pid) !== process.startTime) {
      for (const id of pods.containersOf(sandboxId)) await pods.releasePorts.haltContainer(id);
      return;
    }
    try {
      for (const { exit } of containerFacts(await pods.monitors.adopt(sandboxId))) if (exit) recordExit(pods.containers, exit);
      return;
    } catch (error) {
      log.warn({ sandboxId, error: failureChain(error) }, 'the monitor of the sandbox is silent; trying on');
      await new Promise((resolve) => setTimeout(resolve, reachDelayMs).unref());
    }
  }
}
