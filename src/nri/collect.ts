// PURE
// What all plugins together want of one container that is being made: each sees what those before it want.
import { failedPrecondition } from '../lib/failure.ts';
import { type Field, Owners } from './owners.ts';
import { claimResources, noLimits } from './resources.ts';
import { type Adjustment, type Eviction, type LinuxAdjustment, markRemoved, removed, type Update } from './wire.ts';
import type { WireContainer, WireHooks, WireResources } from './wire.ts';

/** Entries by name: null takes away what is there. */
type Entries<T> = Map<string, T | null>;

/** The lists of hooks. */
export const hookLists = [
  'prestart',
  'createRuntime',
  'createContainer',
  'startContainer',
  'poststart',
  'poststop',
] as const satisfies readonly (keyof WireHooks)[];

const noHooks = (): WireHooks => ({
  prestart: [],
  createRuntime: [],
  createContainer: [],
  startContainer: [],
  poststart: [],
  poststop: [],
});

type SimpleField = 'cgroupsPath' | 'oomScoreAdj' | 'ioPriority' | 'seccompPolicy' | 'scheduler' | 'memoryPolicy';
const simpleFields: Readonly<Record<SimpleField, Field>> = {
  cgroupsPath: 'CgroupsPath',
  oomScoreAdj: 'OomScoreAdj',
  ioPriority: 'IoPriority',
  seccompPolicy: 'SeccompPolicy',
  scheduler: 'LinuxSched',
  memoryPolicy: 'MemoryPolicy',
};
const rdtFields = { closId: 'RdtClosID', schemata: 'RdtSchemata', enableMonitoring: 'RdtEnableMonitoring' } as const;

const isGiven = (value: unknown): boolean => value !== null && value !== '';

/** Entries of a list whose names may have the mark. */
const named = <T>(list: readonly T[], nameOf: (one: T) => string): (readonly [string, T])[] =>
  list.map((one) => [nameOf(one), one]);

/** With the mark where something is taken away. */
const listed = <T>(entries: Entries<T>, gone: (name: string) => T): T[] =>
  [...entries].map(([name, one]) => one ?? gone(markRemoved(name)));

const mapped = <T>(entries: Entries<T>, gone: T): Record<string, T> =>
  Object.fromEntries([...entries].map(([name, one]) => (one === null ? [markRemoved(name), gone] : [name, one])));

/** The wishes of all plugins for one container. */
export class Collected {
  readonly owners = new Owners();
  readonly evict: Eviction[] = [];
  readonly #id: string;
  readonly #annotations: Entries<string> = new Map();
  readonly #mounts: Entries<Adjustment['mounts'][number]> = new Map();
  readonly #env: Entries<Adjustment['env'][number]> = new Map();
  readonly #devices: Entries<LinuxAdjustment['devices'][number]> = new Map();
  readonly #sysctl: Entries<string> = new Map();
  readonly #namespaces: Entries<LinuxAdjustment['namespaces'][number]> = new Map();
  readonly #netDevices: Entries<LinuxAdjustment['netDevices'][string]> = new Map();
  readonly #rlimits: Entries<Adjustment['rlimits'][number]> = new Map();
  readonly #cdi: Entries<Adjustment['CDIDevices'][number]> = new Map();
  readonly #hooks = noHooks();
  readonly #simple: Partial<Pick<LinuxAdjustment, SimpleField>> = {};
  #args: string[] = [];
  #rdt: LinuxAdjustment['rdt'] = null;
  #resources: WireResources = noLimits();

  constructor(id: string) {
    this.#id = id;
  }

  /** Adds one plugin's wishes. Throws failed-precondition on a conflict with those of another one. */
  add(wanted: Adjustment | null, plugin: string): void {
    if (wanted === null) return;
    const { linux } = wanted;
    this.#entries(this.#annotations, Object.entries(wanted.annotations), { field: 'Annotations', plugin });
    this.#entries(
      this.#mounts,
      named(wanted.mounts, (m) => m.destination),
      { field: 'Mounts', plugin },
    );
    this.#entries(
      this.#env,
      named(wanted.env, (e) => e.key),
      { field: 'Env', plugin },
    );
    this.#entries(
      this.#rlimits,
      named(wanted.rlimits, (l) => l.type),
      { field: 'Rlimits', plugin },
    );
    this.#entries(
      this.#cdi,
      named(wanted.CDIDevices, (d) => d.name),
      { field: 'CdiDevices', plugin },
    );
    this.#addArgs(wanted.args, plugin);
    this.#addHooks(wanted.hooks, plugin);
    if (linux !== null) this.#addLinux(linux, plugin);
  }

  #addLinux(linux: LinuxAdjustment, plugin: string): void {
    this.#entries(
      this.#devices,
      named(linux.devices, (d) => d.path),
      { field: 'Devices', plugin },
    );
    this.#entries(
      this.#namespaces,
      named(linux.namespaces, (n) => n.type),
      { field: 'Namespace', plugin },
    );
    this.#entries(this.#sysctl, Object.entries(linux.sysctl), { field: 'Sysctl', plugin });
    this.#entries(this.#netDevices, Object.entries(linux.netDevices), { field: 'LinuxNetDevices', plugin });
    const claimant = { id: this.#id, plugin, owners: this.owners };
    if (linux.resources !== null) this.#resources = claimResources(this.#resources, linux.resources, claimant);
    const given = (Object.keys(simpleFields) as SimpleField[]).filter((name) => isGiven(linux[name]));
    for (const name of given) {
      this.owners.claim({ id: this.#id, field: simpleFields[name] }, plugin);
      Object.assign(this.#simple, { [name]: linux[name] });
    }
    this.#addRdt(linux.rdt, plugin);
  }

  #entries<T>(
    into: Entries<T>,
    wanted: readonly (readonly [string, T])[],
    { field, plugin }: { readonly field: Field; readonly plugin: string },
  ): void {
    const place = (entry: string) => ({ id: this.#id, field, entry });
    for (const [name] of wanted) {
      const gone = removed(name);
      if (gone === null) continue;
      if (into.get(gone)) this.owners.clear(place(gone), plugin);
      into.set(gone, null);
    }
    for (const [name, one] of wanted) {
      if (removed(name) !== null) continue;
      this.owners.claim(place(name), plugin);
      into.delete(name); // the order is that of the wishes
      into.set(name, one);
    }
  }

  /** A first argument that is empty says that those of another plugin are to go. */
  #addArgs(args: readonly string[], plugin: string): void {
    if (args.length === 0) return;
    const place = { id: this.#id, field: 'Args' } as const;
    if (args[0] === '') this.owners.clear(place, plugin);
    this.owners.claim(place, plugin);
    this.#args = args[0] === '' ? args.slice(1) : [...args];
  }

  #addHooks(hooks: WireHooks | null, plugin: string): void {
    const given = hookLists.filter((list) => (hooks?.[list] ?? []).length > 0);
    for (const list of given) this.#hooks[list].push(...(hooks?.[list] ?? []));
    if (given.length > 0) this.owners.add({ id: this.#id, field: 'OciHooks' }, plugin);
  }

  #addRdt(rdt: LinuxAdjustment['rdt'], plugin: string): void {
    if (rdt === null) return;
    const names = Object.keys(rdtFields) as (keyof typeof rdtFields)[];
    if (rdt.remove) for (const name of names) this.owners.clear({ id: this.#id, field: rdtFields[name] }, plugin);
    const before = rdt.remove || this.#rdt === null ? null : this.#rdt;
    const given = names.filter((name) => rdt[name] !== null);
    for (const name of given) this.owners.claim({ id: this.#id, field: rdtFields[name] }, plugin);
    this.#rdt = {
      closId: rdt.closId ?? before?.closId ?? null,
      schemata: rdt.schemata ?? before?.schemata ?? null,
      enableMonitoring: rdt.enableMonitoring ?? before?.enableMonitoring ?? null,
      remove: given.length === 0 && (rdt.remove || before?.remove === true),
    };
  }

  /** All of it as one adjustment. */
  get adjustment(): Adjustment {
    return {
      annotations: mapped(this.#annotations, ''),
      mounts: listed(this.#mounts, (destination) => ({ destination, type: '', source: '', options: [] })),
      env: listed(this.#env, (key) => ({ key, value: '' })),
      hooks: this.#hooks,
      rlimits: listed(this.#rlimits, (type) => ({ type, hard: '0', soft: '0' })),
      CDIDevices: listed(this.#cdi, (name) => ({ name })),
      args: this.#args,
      linux: {
        devices: listed(this.#devices, (path) => ({ ...noDevice, path })),
        resources: this.#resources,
        cgroupsPath: this.#simple.cgroupsPath ?? '',
        oomScoreAdj: this.#simple.oomScoreAdj ?? null,
        ioPriority: this.#simple.ioPriority ?? null,
        seccompPolicy: this.#simple.seccompPolicy ?? null,
        namespaces: listed(this.#namespaces, (type) => ({ type, path: '' })),
        sysctl: mapped(this.#sysctl, ''),
        netDevices: mapped(this.#netDevices, { name: '' }),
        scheduler: this.#simple.scheduler ?? null,
        rdt: this.#rdt,
        memoryPolicy: this.#simple.memoryPolicy ?? null,
      },
    };
  }
}

const noDevice = { path: '', type: '', major: '0', minor: '0', fileMode: null, uid: null, gid: null };

/** Limits of other containers that plugins want changed during one call. */
export class Updates {
  readonly #owners: Owners;
  readonly #updates = new Map<string, Update>();
  /** The container that is being made: nobody updates it. */
  readonly #made: string | null;

  constructor(owners: Owners, made: string | null = null) {
    this.#owners = owners;
    this.#made = made;
  }

  /** Sets what the caller itself wants of a container: plugins change it. */
  begin(containerId: string, resources: WireResources): void {
    this.#updates.set(containerId, { containerId, linux: { resources }, ignoreFailure: false });
  }

  /** Adds one plugin's wishes. Throws failed-precondition on a conflict, unless the wish says that it may fail. */
  add(wanted: readonly Update[], plugin: string): void {
    for (const { containerId: id, linux, ignoreFailure } of wanted) {
      if (id === this.#made) throw failedPrecondition(`NRI plugin ${plugin} updates container ${id} while it is made`);
      const before = this.#updates.get(id);
      const resources = before?.linux?.resources ?? noLimits();
      try {
        const next = claimResources(resources, linux?.resources ?? noLimits(), { id, plugin, owners: this.#owners });
        const mayFail = ignoreFailure && (before?.ignoreFailure ?? true);
        this.#updates.set(id, { containerId: id, linux: { resources: next }, ignoreFailure: mayFail });
      } catch (error) {
        if (!ignoreFailure) throw error;
      }
    }
  }

  get all(): Update[] {
    return [...this.#updates.values()];
  }
}

const withEntries = <T>(before: readonly T[], nameOf: (one: T) => string, wanted: readonly T[]): T[] => {
  const all = new Map(before.map((one) => [nameOf(one), one]));
  for (const one of wanted) all.delete(removed(nameOf(one)) ?? nameOf(one));
  for (const one of wanted) if (removed(nameOf(one)) === null) all.set(nameOf(one), one);
  return [...all.values()];
};

const withNames = (before: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>) =>
  Object.fromEntries(withEntries(Object.entries(before), ([name]) => name, Object.entries(wanted))) as Record<
    string,
    string
  >;

/** The container as the next plugin sees it. */
export function seenBy(base: WireContainer, { annotations, linux, ...adjust }: Adjustment): WireContainer {
  const keyOf = (entry: string): string => entry.split('=', 1)[0] ?? '';
  const env = adjust.env.map(({ key, value }) => (removed(key) === null ? `${key}=${value}` : key));
  const hooks = base.hooks ?? noHooks();
  return {
    ...base,
    annotations: withNames(base.annotations, annotations),
    args: adjust.args.length > 0 ? adjust.args : base.args,
    env: withEntries(base.env, keyOf, env),
    mounts: withEntries(base.mounts, (m) => m.destination, adjust.mounts),
    rlimits: withEntries(base.rlimits, (l) => l.type, adjust.rlimits),
    hooks: Object.fromEntries(
      hookLists.map((list) => [list, [...hooks[list], ...(adjust.hooks?.[list] ?? [])]]),
    ) as unknown as WireHooks,
    linux: base.linux && linux ? seenLinux(base.linux, linux) : base.linux,
  };
}

function seenLinux(base: NonNullable<WireContainer['linux']>, linux: LinuxAdjustment): WireContainer['linux'] {
  const nobody = { id: '', plugin: '', owners: new Owners() };
  return {
    ...base,
    devices: withEntries(base.devices, (d) => d.path, linux.devices),
    namespaces: withEntries(base.namespaces, (n) => n.type, linux.namespaces),
    sysctl: withNames(base.sysctl, linux.sysctl),
    resources: claimResources(base.resources ?? noLimits(), linux.resources ?? noLimits(), nobody),
    oomScoreAdj: linux.oomScoreAdj ?? base.oomScoreAdj,
    ioPriority: linux.ioPriority ?? base.ioPriority,
    seccompPolicy: linux.seccompPolicy ?? base.seccompPolicy,
    scheduler: linux.scheduler ?? base.scheduler,
    cgroupsPath: linux.cgroupsPath === '' ? base.cgroupsPath : linux.cgroupsPath,
  };
}
