// Our own part of the cgroup tree: what limits our processes have there, and that it is taken away at the very end.
import type { Cgroups, Resources } from '../cgroup/cgroup.ts';
import { changesTo, isLimited, noLimits, type OwnLimits, ownResources } from '../cgroup/own-limits.ts';
import type { Config } from '../config/schema.ts';
import { Failure } from '../lib/failure.ts';
import type { Log } from '../log.ts';

const leaveMs = 3000;
const killedMs = 1000;

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

/** What limits of our cgroups are put in force with. */
export interface ForceParts {
  readonly cgroups: Pick<Cgroups, 'version' | 'read' | 'update'>;
  readonly log: Pick<Log, 'warn'>;
}

/**
 * Has a cgroup of ours that is there limited as wanted: one of an earlier configuration may have other limits. Who wants
 * none is not kept from starting by old ones that stay: they are told of.
 */
export async function putInForce({ cgroups, log }: ForceParts, path: string, wanted: Resources | null): Promise<void> {
  try {
    const changes = changesTo(wanted, await cgroups.read(path), cgroups.version);
    if (changes !== null) await cgroups.update(path, changes);
  } catch (error) {
    if (error instanceof Failure && error.kind === 'not-found') return;
    if (wanted !== null) throw error;
    log.warn({ error, cgroup: path }, 'limits of an earlier configuration may still be in force');
  }
}

/**
 * Takes a cgroup of ours away that this daemon is out of. Those that were killed there have a second to be gone; with
 * others in it, it stays theirs, and is told of.
 */
export async function vacateOwn(
  { cgroups, log }: { readonly cgroups: Pick<Cgroups, 'procs' | 'vacate'>; readonly log: Pick<Log, 'warn'> },
  path: string,
): Promise<void> {
  const others = await left(cgroups, path, killedMs);
  if (others.length === 0) return cgroups.vacate(path);
  log.warn({ cgroup: path, pids: others }, 'other processes are in a cgroup of ours: it stays');
}

/** Takes it away once nobody is in it: monitors leave shortly after their answer. */
export async function removeOwnCgroups(cgroups: Cgroups): Promise<void> {
  // another daemon's pods live there: the last one removes it
  if ((await left(cgroups, cgroups.own.root, leaveMs)).length > 0) return;
  await cgroups.remove([cgroups.own.root]);
}

/** Who is in it still after so long, in milliseconds. */
async function left(cgroups: Pick<Cgroups, 'procs'>, path: string, ms: number): Promise<readonly number[]> {
  const until = Date.now() + ms;
  for (;;) {
    const pids = await processesIn(cgroups, path);
    if (pids.length === 0 || Date.now() > until) return pids;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function processesIn(cgroups: Pick<Cgroups, 'procs'>, path: string): Promise<readonly number[]> {
  try {
    return await cgroups.procs(path);
  } catch (error) {
    if (error instanceof Failure && error.kind === 'not-found') return [];
    throw error;
  }
}
