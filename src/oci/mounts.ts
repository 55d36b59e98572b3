// PURE
// The mounts of a container, in the order they are made.
import { invalidArgument } from '../lib/failure.ts';
import type { OciIdMaps, OciMount } from './types.ts';

/** CRI Mount, as this module needs it. */
export interface RequestedMount {
  readonly containerPath: string;
  readonly hostPath: string;
  readonly readonly: boolean;
  readonly propagation: 'private' | 'host-to-container' | 'bidirectional';
  readonly recursiveReadOnly: boolean;
  readonly mountOptions: readonly string[];
  /** Present: the files are shown by the ids of the pod's user namespace. */
  readonly ids?: object;
  /** The image that is mounted, null for the host path. */
  readonly image: {
    /** Directories of its layers, topmost first, at least two. */
    readonly lower: readonly string[];
    /** "" for all of it. */
    readonly subPath: string;
  } | null;
}

export interface MountInput {
  readonly privileged: boolean;
  /** Whether its processes may divide the cgroup that they are in. */
  readonly writableCgroup: boolean;
  readonly readonlyRootfs: boolean;
  /** True: the pod's own /dev/shm, held by its monitor; false: the host's. */
  readonly podShm: boolean;
  /** The pod's files on the host, bound over the image's. */
  readonly files: { readonly hosts: string; readonly hostname: string; readonly resolvConf: string };
  readonly hostNetwork: boolean;
  /** The ids of the pod's user namespace; null: it is the host's. */
  readonly ids: OciIdMaps | null;
  readonly mounts: readonly RequestedMount[];
}

/**
 * The spec's mount type of an image volume: its layers are options `lower=DIRECTORY`, and what of it is mounted is
 * `subpath=PATH`. Init stacks them in the container's own mount namespace (ruling 3).
 */
export const imageType = 'podwright-image';

/** An image is data: never written (CRI Mount.image), and what is in it is not run unless `mount_options` says so. */
const imageOptions = ['ro', 'nosuid', 'nodev', 'noexec'];

/** The spec's mount type that stands for the pod's /dev/shm (a detached tmpfs in the monitor, ruling 3). */
export const podShmType = 'podwright-shm';

/** Group `tty` (5) owns terminals, where the pod has such a group. */
const terminalGroup = (ids: OciIdMaps | null): string[] =>
  ids === null || ids.gidMappings.some(({ size }) => size > 5) ? ['gid=5'] : [];

const kernelMounts = (input: MountInput): OciMount[] => {
  const access = input.privileged ? 'rw' : 'ro';
  const cgroupAccess = input.writableCgroup ? 'rw' : access;
  const closed = ['nosuid', 'noexec', 'nodev'];
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: closed },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', ...terminalGroup(input.ids)],
    },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: closed },
    // the sysfs of the host's network can be mounted only by the host's root
    input.ids !== null && input.hostNetwork
      ? { destination: '/sys', type: 'bind', source: '/sys', options: ['bind', 'rprivate', ...closed, access] }
      : { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...closed, access] },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: [...closed, 'relatime', cgroupAccess] },
    input.podShm
      ? { destination: '/dev/shm', type: podShmType, source: 'shm', options: closed }
      : { destination: '/dev/shm', type: 'bind', source: '/dev/shm', options: ['rbind', ...closed] },
  ];
};

const podFiles = (input: MountInput): OciMount[] => {
  const access = input.readonlyRootfs ? 'ro' : 'rw';
  const bind = (destination: string, source: string): OciMount => ({
    destination,
    type: 'bind',
    source,
    options: ['bind', 'rprivate', access],
    ...input.ids,
  });
  return [
    bind('/etc/hosts', input.files.hosts),
    bind('/etc/hostname', input.files.hostname),
    bind('/etc/resolv.conf', input.files.resolvConf),
  ];
};

const propagationOption = { private: 'rprivate', 'host-to-container': 'rslave', bidirectional: 'rshared' } as const;

function requestedMount(mount: RequestedMount, at: number, ids: OciIdMaps | null): OciMount {
  const field = `mounts[${at}]`;
  if (mount.containerPath === '') throw invalidArgument(`${field}.container_path is empty`);
  if (cleanPath(mount.containerPath) === '/') throw invalidArgument(`${field}.container_path is the root`);
  // an image's files are the pod's own, whether the request says so or not
  if (mount.image !== null) return { ...imageMount(mount, mount.image), ...ids };
  return { ...hostMount(mount, field), ...(mount.ids === undefined ? {} : ids) };
}

function imageMount(mount: RequestedMount, { lower, subPath }: NonNullable<RequestedMount['image']>): OciMount {
  const layers = lower.map((directory) => `lower=${directory}`);
  return {
    destination: cleanPath(mount.containerPath),
    type: imageType,
    source: 'image',
    options: [...imageOptions, ...mount.mountOptions, ...layers, ...(subPath === '' ? [] : [`subpath=${subPath}`])],
  };
}

function hostMount(mount: RequestedMount, field: string): OciMount {
  if (mount.hostPath === '') throw invalidArgument(`${field}.host_path is empty`);
  if (!mount.hostPath.startsWith('/')) throw invalidArgument(`${field}.host_path ${mount.hostPath} is not absolute`);
  if (mount.recursiveReadOnly && (!mount.readonly || mount.propagation !== 'private')) {
    throw invalidArgument(`${field}.recursive_read_only needs readonly and private propagation`);
  }
  const access = mount.recursiveReadOnly ? 'rro' : mount.readonly ? 'ro' : 'rw';
  return {
    destination: cleanPath(mount.containerPath),
    type: 'bind',
    source: mount.hostPath,
    options: ['rbind', propagationOption[mount.propagation], access, ...mount.mountOptions],
  };
}

/** An absolute path without `.`, `..`, doubled or trailing slashes (`..` stops at the root). */
export function cleanPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return `/${parts.join('/')}`;
}

const depth = (path: string): number => (path === '/' ? 0 : path.split('/').length - 1);

/** All mounts, parents before children; a CRI mount replaces the runtime's own at the same place. */
export function buildMounts(input: MountInput): OciMount[] {
  const asked = input.mounts.map((mount, at) => requestedMount(mount, at, input.ids));
  const taken = new Set(asked.map((m) => m.destination));
  const own = [...kernelMounts(input), ...podFiles(input)].filter((m) => !taken.has(m.destination));
  return inMountOrder([...own, ...asked]);
}

/** Parents before children, otherwise as given. */
export const inMountOrder = (mounts: readonly OciMount[]): OciMount[] =>
  mounts.toSorted((a, b) => depth(a.destination) - depth(b.destination)); // a stable sort
