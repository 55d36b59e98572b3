// Limits of containers as a test asks for them and as the kernel counts them, on cgroup v1 and v2.
import { mkdtempSync } from 'node:fs';
import type { ContainerConfig } from '../../src/proto/generated/cri/runtime/v1/ContainerConfig.ts';
import type { LinuxContainerResources } from '../../src/proto/generated/cri/runtime/v1/LinuxContainerResources.ts';
import { cgroupFile, hasController, legacy } from './cgroups.ts';
import { scripted } from './pods.ts';

export const mebi = 1024 * 1024;

/** Options of a daemon whose files are on a disk, not in memory, where a machine of hack/testbed has one. */
export const onDisk = process.env['TESTBED'] === undefined ? {} : { dir: mkdtempSync('/.scratch/pwt-') };

/** A container with these limits that runs a script. */
export const limited = (
  resources: LinuxContainerResources,
  script = 'sleep 3600',
  linux: ContainerConfig['linux'] = {},
): ContainerConfig => scripted(script, { linux: { ...linux, resources } });

/** The number of `key` in a file with a key and a number a line, of the container's cgroup. */
export function counted(path: string, file: string, key: string): number {
  const found = new RegExp(`^${key} (\\d+)$`, 'm').exec(cgroupFile(path, file));
  if (found === null) throw new Error(`${file} of ${path} has no ${key}`);
  return Number(found[1]);
}

/** Nanoseconds of CPU time that a cgroup has used. */
export const cpuTime = (path: string): number =>
  legacy ? Number(cgroupFile(path, 'cpuacct.usage')) : counted(path, 'cpu.stat', 'usage_usec') * 1000;

/** What says at the end of a title that a test needs cgroup v2 and one of its controllers; null where both are there. */
export function withoutV2(controller: string): string | null {
  if (legacy) return 'this host does not use cgroup v2 alone: hack/test.sh vm';
  return hasController(controller) ? null : `no ${controller} controller`;
}
