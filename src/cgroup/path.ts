// PURE. Where cgroups live: names of parents in both spellings, names of what we make below them.
// Must not touch the kernel or know which driver is in use.
import { invalidArgument } from '../lib/failure.ts';

/** The leaf all monitors run in (cgroupfs driver). */
export const monitorsPath = '/podwright/monitors';

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
  if (names.length > 1) return { spelling: 'systemd', path: `/${names.join('/')}` };
  return { spelling: 'systemd', path: expandSlice(last) };
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
 * The cgroup of a pod sandbox (cgroupfs driver).
 *
 * @throws invalid-argument for a parent that cannot be understood or is a systemd slice.
 */
export function sandboxCgroup(cgroupParent: string, sandboxId: string): SandboxCgroup {
  const parent = parseCgroupParent(cgroupParent);
  if (parent === null) return { path: `/podwright/pods/${sandboxId}`, owned: true };
  if (parent.spelling === 'systemd')
    throw refuse(cgroupParent, 'is a systemd slice, but the cgroup driver is cgroupfs');
  return { path: parent.path, owned: false };
}

/**
 * The cgroup of a container below its pod's. The last name is the id with cgroupfs, and
 * `podwright-<id>.scope` with systemd: cAdvisor and Falco find containers by it.
 */
export function containerCgroup(parent: CgroupParent, containerId: string): string {
  return `${parent.path}/${parent.spelling === 'systemd' ? `podwright-${containerId}.scope` : containerId}`;
}
