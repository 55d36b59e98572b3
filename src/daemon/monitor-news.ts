// The monitors of this daemon, and where their news goes: exits and starts into records, the rest into the log.
import { version } from '../config/version.ts';
import { recordExit, recordStart } from '../container/exits.ts';
import type { ExitFact } from '../container/ports.ts';
import type { OomKill } from '../lib/oom.ts';
import { nativeCarrier } from '../monitor/carrier.ts';
import { Monitors } from '../monitor/monitors.ts';
import { containerFacts, exitFact, oomKill } from '../monitor/requests.ts';
import type { Hands } from './hands.ts';
import type { PodStore } from './pod-store.ts';

/** Where news goes besides. */
export interface MonitorNews {
  /** The monitor's process is dead, and what it watched is without one. */
  readonly onGone: (sandboxId: string) => void;
  /** A kill was told. */
  readonly onOom: (kill: OomKill) => void;
}

/** Builds them. */
export function monitorsOf(
  { native, paths, cgroups, log, own }: Hands,
  { containers, dropped }: PodStore,
  { onGone, onOom }: MonitorNews,
): Monitors {
  const ended = (fact: ExitFact): void => {
    // told more than once, but once while it was not known yet
    if (containers.get(fact.containerId)?.status.exit === null) dropped.inAll(fact.containerId, fact.logDroppedBytes);
    recordExit(containers, fact);
  };
  return new Monitors({
    native,
    socketOf: paths.monitorSocket,
    // asked anew each time: another daemon's end may have taken the leaf away
    place: () => cgroups.monitorPlace(own.monitorLimits),
    placed: (pid) =>
      cgroups.settle({
        path: cgroups.own.monitors,
        pid,
        description: 'podwright monitors',
        resources: own.monitorLimits,
      }),
    daemonVersion: version,
    carrier: nativeCarrier(native),
    onEvent: (sandboxId, { exit, oom, logTrouble, note }) => {
      if (exit) ended(exitFact(exit));
      if (oom) onOom(oomKill(sandboxId, oom));
      if (note) log.warn({ sandboxId, containerId: note.containerId }, note.text);
      if (logTrouble) {
        dropped.soFar(logTrouble.containerId, Number(logTrouble.droppedBytes));
        log.warn({ sandboxId, ...logTrouble }, 'output of the container could not be logged and was dropped');
      }
    },
    onState: (_, hello) => {
      for (const fact of containerFacts(hello)) {
        recordStart(containers, fact);
        if (fact.exit) ended(fact.exit);
      }
    },
    onGone: (sandboxId) => {
      log.error({ sandboxId }, 'the monitor of the sandbox is dead; its containers are ended');
      onGone(sandboxId);
    },
  });
}
