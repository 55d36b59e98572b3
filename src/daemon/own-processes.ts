// Where the daemon and its work run, and within what limits (docs/cgroups.md, "Our own processes"). Wires, decides little.
import type { Cgroups, Resources } from '../cgroup/cgroup.ts';
import { serviceOf } from '../cgroup/path.ts';
import type { Config } from '../config/schema.ts';
import type { Log } from '../log.ts';
import type { Native } from '../native/load.ts';
import type { Paths } from '../paths.ts';
import { diskOf, ownCgroupTable } from '../state/host.ts';
import { workingNative } from '../work/native.ts';
import { startWork } from '../work/start.ts';
import { Worker } from '../work/worker.ts';
import { ownResourcesOf, putInForce, vacateOwn } from './own-cgroups.ts';

/** How long a worker is kept without work, in milliseconds. */
const idleMs = 30_000;
/** How long the daemon waits for its end, in milliseconds: even dying it has no more of the processors than it may. */
const stopMs = 20_000;

export interface OwnParts {
  readonly config: Config;
  readonly native: Native;
  readonly cgroups: Cgroups;
  readonly paths: Pick<Paths, 'root'>;
  readonly log: Log;
}

/** What limits one kind of our processes has, and where it is. */
export interface OwnPlace {
  /** A path of cgroups, or the name of a service. */
  readonly where: string;
  readonly limits: Resources | null;
}

/** Where each is, for Status and doctor. */
export interface OwnReport {
  readonly monitors: OwnPlace;
  readonly daemon: OwnPlace;
  readonly work: OwnPlace;
  /** What is configured and not in force. */
  readonly trouble: string | null;
}

/** Our own processes, with what they do for others. */
export interface OwnProcesses {
  /** Of the cgroup of all monitors. */
  readonly monitorLimits: Resources | null;
  /** The addon, with heavy work where its limits are. */
  readonly native: Native;
  report(): OwnReport;
  /** Ends the work, and takes the daemon back to where it was started: nobody of this daemon is in our cgroups then. */
  leave(): Promise<void>;
}

/** Puts each where it belongs. */
export async function composeOwn({ config, native, cgroups, paths, log }: OwnParts): Promise<OwnProcesses> {
  const { own } = cgroups;
  const limits = ownResourcesOf(config, cgroups, () => diskOf(paths.root));
  await putInForce({ cgroups, log }, own.monitors, limits.monitors);
  await putInForce({ cgroups, log }, own.work, limits.work);
  const service = serviceOf(ownCgroupTable());
  const trouble =
    limits.daemon !== null && service !== null
      ? `own.daemon_* count for nothing: ${service} has a cgroup of its service manager; set its limits there`
      : null;
  if (trouble !== null) log.warn({ service }, trouble);
  let back: (() => Promise<void>) | null = null;
  if (limits.daemon !== null && service === null) {
    await putInForce({ cgroups, log }, own.daemon, limits.daemon);
    const member = { path: own.daemon, pid: process.pid, description: 'podwrightd', resources: limits.daemon };
    back = await cgroups.enter(member);
  }
  const work = limits.work === null ? null : limitedWork({ config, native, cgroups, log }, limits.work);
  return {
    monitorLimits: limits.monitors,
    native: work?.native ?? native,
    report: () => ({
      monitors: { where: own.monitors, limits: limits.monitors },
      daemon: { where: back === null ? (service ?? '') : own.daemon, limits: back === null ? null : limits.daemon },
      work: { where: work === null ? '' : own.work, limits: limits.work },
      trouble,
    }),
    async leave() {
      await work?.stop();
      if (back === null) return;
      const goBack = back;
      back = null;
      await goBack();
      await vacateOwn({ cgroups, log }, own.daemon);
    },
  };
}

/** Heavy work in a process of its own, in a cgroup that is there as long as it. */
function limitedWork({ config, native, cgroups, log }: Omit<OwnParts, 'paths'>, resources: Resources) {
  let stopping = false;
  const onError = (error: unknown): void => log.error({ error }, 'work in the background failed');
  // what is under way then is cut off
  const onFreeError = (error: unknown): void => {
    if (!stopping) onError(error);
  };
  const path = cgroups.own.work;
  const { worker: program, addon, monitor } = config.node;
  const worker = new Worker({
    start: (events) => startWork({ program, addon, monitor }, events),
    place: async (pid) => void (await cgroups.enter({ path, pid, description: 'podwright work', resources })),
    leave: () => vacateOwn({ cgroups, log }, path),
    idleMs,
    stopMs,
    onError,
  });
  return {
    native: workingNative(native, worker, onFreeError),
    stop: () => {
      stopping = true;
      return worker.stop();
    },
  };
}
