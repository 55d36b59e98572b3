// PURE. Where cgroups live: names of parents in both spellings, names of what we make below them.
// Must not touch the kernel.
import { invalidArgument } from '../lib/failure.ts';

/** Who makes cgroups: we alone, or systemd with us (RuntimeConfig `linux.cgroup_driver`). */
export type CgroupDriver = 'cgroupfs' | 'systemd';

/** Where our own cgroups are (ruling 9). */
export interface OwnCgroups {
  /** Parent of all that has no other. */
  readonly root: string;
  /** Where all monitors run. */
  readonly monitors: string;
  /** Where the daemon is, if it is limited and no service manager has put it anywhere. */
  readonly daemon: string;
  /** Where the process is that pulls and frees, if that is limited. */
  readonly work: string;
}

/** Ours, by driver. */
export const ownCgroups: Readonly<Record<CgroupDriver, OwnCgroups>> = {
  cgroupfs: {
    root: '/podwright',
    monitors: '/podwright/monitors',
    daemon: '/podwright/daemon',
    work: '/podwright/work',
  },
  systemd: {
    root: '/podwright.slice',
    monitors: '/podwright.slice/podwright-monitors.scope',
    daemon: '/podwright.slice/podwright-daemon.scope',
    work: '/podwright.slice/podwright-work.scope',
  },
};

/**
 * The service that a process belongs to by its `/proc/<pid>/cgroup`; null for one that no service manager started.
 * systemd has a `.service` in the path (in a v1 hierarchy of its own, or the unified tree), OpenRC `openrc` at its head.
 */
export function serviceOf(table: string): string | null {
  for (const line of table.split('\n')) {
    const [, controllers = '', ...path] = line.split(':');
    if (controllers !== '' && !controllers.startsWith('name=')) continue;
    const names = path.join(':').split('/').filter(Boolean);
    const service = names.findLast((name) => name.endsWith('.service'));
    if (service !== undefined) return service;
    const [, rc] = /^openrc(?:\.(.+))?$/.exec(names[0] ?? '') ?? [];
    if (names[0]?.startsWith('openrc')) return rc ?? names[1] ?? 'openrc';
  }
  return null;
}

/** A CRI `cgroup_parent` understood. */
export interface CgroupParent {
  /** How it was written: `/a/b`, or `a-b.slice` as the systemd driver does. */
  readonly spelling: 'cgroupfs' | 'systemd';
  /** The path in the hierarchies: `/a/b`, or `/a.slice/a-b.slice`. */
  readonly path: string;
}

const refuse = (parent: string, why: string) => invalidArgument(`cgroup_parent ${JSON.stringify(parent)} ${why}`);

/**
 * Reads a CRI LinuxPodSandboxConfig.cgroup_parent. An absolute or relative path is cgroupfs's
 * spelling; a last name ending in `.slice` is systemd's, and a bare slice name stands for the
 * nested directories systemd makes of it (systemd.slice(5)). `null` when empty.
 *
 * @throws invalid-argument when it has `..`, control characters, or is no slice name.
 */
export function parseCgroupParent(parent: string): CgroupParent | null {
  if (parent === '') return null;
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/u.test(parent)) throw refuse(parent, 'has a control character');
  const names = parent.split('/').filter((name) => name !== '' && name !== '.');
  if (names.includes('..')) throw refuse(parent, 'has a ".." in it');
  if (names.some((name) => Buffer.byteLength(name) > 255)) throw refuse(parent, 'has a name longer than 255 bytes');
  const last = names.at(-1);
  if (last === undefined) throw refuse(parent, 'is the root cgroup');
  if (!last.endsWith('.slice')) return { spelling: 'cgroupfs', path: `/${names.join('/')}` };
  const path = expandSlice(last);
  if (names.length > 1 && path !== `/${names.join('/')}`) throw refuse(parent, `is not where systemd has it: ${path}`);
  return { spelling: 'systemd', path };
}

/**
 * The directory of a slice: each dash is one step down, so `a-b.slice` is `/a.slice/a-b.slice`.
 *
 * @throws invalid-argument for a name systemd would not take.
 */
export function expandSlice(slice: string): string {
  const name = slice.slice(0, -'.slice'.length);
  if (name === '-') throw refuse(slice, 'is the root slice');
  if (name === '' || name.startsWith('-') || name.endsWith('-') || name.includes('--'))
    throw refuse(slice, 'is not a slice name');
  const parts = name.split('-');
  return parts.map((_, at) => `/${parts.slice(0, at + 1).join('-')}.slice`).join('');
}

/** A pod's cgroup: its parent's path when the CRI gives one, else one of our own. */
export interface SandboxCgroup {
  readonly path: string;
  /** Whether it is ours to make and remove. */
  readonly owned: boolean;
}

/**
 * The cgroup of a pod sandbox.
 *
 * @throws invalid-argument for a parent that cannot be understood, or is spelled for another driver: the kubelet has
 * the driver from RuntimeConfig, so its own setting was meant for another runtime.
 */
export function sandboxCgroup(driver: CgroupDriver, cgroupParent: string, sandboxId: string): SandboxCgroup {
  const parent = parseCgroupParent(cgroupParent);
  if (parent === null) {
    const path = {
      cgroupfs: `/podwright/pods/${sandboxId}`,
      systemd: expandSlice(`podwright-pods-${sandboxId}.slice`),
    };
    return { path: path[driver], owned: true };
  }
  if (parent.spelling === driver) return { path: parent.path, owned: false };
  const what = { cgroupfs: 'is no systemd slice', systemd: 'is a systemd slice' }[parent.spelling];
  throw refuse(cgroupParent, `${what}, but the cgroup driver is ${driver}`);
}

/**
 * The cgroup of a container (or of a pod's pause process) below its pod's. The last name is the id, and
 * `podwright-<id>.scope` in a slice: cAdvisor and Falco find containers by it.
 */
export const containerCgroup = (sandboxCgroupPath: string, id: string): string =>
  `${sandboxCgroupPath}/${sandboxCgroupPath.endsWith('.slice') ? scopeName(id) : id}`;

/** What the cgroup of a container or pause process is called in a slice. */
export const scopeName = (id: string): string => `podwright-${id}.scope`;

/** Whether systemd has, or may have, a unit for this cgroup. */
export const isScope = (path: string): boolean => path.endsWith('.scope');
/** Likewise of a slice. */
export const isSlice = (path: string): boolean => path.endsWith('.slice');
