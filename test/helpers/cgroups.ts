// Cgroups of containers as the host sees them: files of a controller on v1, hybrid and v2 hosts, by one name.
import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { containerCgroup, sandboxCgroup } from '../../src/cgroup/path.ts';
import { cgroupMounts } from './residue.ts';

/** Whether the controllers are on v1 hierarchies here. */
export const legacy: boolean = existsSync('/sys/fs/cgroup/memory') || existsSync('/sys/fs/cgroup/cpu');

/** `cgroup.driver` of the daemons under test where the run says so; null: podwright's own default. */
export const cgroupDriver: string | null = process.env['PODWRIGHT_TEST_CGROUP_DRIVER'] ?? null;

/** Directories of a cgroup path in every hierarchy that has it. */
export const cgroupDirs = (path: string): string[] =>
  cgroupMounts()
    .map((mount) => join(mount, path))
    .filter((dir) => existsSync(dir));

/** The cgroup of a pod without `cgroup_parent`. */
export const podPath = (pod: string): string =>
  sandboxCgroup(cgroupDriver === 'systemd' ? 'systemd' : 'cgroupfs', '', pod).path;

/** The cgroup of a container in a pod without `cgroup_parent`. */
export const containerPath = (pod: string, id: string): string => containerCgroup(podPath(pod), id);

/** Whether a cgroup exists in any hierarchy. */
export const cgroupExists = (path: string): boolean => cgroupDirs(path).length > 0;

/** The trimmed content of a cgroup's file, from whichever hierarchy has it. */
export function cgroupFile(path: string, ...names: readonly string[]): string {
  for (const dir of cgroupDirs(path)) {
    for (const name of names) {
      const file = join(dir, name);
      if (existsSync(file)) return readFileSync(file, 'utf8').trim();
    }
  }
  throw new Error(`cgroup ${path} has no file ${names.join(' or ')}`);
}

/** The cgroup path of a process in the hierarchy of a controller, or in the unified one. */
export function cgroupOf(pid: number, controller: string): string {
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n');
  const named = lines.find((line) => line.split(':')[1]?.split(',').includes(controller));
  return (named ?? lines.find((line) => line.startsWith('0::')) ?? '').replace(/^\d+:[^:]*:/, '');
}

/** Removes a cgroup and all below it, in every hierarchy: for parents that a test played kubelet with. */
export function removeCgroupTree(path: string): void {
  const remove = (dir: string): void => {
    for (const entry of readdirSync(dir, { withFileTypes: true }))
      if (entry.isDirectory()) remove(join(dir, entry.name));
    rmdirSync(dir);
  };
  for (const dir of cgroupDirs(path)) remove(dir);
}

/** Whether this host has a controller, in either tree. */
export function hasController(name: string): boolean {
  if (legacy && existsSync(`/sys/fs/cgroup/${name}`)) return true;
  const file = ['/sys/fs/cgroup/cgroup.controllers', '/sys/fs/cgroup/unified/cgroup.controllers'].find(existsSync);
  return file !== undefined && readFileSync(file, 'utf8').split(/\s+/).includes(name);
}
