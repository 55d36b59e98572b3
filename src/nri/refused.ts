// PURE
// What of an adjustment is not carried out: refused by name, never ignored (docs/nri.md has the same table).
import { invalidArgument, unimplemented } from '../lib/failure.ts';
import type { Owners } from './owners.ts';
import type { Field } from './owners.ts';
import { refusedResources } from './resources.ts';
import type { Adjustment, LinuxAdjustment } from './wire.ts';

interface Refused {
  readonly name: string;
  readonly field: Field;
  readonly set: (linux: LinuxAdjustment) => boolean;
}

/** Of `linux`. Values that change nothing are no wish. */
export const refusedLinux: readonly Refused[] = [
  { name: 'cgroups_path', field: 'CgroupsPath', set: (l) => l.cgroupsPath !== '' },
  {
    name: 'io_priority',
    field: 'IoPriority',
    set: (l) => l.ioPriority !== null && l.ioPriority.class !== 'IOPRIO_CLASS_NONE',
  },
  { name: 'namespaces', field: 'Namespace', set: (l) => l.namespaces.length > 0 },
  { name: 'net_devices', field: 'LinuxNetDevices', set: (l) => Object.keys(l.netDevices).length > 0 },
  {
    name: 'scheduler',
    field: 'LinuxSched',
    set: (l) => l.scheduler !== null && l.scheduler.policy !== 'SCHED_NONE',
  },
  {
    name: 'rdt',
    field: 'RdtClosID',
    set: ({ rdt }) => rdt !== null && (rdt.closId ?? rdt.schemata ?? rdt.enableMonitoring) !== null,
  },
  { name: 'memory_policy', field: 'MemoryPolicy', set: (l) => l.memoryPolicy !== null },
];

/** Whose wish it is, for the message. */
const plugin = (owner: string | null): string => (owner === null ? 'an NRI plugin' : `NRI plugin ${owner}`);

/** Throws unimplemented for the first wish that is not carried out, invalid-argument for one that is none. */
export function refuseUnsupported({ linux, mounts, annotations }: Adjustment, id: string, owners: Owners): void {
  const wish = linux && refusedLinux.find(({ set }) => set(linux));
  if (wish)
    throw unimplemented(`linux.${wish.name} of ${plugin(owners.of({ id, field: wish.field }))} is not supported`);
  const resources = linux?.resources;
  const limit = resources && refusedResources.find(([, set]) => set(resources));
  if (limit) throw unimplemented(`linux.resources.${limit[0]} of an NRI plugin is not supported`);
  const mount = mounts.find(({ type }) => type.startsWith('podwright-'));
  if (mount) throw invalidArgument(`mount ${mount.destination} of an NRI plugin has the type ${mount.type}`);
  const key = Object.keys(annotations).find((name) => /^-?podwright\./.test(name));
  if (key !== undefined) throw invalidArgument(`annotation ${key} of an NRI plugin is podwright's own`);
}
