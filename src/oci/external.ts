// PURE
// The spec of a container that another OCI runtime makes: valid for runc, crun and runsc as it stands on disk, but for
// the devices known by host path only, which are filled in where the runtime is run.
import { podShmType } from './mounts.ts';
import type { OciMount, OciNamespace, OciSpec } from './types.ts';

/** CRI LinuxContainerResources as the spec needs them; null leaves a limit alone. */
export interface SpecResources {
  readonly cpuShares: number | null;
  readonly cpuQuota: number | null;
  readonly cpuPeriod: number | null;
  readonly cpusetCpus: string;
  readonly cpusetMems: string;
  readonly memoryLimitBytes: number | null;
  readonly memorySwapLimitBytes: number | null;
  readonly hugepageLimits: readonly { readonly pageSize: string; readonly limit: number }[];
  readonly unified: Readonly<Record<string, string>>;
}

/** What the pod has that the runtime must be told by path. */
export interface ExternalPod {
  /** Directory of config.json: the root file system and the pod's /dev/shm are mounted in it for the runtime. */
  readonly bundle: string;
  /** Process whose ipc and uts namespaces are the pod's; null for the host's. */
  readonly ipcOf: number | null;
  readonly utsOf: number | null;
  /** Process whose pid namespace the container joins; null for none or one of its own. */
  readonly pidOf: number | null;
  /** runtime-spec `linux.seccomp`, null for no filter. */
  readonly seccomp: object | null;
  readonly resources: SpecResources | null;
  readonly annotations: Readonly<Record<string, string>>;
}

/** The oldest version that every runtime in use takes (crun 1.8 takes no other than 1.0). */
const version = '1.0.2-dev';

/** A bundle's config.json, for any runtime. */
export type ExternalSpec = Omit<OciSpec, 'ociVersion'> & { readonly ociVersion: typeof version };

const given = <T extends object>(values: T): Partial<T> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null && value !== '')) as Partial<T>;

/** runtime-spec `linux.resources` without devices. */
export function specResources(resources: SpecResources): object {
  const { hugepageLimits, unified } = resources;
  const cpu = given({
    shares: resources.cpuShares,
    quota: resources.cpuQuota,
    period: resources.cpuPeriod,
    cpus: resources.cpusetCpus,
    mems: resources.cpusetMems,
  });
  const memory = given({ limit: resources.memoryLimitBytes, swap: resources.memorySwapLimitBytes });
  return {
    ...(Object.keys(cpu).length > 0 ? { cpu } : {}),
    ...(Object.keys(memory).length > 0 ? { memory } : {}),
    ...(hugepageLimits.length > 0 ? { hugepageLimits } : {}),
    ...(Object.keys(unified).length > 0 ? { unified } : {}),
  };
}

function namespaces(own: readonly OciNamespace[], pod: ExternalPod): OciNamespace[] {
  const joined = [
    { type: 'ipc', of: pod.ipcOf },
    { type: 'uts', of: pod.utsOf },
    { type: 'pid', of: pod.pidOf },
  ] as const;
  return [...own, ...joined.flatMap(({ type, of }) => (of === null ? [] : [{ type, path: `/proc/${of}/ns/${type}` }]))];
}

const mount = (bundle: string, one: OciMount): OciMount =>
  one.type === podShmType ? { ...one, type: 'bind', source: `${bundle}/shm`, options: ['rbind', ...one.options] } : one;

/** What the root must propagate for a volume to do so (runtime-spec, rootfsPropagation). */
function rootfsPropagation(mounts: readonly OciMount[]): { readonly rootfsPropagation?: string } {
  const any = (option: string): boolean => mounts.some(({ options }) => options.includes(option));
  if (any('rshared')) return { rootfsPropagation: 'rshared' };
  return any('rslave') ? { rootfsPropagation: 'rslave' } : {};
}

/** The same container for another runtime. */
export function externalSpec(spec: OciSpec, pod: ExternalPod): ExternalSpec {
  const { linux } = spec;
  const { oomScoreAdj = 0 } = spec.process;
  return {
    ...spec,
    ociVersion: version,
    // a runtime inherits the score of who runs it, which is a monitor's
    process: { ...spec.process, oomScoreAdj },
    mounts: spec.mounts.map((one) => mount(pod.bundle, one)),
    annotations: { ...spec.annotations, ...pod.annotations },
    linux: {
      ...linux,
      ...rootfsPropagation(spec.mounts),
      namespaces: namespaces(linux.namespaces, pod),
      resources: { ...linux.resources, ...(pod.resources ? specResources(pod.resources) : {}) },
      ...(pod.seccomp === null ? {} : { seccomp: pod.seccomp }),
    },
  };
}

/** The container that a pod's gVisor sandbox is made with. */
export interface PodContainer {
  readonly id: string;
  readonly hostname: string;
  /** Path of the network namespace whose addresses the sandbox takes over; null for the host's. */
  readonly netns: string | null;
  readonly cgroupPath: string;
  readonly resources: SpecResources | null;
}

const nobody = { uid: 65_534, gid: 65_534, umask: 0o022, additionalGids: [] };
const noCapabilities = { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] };

/** It runs a program that does nothing, which the monitor puts into its root. */
export function podContainerSpec({ id, hostname, netns, cgroupPath, resources }: PodContainer): object {
  return {
    ociVersion: version,
    process: {
      terminal: false,
      user: nobody,
      args: ['/pause', 'pause'],
      env: [],
      cwd: '/',
      capabilities: noCapabilities,
      noNewPrivileges: true,
      oomScoreAdj: 0,
    },
    root: { path: 'rootfs', readonly: true },
    hostname,
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] }],
    annotations: { 'io.kubernetes.cri.container-type': 'sandbox', 'io.kubernetes.cri.sandbox-id': id },
    linux: {
      namespaces: [
        ...['pid', 'ipc', 'uts', 'mount'].map((type) => ({ type })),
        ...(netns === null ? [] : [{ type: 'network', path: netns }]),
      ],
      cgroupsPath: cgroupPath,
      resources: resources ? specResources(resources) : {},
    },
  };
}
