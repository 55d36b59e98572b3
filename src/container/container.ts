// PURE
// The container as a value: its config, facts, derived state and allowed transitions.
// Must not know gRPC, disks or the monitor.
import type { ContainerId, ImageId, SandboxId } from '../lib/id.ts';
import type {
  LinuxResources,
  NamespaceOptions,
  PodRuntime,
  SecurityProfile,
  SelinuxLabels,
  SelinuxOptions,
  UserNamespace,
} from '../sandbox/sandbox.ts';

/** CRI Mount, of a host path or of an image. */
export interface ContainerMount {
  readonly containerPath: string;
  /** "" for an image. */
  readonly hostPath: string;
  readonly readonly: boolean;
  readonly selinuxRelabel: boolean;
  readonly propagation: 'private' | 'host-to-container' | 'bidirectional';
  readonly recursiveReadOnly: boolean;
  /** The image that is mounted, null for a host path. */
  readonly image: ContainerImage | null;
  /** What of the image is mounted, "" for all of it. */
  readonly imageSubPath: string;
  /** As in mount(8), of those that oci/mount-options.ts allows. */
  readonly mountOptions: readonly string[];
  /** The ids by which the files are shown (an idmapped mount): those of the pod's user namespace. Absent: the host's. */
  readonly ids?: UserNamespace;
}

/** An image that a container has mounted: a root for garbage collection. */
export interface ImageVolume {
  /** Index in ContainerConfig.mounts. */
  readonly mount: number;
  readonly imageId: ImageId;
  /** Digested reference of the image, or its id. */
  readonly imageRef: string;
  /** Chain ids of its layers, bottom first. */
  readonly chain: readonly string[];
}

/** CRI Device: a node or a directory of nodes on the host. */
export interface ContainerDevice {
  readonly containerPath: string;
  readonly hostPath: string;
  /** A subset of "rwm". */
  readonly permissions: string;
}

/** CRI Capability. Names with or without `CAP_`; `ALL` first. */
export interface CapabilityOptions {
  readonly add: readonly string[];
  readonly drop: readonly string[];
  readonly addAmbient: readonly string[];
}

/** CRI LinuxContainerSecurityContext. */
export interface ContainerSecurity {
  readonly capabilities: CapabilityOptions | null;
  readonly privileged: boolean;
  readonly namespaces: NamespaceOptions;
  readonly selinux: SelinuxOptions | null;
  readonly runAsUser: number | null;
  readonly runAsUsername: string;
  readonly runAsGroup: number | null;
  readonly readonlyRootfs: boolean;
  readonly supplementalGroups: readonly number[];
  readonly supplementalGroupsPolicy: 'merge' | 'strict';
  readonly noNewPrivileges: boolean;
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  readonly seccomp: SecurityProfile | null;
  readonly apparmor: SecurityProfile | null;
}

/** CRI ContainerMetadata: (name, attempt) is the container's key within its sandbox. */
export interface ContainerMetadata {
  readonly name: string;
  readonly attempt: number;
}

/** CRI ImageSpec as far as a container keeps it. */
export interface ContainerImage {
  readonly image: string;
  readonly userSpecifiedImage: string;
  readonly runtimeHandler: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** CRI ContainerConfig on Linux, as the caller gave it. */
export interface ContainerConfig {
  readonly metadata: ContainerMetadata;
  readonly image: ContainerImage;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly workingDir: string;
  /** In order; values are opaque bytes in latin1-safe UTF-8. */
  readonly env: readonly { readonly key: string; readonly value: string }[];
  readonly mounts: readonly ContainerMount[];
  readonly devices: readonly ContainerDevice[];
  /** CDI devices by their whole names; records of earlier releases have none. */
  readonly cdiDevices?: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly logPath: string;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  readonly tty: boolean;
  readonly resources: LinuxResources | null;
  readonly security: ContainerSecurity;
  /** Linux signal name ("SIGTERM") or "" for the image's. CRI ContainerConfig.stop_signal. */
  readonly stopSignal: string;
}

/** What the user of a container really is. CRI ContainerUser.linux. */
export interface AppliedUser {
  readonly uid: number;
  readonly gid: number;
  readonly supplementalGroups: readonly number[];
}

/** The immutable half of a container's record (`container.json`). */
export interface ContainerIdentity {
  readonly id: ContainerId;
  readonly sandboxId: SandboxId;
  readonly config: ContainerConfig;
  readonly imageId: ImageId;
  /** Digested reference of the image, or its id. */
  readonly imageRef: string;
  /** Chain ids of the image's layers, bottom first: roots for garbage collection. */
  readonly chain: readonly string[];
  /** The images among its mounts; records of earlier releases have none. */
  readonly imageVolumes?: readonly ImageVolume[];
  /** Absolute path of the log, "" for none. */
  readonly logPath: string;
  readonly cgroupPath: string;
  /** What made it; null, or absent in records of 0.1: podwright itself. */
  readonly runtime?: PodRuntime | null;
  /** Its contexts; absent in older records: none. */
  readonly selinux?: SelinuxLabels;
  /** The effective stop signal, a Linux name. */
  readonly stopSignal: string;
  /** Unix nanoseconds. */
  readonly createdAt: bigint;
}

/** How a container ended. */
export interface ContainerExit {
  readonly exitCode: number;
  readonly reason: ExitReason;
  readonly message: string;
  /** Unix nanoseconds. */
  readonly finishedAt: bigint;
}

/** Reasons that the kubelet copies verbatim . */
export type ExitReason = 'Completed' | 'Error' | 'OOMKilled' | 'StartError' | 'Unknown';

/** The crash-safety marker of a container. */
export type ContainerPhase = 'creating' | 'created' | 'removing';

/** The mutable half of a container's record (`status.json`). */
export interface ContainerStatus {
  readonly phase: ContainerPhase;
  readonly pid: number;
  /** /proc/PID/stat field 22 of the main process. */
  readonly startTime: number;
  readonly bootId: string;
  /** Unix nanoseconds; 0n = not started. */
  readonly startedAt: bigint;
  readonly exit: ContainerExit | null;
  readonly user: AppliedUser;
  /** Limits as read back from the kernel. */
  readonly resources: LinuxResources | null;
  /** JSON of the seccomp policy that a plugin put in place of the config's profile; absent: none did. */
  readonly seccomp?: string;
  readonly stopRequestedAt: bigint;
  readonly deliveredAt: bigint;
  /** What was clamped or left out, and why. */
  readonly notes: readonly string[];
}

/** A whole container as the index holds it; replaced, never changed. */
export interface Container {
  readonly identity: ContainerIdentity;
  readonly status: ContainerStatus;
}

/** CRI ContainerState. */
export type ContainerState = 'created' | 'running' | 'exited' | 'unknown';

/** The state that follows from the facts (docs/state.md): nobody stores one. */
export function containerState(container: Container): ContainerState {
  const { status } = container;
  if (status.exit !== null) return status.exit.reason === 'Unknown' && status.startedAt === 0n ? 'unknown' : 'exited';
  return status.startedAt > 0n ? 'running' : 'created';
}

/** Whether it runs and nobody has begun to end it. */
export const goesOn = (container: Container | undefined): boolean =>
  container?.status.phase === 'created' &&
  container.status.stopRequestedAt === 0n &&
  containerState(container) === 'running';

const allowed: Readonly<Record<'start' | 'exec' | 'update' | 'reopen-log', readonly ContainerState[]>> = {
  start: ['created'],
  exec: ['running'],
  update: ['created', 'running'],
  'reopen-log': ['running'],
};

/** Whether a verb may act on a container in this state. */
export const mayAct = (verb: keyof typeof allowed, state: ContainerState): boolean => allowed[verb].includes(state);

/** Chain ids of every layer that a container stands on: its root's and its image volumes'. */
export const chainsOf = ({ chain, imageVolumes = [] }: ContainerIdentity): string[] => [
  ...chain,
  ...imageVolumes.flatMap((volume) => volume.chain),
];

/** The key under which only one live container may exist within its sandbox. */
export const containerKey = (sandboxId: string, m: ContainerMetadata): string => `${sandboxId}/${m.name}/${m.attempt}`;

/** CRI ContainerFilter. */
export interface ContainerFilter {
  readonly id: string;
  readonly podSandboxId: string;
  readonly state: ContainerState | null;
  readonly labels: Readonly<Record<string, string>>;
}
