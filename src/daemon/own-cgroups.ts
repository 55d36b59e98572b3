// Our own part of the cgroup tree: what limits our processes have there, and that it is taken away at the very end.
import type { Cgroups, Resources } from '../cgroup/cgroup.ts';
import { changesTo, isLimited, noLimits, type OwnLimits, ownResources } from '../cgroup/own-limits.ts';
import type { Config } from '../config/schema.ts';
import { Failure } from '../lib/failure.ts';

const leaveMs = 3000;

/** Limits by what they are for; null for none. */
export interface OwnResources {
  readonly monitors: Resources | null;
  readonly daemon: Resources | null;
  readonly work: Resources | null;
}

/** The section `own` of the configuration for this host; `diskOf` is asked when a limit needs a disk. */
export function ownResourcesOf({ own }: Config, { version }: Pick<Cgroups, 'version'>, diskOf: () => string | null) {
  const limits: Readonly<Record<keyof OwnResources, OwnLimits>> = {
    monitors: {
      ...noLimits,
      memoryBytes: own.monitorsMemory,
      cpus: own.monitorsCpus,
      cpuWeight: own.monitorsCpuWeight,
      pids: own.monitorsPids,
    },
    daemon: { ...noLimits, memoryBytes: own.daemonMemory, cpus: own.daemonCpus, cpuWeight: own.daemonCpuWeight },
    work: {
      ...noLimits,
      memoryBytes: own.workMemory,
      cpus: own.workCpus,
      cpuWeight: own.workCpuWeight,
      ioWeight: own.workIoWeight,
      readRate: own.workReadRate,
      writeRate: own.workWriteRate,
    },
  };
  const made = (of: OwnLimits): Resources | null =>
    isLimited(of) ? ownResources(of, { version, disk: of.readRate + of.writeRate > 0 ? diskOf() : null }) : null;
  return { monitors: made(limits.monitors), daemon: made(limits.daemon), work: made(limits.work) } as OwnResources;
}

/** Has a cgroup of ours that is there limited as wanted: one of an earlier configuration may have other limits. */
export async function putInForce(cgroups: Cgroups, path: string, wanted: Resources | null): Promise<void> {
  try {
    const changes = changesTo(wanted, await cgroups.read(path));
    if (changes !== null) await cgroups.update(path, changes);
  } catch (error) {
    if (!(error instanceof Failure && error.kind === 'not-found')) throw error;
  }
}

/** Takes it away once nobody is in it: monitors leave shortly after their answer. */
export async function removeOwnCgroups(cgroups: Cgroups): Promise<void> {
  const until = Date.now() + leaveMs;
  while ((await processesIn(cgroups, cgroups.own.root)) > 0) {
    if (Date.now() > until) return; // another daemon's pods live there: the last one removes it
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await cgroups.remove([cgroups.own.root]);
}

async function processesIn(cgroups: Cgroups, path: string): Promise<number> {
  try {
    return (await cgroups.procs(path)).length;
  } catch (error) {
    if (error instanceof Failure && error.kind === 'not-found') return 0;
    throw error;
  }
}
