// PURE
// Limits as plugins write them: what each is called, whose it becomes, and what they are in the house's words.
import { unimplemented } from '../lib/failure.ts';
import type { LinuxResources } from '../sandbox/sandbox.ts';
import type { Field, Owners } from './owners.ts';
import type { WireCpu, WireMemory, WireResources } from './wire.ts';

/** Limits of memory and of processors, with the fields that they are. */
const memoryFields: Readonly<Record<keyof WireMemory, Field>> = {
  limit: 'MemLimit',
  reservation: 'MemReservation',
  swap: 'MemSwapLimit',
  kernel: 'MemKernelLimit',
  kernelTcp: 'MemTCPLimit',
  swappiness: 'MemSwappiness',
  disableOomKiller: 'MemDisableOomKiller',
  useHierarchy: 'MemUseHierarchy',
};
const cpuFields: Readonly<Record<keyof WireCpu, Field>> = {
  shares: 'CPUShares',
  quota: 'CPUQuota',
  period: 'CPUPeriod',
  realtimeRuntime: 'CPURealtimeRuntime',
  realtimePeriod: 'CPURealtimePeriod',
  cpus: 'CPUSetCPUs',
  mems: 'CPUSetMems',
};

/** No limits. */
export const noLimits = (): WireResources => ({
  memory: null,
  cpu: null,
  hugepageLimits: [],
  blockioClass: null,
  rdtClass: null,
  unified: {},
  devices: [],
  pids: null,
});

const noMemory: WireMemory = {
  limit: null,
  reservation: null,
  swap: null,
  kernel: null,
  kernelTcp: null,
  swappiness: null,
  disableOomKiller: null,
  useHierarchy: null,
};
const noCpu: WireCpu = {
  shares: null,
  quota: null,
  period: null,
  realtimeRuntime: null,
  realtimePeriod: null,
  cpus: '',
  mems: '',
};

/** Whose limits change, and who changes them. */
export interface Claimant {
  readonly id: string;
  readonly plugin: string;
  readonly owners: Owners;
}

const isSet = (value: unknown): boolean => value !== null && value !== undefined && value !== '';

/** The members that are set over those of before, each claimed. */
function claimMembers<T extends object>(
  names: Readonly<Record<keyof T, Field>>,
  { before, wanted }: { readonly before: T; readonly wanted: T | null },
  { id, plugin, owners }: Claimant,
): T {
  if (wanted === null) return before;
  const set = (Object.keys(names) as (keyof T)[]).filter((name) => isSet(wanted[name]));
  for (const name of set) owners.claim({ id, field: names[name] }, plugin);
  return { ...before, ...Object.fromEntries(set.map((name) => [name, wanted[name]])) };
}

/** Limits with those that a plugin wants over them. Throws failed-precondition on a conflict. */
export function claimResources(before: WireResources, wanted: WireResources, claimant: Claimant): WireResources {
  const { id, plugin, owners } = claimant;
  const memory = claimMembers(memoryFields, { before: before.memory ?? noMemory, wanted: wanted.memory }, claimant);
  const cpu = claimMembers(cpuFields, { before: before.cpu ?? noCpu, wanted: wanted.cpu }, claimant);
  for (const { pageSize } of wanted.hugepageLimits)
    owners.claim({ id, field: 'HugepageLimits', entry: pageSize }, plugin);
  for (const key of Object.keys(wanted.unified)) owners.claim({ id, field: 'CgroupsUnified', entry: key }, plugin);
  if (wanted.blockioClass) owners.claim({ id, field: 'BlockioClass' }, plugin);
  if (wanted.rdtClass) owners.claim({ id, field: 'RdtClass' }, plugin);
  if (wanted.pids) owners.claim({ id, field: 'PidsLimit' }, plugin);
  const pages = new Map([...before.hugepageLimits, ...wanted.hugepageLimits].map((one) => [one.pageSize, one]));
  return {
    memory,
    cpu,
    hugepageLimits: [...pages.values()],
    blockioClass: wanted.blockioClass ?? before.blockioClass,
    rdtClass: wanted.rdtClass ?? before.rdtClass,
    unified: { ...before.unified, ...wanted.unified },
    devices: [...before.devices, ...wanted.devices],
    pids: wanted.pids ?? before.pids,
  };
}

/** What is not carried out of limits: names as in api.proto, and whether they are set. */
export const refusedResources: readonly (readonly [string, (r: WireResources) => boolean])[] = [
  ['memory.reservation', (r) => isSet(r.memory?.reservation)],
  ['memory.kernel', (r) => isSet(r.memory?.kernel)],
  ['memory.kernel_tcp', (r) => isSet(r.memory?.kernelTcp)],
  ['memory.swappiness', (r) => isSet(r.memory?.swappiness)],
  ['memory.disable_oom_killer', (r) => isSet(r.memory?.disableOomKiller)],
  ['memory.use_hierarchy', (r) => isSet(r.memory?.useHierarchy)],
  ['cpu.realtime_runtime', (r) => isSet(r.cpu?.realtimeRuntime)],
  ['cpu.realtime_period', (r) => isSet(r.cpu?.realtimePeriod)],
  // "" takes a class away: there is none
  ['blockio_class', (r) => isSet(r.blockioClass?.value)],
  ['rdt_class', (r) => isSet(r.rdtClass?.value)],
];

/** Limits of a container in the house's words. */
export interface Limits {
  readonly resources: LinuxResources;
  /** Null: left alone; -1 for any number. */
  readonly pidsLimit: number | null;
}

const numberOf = (value: { readonly value: string } | null | undefined): number | null =>
  value === null || value === undefined ? null : Number(value.value);

/** 0 is CRI's way to say nothing. */
const givenLimit = (value: number | null): number | null => (value === 0 ? null : value);

/** Limits as they are applied. Throws unimplemented, naming what is not carried out. */
export function limitsOf(wire: WireResources): Limits {
  const refused = refusedResources.find(([, set]) => set(wire));
  if (refused) throw unimplemented(`linux.resources.${refused[0]} of an NRI plugin is not supported`);
  return {
    resources: {
      cpuPeriod: givenLimit(numberOf(wire.cpu?.period)),
      cpuQuota: givenLimit(numberOf(wire.cpu?.quota)),
      cpuShares: givenLimit(numberOf(wire.cpu?.shares)),
      cpusetCpus: wire.cpu?.cpus ?? '',
      cpusetMems: wire.cpu?.mems ?? '',
      memoryLimitBytes: givenLimit(numberOf(wire.memory?.limit)),
      memorySwapLimitBytes: givenLimit(numberOf(wire.memory?.swap)),
      oomScoreAdj: 0,
      hugepageLimits: wire.hugepageLimits.map(({ pageSize, limit }) => ({ pageSize, limit: Number(limit) })),
      unified: wire.unified,
    },
    pidsLimit: wire.pids === null ? null : Number(wire.pids.limit),
  };
}

/** The limits of a container that there is. Device rules are set when it is made. */
export function updateOf(wire: WireResources): Limits {
  if (wire.devices.length > 0)
    throw unimplemented('linux.resources.devices in an update of an NRI plugin is not supported');
  return limitsOf(wire);
}

/** A memory limit that a plugin sets without a word of swap is also that of both: there is none (as the reference has it). */
export function withoutSwap({ resources, pidsLimit }: Limits): Limits {
  const memorySwapLimitBytes = resources.memorySwapLimitBytes ?? resources.memoryLimitBytes;
  return { resources: { ...resources, memorySwapLimitBytes }, pidsLimit };
}

const wrapped = (value: number | null): { value: string } | null => (value === null ? null : { value: String(value) });

/** The house's limits as plugins are told them. */
export function resourcesToWire(from: LinuxResources | null): WireResources {
  if (from === null) return { ...noLimits(), memory: noMemory, cpu: noCpu };
  return {
    ...noLimits(),
    memory: { ...noMemory, limit: wrapped(from.memoryLimitBytes), swap: wrapped(from.memorySwapLimitBytes) },
    cpu: {
      ...noCpu,
      shares: wrapped(from.cpuShares),
      quota: wrapped(from.cpuQuota),
      period: wrapped(from.cpuPeriod),
      cpus: from.cpusetCpus,
      mems: from.cpusetMems,
    },
    hugepageLimits: from.hugepageLimits.map(({ pageSize, limit }) => ({ pageSize, limit: String(limit) })),
    unified: { ...from.unified },
  };
}
