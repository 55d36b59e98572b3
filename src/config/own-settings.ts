// PURE
// Limits of podwright's own processes: the section `own`.
import { cpus, integer, size } from './kinds.ts';
import { setting } from './setting.ts';

/** The section's settings. */
export const ownSettings = {
  monitorsMemory: setting(size, 0, {
    doc: "Bytes of memory of all monitors together, 0 for any: a monitor needs about 1 MiB, and one that is killed for lack of memory takes its pod's containers with it.",
  }),
  monitorsCpus: setting(cpus, 0, { doc: 'Processors that all monitors together may use, 0 for any.' }),
  monitorsCpuWeight: setting(integer(0, 10_000), 0, {
    doc: 'Their share of busy processors, of which others have 100; 0 leaves it alone.',
  }),
  monitorsPids: setting(integer(0, 4_194_304), 0, {
    doc: 'Processes and threads of all monitors together, 0 for any: one for each pod, and what starts in them.',
  }),
  daemonMemory: setting(size, 0, {
    doc: "Bytes of memory of the daemon and of what it pulls, 0 for any. This and the other limits of the daemon count where no service manager has given it a cgroup: in `podwrightd.service` the unit's own settings do.",
  }),
  daemonCpus: setting(cpus, 0, { doc: 'Processors that the daemon may use, 0 for any.' }),
  daemonCpuWeight: setting(integer(0, 10_000), 0, {
    doc: 'Its share of busy processors, of which others have 100; 0 leaves it alone.',
  }),
  workMemory: setting(size, 0, {
    doc: 'Bytes of memory for pulling and loading images, verifying the store and freeing what was removed, 0 for any; the file cache of what is written counts. Any limit of work moves it into a process of its own, of which 40 MiB are Node: 128 MiB and more make sense.',
  }),
  workCpus: setting(cpus, 0, { doc: 'Processors that this work may use, 0 for any.' }),
  workCpuWeight: setting(integer(0, 10_000), 0, {
    doc: 'Its share of busy processors, of which others have 100; 0 leaves it alone.',
  }),
  workIoWeight: setting(integer(0, 10_000), 0, {
    doc: 'Its share of a busy disk, of which others have 100; 0 leaves it alone. Needs cgroup v2 and a kernel with `io.weight` (io.cost), switched on for the disk.',
  }),
  workReadRate: setting(size, 0, {
    doc: 'Bytes a second that it may read from the disk that has `root`, 0 for any. Needs cgroup v2.',
  }),
  workWriteRate: setting(size, 0, {
    doc: 'Bytes a second that it may write there, 0 for any. Needs cgroup v2.',
  }),
} as const;
