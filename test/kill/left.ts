// What a host still holds of one runtime's pods, counted in the same way for each runtime.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupDirs } from '../helpers/cgroups.ts';
import type { Runtime } from './runtimes.ts';

/** Things left, by what they are. */
export interface Left {
  readonly mounts: readonly string[];
  readonly netns: readonly string[];
  readonly addresses: readonly string[];
  readonly interfaces: readonly string[];
  readonly processes: readonly string[];
  readonly cgroups: readonly string[];
  readonly directories: readonly string[];
}

/** The parent cgroup of all pods of a run. */
export const parentOf = (runtime: Runtime): string => `/podwright-kill-${runtime.name}-${process.pid}`;

const readOr = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // it vanished while it was looked at
  }
};
const namesIn = (path: string): string[] => (existsSync(path) ? readdirSync(path) : []);

/** Files below a directory that are named after addresses. */
function addressesIn(dir: string): string[] {
  return readdirNames(dir).filter((path) => /\/(\d+\.){3}\d+$/.test(path));
}
const readdirNames = (dir: string): string[] =>
  existsSync(dir) ? readdirSync(dir, { recursive: true, encoding: 'utf8' }).map((name) => join(dir, name)) : [];

/** Processes in the pods' cgroups, and those of the runtime that stand for a pod: the daemon itself is none. */
function processes({ places }: Runtime, parent: string): string[] {
  return namesIn('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid) || /\) [ZX]/.test(readOr(`/proc/${pid}/stat`))) return [];
    const line = readOr(`/proc/${pid}/cmdline`).replaceAll('\0', ' ');
    const stands = /^\S*(shim|conmon|podwright-monitor)/.test(line) && places.some((place) => line.includes(place));
    const inside = readOr(`/proc/${pid}/cgroup`).includes(`${parent}/`);
    return stands || inside ? [`${pid} ${line.slice(0, 80)}`] : [];
  });
}

/** Network namespaces that CNI users pin where everybody does; podwright's are among its mounts. */
const sharedPins = '/netns/cni-';

/** Looks at everything once. `before`: mounts that were there before the first pod. */
export function leftOf(runtime: Runtime, before: ReadonlySet<string>): Left {
  const parent = parentOf(runtime);
  const points = mountPoints(runtime).filter((point) => !before.has(point));
  const isNetns = (point: string): boolean => point.includes('/netns/');
  return {
    mounts: points.filter((point) => !isNetns(point)),
    netns: points.filter(isNetns),
    addresses: addressesIn(runtime.addresses),
    interfaces: namesIn(`/sys/class/net/${runtime.bridge}/brif`),
    processes: processes(runtime, parent),
    // pods' own are the caller's, as they are the kubelet's on a node; those below are the runtime's, in each hierarchy
    cgroups: [
      ...new Set(
        cgroupDirs(parent).flatMap((dir) =>
          readdirDirs(dir)
            .flatMap(readdirDirs)
            .map((each) => each.slice(dir.length)),
        ),
      ),
    ],
    directories: runtime.perPod.flatMap((dir) => namesIn(dir).map((name) => join(dir, name))),
  };
}

const readdirDirs = (dir: string): string[] =>
  readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(dir, name));

/** Mounts of the host that are this runtime's, and pins of network namespaces where peers have theirs. */
export function mountPoints({ places, name }: Runtime): string[] {
  return readOr('/proc/self/mountinfo')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter(
      (point) =>
        places.some((place) => point.startsWith(`${place}/`)) || (name !== 'podwright' && point.includes(sharedPins)),
    );
}

/** How many things of each kind. */
export const counted = (left: Left): Record<keyof Left, number> =>
  Object.fromEntries(Object.entries(left).map(([kind, list]) => [kind, (list as string[]).length])) as Record<
    keyof Left,
    number
  >;
