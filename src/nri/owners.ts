// PURE
// Which plugin has set which field of which container: two that set one field are a conflict, and neither wins.
import { failedPrecondition } from '../lib/failure.ts';
import type { WireOwners } from './wire.ts';
import { markRemoved, removed } from './wire.ts';

/** Fields that plugins can set, by their numbers (api.proto, Field). */
export const fields = {
  Annotations: 1,
  Mounts: 2,
  OciHooks: 3,
  Devices: 4,
  CdiDevices: 5,
  Env: 6,
  Args: 7,
  MemLimit: 8,
  MemReservation: 9,
  MemSwapLimit: 10,
  MemKernelLimit: 11,
  MemTCPLimit: 12,
  MemSwappiness: 13,
  MemDisableOomKiller: 14,
  MemUseHierarchy: 15,
  CPUShares: 16,
  CPUQuota: 17,
  CPUPeriod: 18,
  CPURealtimeRuntime: 19,
  CPURealtimePeriod: 20,
  CPUSetCPUs: 21,
  CPUSetMems: 22,
  PidsLimit: 23,
  HugepageLimits: 24,
  BlockioClass: 25,
  RdtClass: 26,
  CgroupsUnified: 27,
  CgroupsPath: 28,
  OomScoreAdj: 29,
  Rlimits: 30,
  IoPriority: 31,
  SeccompPolicy: 32,
  Namespace: 33,
  Sysctl: 34,
  LinuxNetDevices: 35,
  LinuxSched: 36,
  RdtClosID: 37,
  RdtSchemata: 38,
  RdtEnableMonitoring: 39,
  MemoryPolicy: 40,
} as const;

export type Field = keyof typeof fields;

/** A field of a container; `entry` names what of it is set where plugins set it entry by entry, such as a mount's path. */
export interface Place {
  readonly id: string;
  readonly field: Field;
  readonly entry?: string;
}

/** Who has set what during one call. A plugin that took something away again owns it with a mark. */
export class Owners {
  readonly #simple = new Map<string, Map<Field, string>>();
  readonly #compound = new Map<string, Map<Field, Map<string, string>>>();

  /** Notes that a plugin sets a field. Throws failed-precondition when one has, and nobody took it away since but itself. */
  claim(place: Place, plugin: string): void {
    const before = this.of(place);
    const clearer = before === null ? null : removed(before);
    if (before !== null && clearer !== plugin) {
      const what = `${place.field}${place.entry === undefined ? '' : ` ${place.entry}`}`;
      throw failedPrecondition(
        `NRI plugins ${JSON.stringify(plugin)} and ${JSON.stringify(clearer ?? before)} both set ${what}`,
      );
    }
    this.#set(place, plugin);
  }

  /** Notes that a plugin takes away what was set. */
  clear(place: Place, plugin: string): void {
    this.#set(place, markRemoved(plugin));
  }

  /** Notes one more plugin with hooks: they add up. */
  add(place: Place, plugin: string): void {
    const before = this.of(place);
    this.#set(place, before === null ? plugin : `${before},${plugin}`);
  }

  /** Whose a field is, null for nobody's. */
  of({ id, field, entry }: Place): string | null {
    const owner =
      entry === undefined ? this.#simple.get(id)?.get(field) : this.#compound.get(id)?.get(field)?.get(entry);
    return owner ?? null;
  }

  /** Entries of a field with their owners. */
  entries(id: string, field: Field): ReadonlyMap<string, string> {
    return this.#compound.get(id)?.get(field) ?? new Map();
  }

  /** For a validator. */
  toWire(): WireOwners {
    const owners: WireOwners['owners'] = {};
    for (const id of new Set([...this.#simple.keys(), ...this.#compound.keys()])) {
      const simple = [...(this.#simple.get(id) ?? [])].map(([field, owner]) => [fields[field], owner] as const);
      const compound = [...(this.#compound.get(id) ?? [])].map(
        ([field, of]) => [fields[field], { owners: Object.fromEntries(of) }] as const,
      );
      owners[id] = { simple: Object.fromEntries(simple), compound: Object.fromEntries(compound) };
    }
    return { owners };
  }

  #set({ id, field, entry }: Place, owner: string): void {
    if (entry === undefined) {
      const of = this.#simple.get(id) ?? new Map<Field, string>();
      this.#simple.set(id, of.set(field, owner));
      return;
    }
    const of = this.#compound.get(id) ?? new Map<Field, Map<string, string>>();
    this.#compound.set(id, of.set(field, (of.get(field) ?? new Map<string, string>()).set(entry, owner)));
  }
}
