// Facts of the host that plans depend on, read once at start. Must not change anything.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { release } from 'node:os';

/** What the kernel and this process's rights allow. */
export interface HostFacts {
  /** Hexadecimal mask of the daemon's permitted capabilities (/proc/self/status CapPrm). */
  readonly capabilityMask: string;
  readonly apparmor: boolean;
  /** Whether mount_setattr(2) can make mounts read-only recursively (Linux 5.12). */
  readonly recursiveReadOnly: boolean;
}

const read = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8').trim() : '');

/** Reads the facts. */
export function hostFacts(): HostFacts {
  const status = readFileSync('/proc/self/status', 'utf8');
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return {
    capabilityMask: /^CapPrm:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0',
    apparmor: read('/sys/module/apparmor/parameters/enabled') === 'Y',
    recursiveReadOnly: major > 5 || (major === 5 && minor >= 12),
  };
}

const deviceNames = new Map<string, string>();

/** "/dev/sda" of a block device by its numbers (sysfs(5) uevent); "major:minor" of one without a name. Read once. */
export function blockDeviceName(major: number, minor: number): string {
  const numbers = `${major}:${minor}`;
  const known = deviceNames.get(numbers);
  if (known !== undefined) return known;
  const name = /^DEVNAME=(\S+)$/m.exec(read(`/sys/dev/block/${numbers}/uevent`))?.[1];
  const device = name === undefined ? numbers : `/dev/${name}`;
  deviceNames.set(numbers, device);
  return device;
}

/** The cgroups of this process (proc_pid_cgroup(5)). */
export const ownCgroupTable = (): string => readFileSync('/proc/self/cgroup', 'utf8');

/**
 * "major:minor" of the whole disk that has a directory: what limits of a disk are set on, for the kernel refuses
 * partitions there. Null for a file system on no single block device (btrfs, overlay, network).
 */
export function diskOf(dir: string): string | null {
  // makedev(3)
  const dev = statSync(dir, { bigint: true }).dev;
  const major = Number(((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn));
  const minor = Number((dev & 0xffn) | ((dev >> 12n) & 0xffffff00n));
  const device = `/sys/dev/block/${major}:${minor}`;
  if (major === 0 || !existsSync(device)) return null;
  return existsSync(`${device}/partition`) ? read(`${device}/../dev`) : `${major}:${minor}`;
}
