// Recovery as the daemon runs it: loads records, reconciles, opens the gate for calls. Wires, decides little.
import { randomUUID } from 'node:crypto';
import { dirname } from 'node:path';
import { recordExit, recordLost, recordStart } from '../container/exits.ts';
import type { RpcPorts } from '../cri/rpc.ts';
import { failureChain } from '../lib/failure.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { containerFacts } from '../monitor/requests.ts';
import type { Native } from '../native/load.ts';
import type { Network } from '../network/network.ts';
import type { Paths } from '../paths.ts';
import { Leftovers } from '../recovery/leftovers.ts';
import type { Owed } from '../recovery/owed.ts';
import { recover } from '../recovery/recover.ts';
import { stopSandbox } from '../sandbox/stop.ts';
import type { Spans } from '../trace/spans.ts';
import type { LoadReport } from '../state/record-store.ts';
import { elapsedMs } from './foundation.ts';
import type { Images } from './images.ts';
import { noteWork } from './idle.ts';
import type { Pods } from './live.ts';
import { orphanEnds } from './orphans.ts';

export interface RecoveryParts {
  readonly pods: Pods;
  readonly paths: Paths;
  readonly native: Native;
  readonly network: Network;
  readonly images: Images;
  readonly metrics: Metrics;
  readonly spans: Spans;
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
  /** What was taken away in the last hour that nobody had any more; complete when recovery is over, but for what is owed. */
  readonly swept: () => readonly string[];
  /** From now on the listener is told of each, until the answer is called. */
  readonly onSwept: (listener: (what: string) => void) => () => void;
  /** What should have ended at the start and has not, and is on no record. */
  readonly owed: () => readonly Owed[];
}

/** Loads the records at once and reconciles in the background. */
export function runRecovery(parts: RecoveryParts): Recovery {
  const { pods, log, metrics, spans } = parts;
  const setAside = [...aside('sandbox', pods.sandboxes.load()), ...aside('container', pods.containers.load())];
  for (const each of setAside) log.error(each, 'a record could not be read; it was set aside, all others live');
  for (const { noun } of setAside) metrics.countQuarantined(noun);
  pods.events.recovering();
  let running: Promise<void> | null = null;
  let failed: string | null = null;
  const leftovers = new Leftovers(elapsedMs);
  running = reconcileAll({ ...parts, leftovers })
    .catch((error: unknown) => {
      failed = failureChain(error);
      log.error({ error }, 'recovery failed; pods of before may be unknown');
    })
    .finally(() => {
      pods.events.recovered();
      running = null;
    });
  return {
    done: running,
    setAside,
    swept: () => leftovers.swept(),
    onSwept: (listener) => leftovers.onSwept(listener),
    owed: () => leftovers.owed(),
    notReady: () => {
      if (running) return { reason: 'Recovering', message: 'podwrightd looks at what was running before it started' };
      return failed === null ? null : { reason: 'RecoveryFailed', message: failed };
    },
    rpcPorts: {
      log,
      recovering: () => running,
      observe: (method, code, seconds) => {
        if (method !== 'Version') noteWork(); // the daemon's call to itself is none
        metrics.observeRpc(method, code, seconds);
      },
      beginCall: spans.beginCall,
      newRequestId: randomUUID,
      elapsedMs,
      nowMs: Date.now,
    },
  };
}

const never = new AbortController().signal;

const aside = (noun: string, report: LoadReport) =>
  [...report.quarantined, ...report.left].map(({ id, why }) => ({ noun, id, why }));

async function reconcileAll(parts: RecoveryParts & { readonly leftovers: Leftovers }): Promise<void> {
  const { pods, paths, native, network, images, log, metrics, leftovers } = parts;
  const { sandboxes, containers, monitors, locks } = pods;
  await network.start();
  const report = await recover({
    sandboxes: () => sandboxes.list(),
    containers: () => containers.list(),
    bootId: pods.bootId,
    processStartTime: native.processStartTime,
    adopt: async (id) => containerFacts(await monitors.adopt(id)),
    readExit: (id) => pods.files.readExit(id),
    sandboxIds: () => sandboxes.ids(),
    containerIds: () => containers.ids(),
    snapshotsDir: paths.snapshotsDir,
    bundlesDir: dirname(paths.bundleDir('0')),
    sandboxDirs: [paths.socketsDir, paths.netnsDir, paths.sandboxRunDir('')],
    ...orphanEnds(parts),
    teardownSandbox: (id) => locks.run(`sandbox ${id}`, never, () => pods.teardownSandbox(id)),
    stopSandbox: (id, signal) => stopSandbox({ ...pods.releasePorts, locks, now: pods.runPorts.now }, id, signal),
    teardownContainer: (id) => locks.run(`container ${id}`, never, () => pods.teardownContainer(id)),
    loseContainer: async (id, why) => {
      const container = containers.get(id);
      if (!container) return;
      await pods.releasePorts.cgroups.kill(container.identity.cgroupPath);
      recordLost(containers, id, { now: pods.runPorts.now(), message: why });
    },
    recordStart: (containerId, start) => recordStart(containers, { containerId, ...start }),
    recordExit: (exit) => recordExit(containers, exit),
    reachMonitor: (id) => {
      const monitor = sandboxes.get(id)?.status.monitor;
      if (monitor) monitors.watch(id, monitor);
    },
    onAction: (action) => {
      metrics.countRecovered(action.type);
      leftovers.done(action);
    },
    onFailure: (failed) => leftovers.failed(failed),
    log,
  });
  try {
    await network.collect(() => new Set(sandboxes.ids()), { atStart: true });
  } catch (error) {
    // a release that a plugin refuses is owed, and told by doctor: it is no reason to keep the node from its work
    log.error({ error: failureChain(error) }, 'networks of pods that are gone could not all be released');
  }
  images.afterRecovery();
  log.info({ ...report, sandboxes: sandboxes.size, containers: containers.size }, 'recovered');
}
