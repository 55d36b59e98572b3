// The monitors of this daemon, and where their news goes: exits and starts into records, the rest into the log.
import { version } from '../config/version.ts';
import { recordExit, recordStart } from '../container/exits.ts';
import type { OomKill } from '../lib/oom.ts';
import { nativeCarrier } from '../monitor/carrier.ts';
import { Monitors } from '../monitor/monitors.ts';
import { containerFacts, exitFact, oomKill } from '../monitor/requests.ts';
import type { Hands } from './hands.ts';
import type { PodStore } from './pod-store.ts';

/** Builds them. `onGone`: the monitor's process is dead, and what it watched is without one. `onOom`: a kill was told. */
export function monitorsOf(
  { native, paths, cgroups, log, own }: Hands,
  { containers }: PodStore,
  { onGone, onOom }: { readonly onGone: (sandboxId: string) => void; readonly onOom: (kill: OomKill) => void },
): Monitors {
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
      if (exit) recordExit(containers, exitFact(exit));
      if (oom) onOom(oomKill(sandboxId, oom));
      if (note) log.warn({ sandboxId, containerId: note.containerId }, note.text);
      if (logTrouble) log.warn({ sandboxId, ...logTrouble }, 'output of the container cannot be logged and is dropped');
    },
    onState: (_, hello) => {
      for (const fact of containerFacts(hello)) {
        recordStart(containers, fact);
        if (fact.exit) recordExit(containers, fact.exit);
      }
    },
    onGone: (sandboxId) => {
      log.error({ sandboxId }, 'the monitor of the sandbox is dead; its containers are ended');
      onGone(sandboxId);
    },
  });
}
