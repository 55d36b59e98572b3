// PURE
// The pod sandbox as a value: its config, facts, derived state and allowed transitions.
// Must not know gRPC, disks or the monitor.
import type { SandboxId } from '../lib/id.ts';

/** CRI NamespaceMode: POD shares within the pod, CONTAINER is one's own, NODE the host's. */
export type NamespaceMode = 'pod' | 'container' | 'node' | 'target';

/** CRI IDMapping: `length` ids from `containerId` on are those of the host from `hostId` on. */
export interface IdMapping {
  readonly containerId: number;
  readonly hostId: number;
  readonly length: number;
}

/** CRI UserNamespace of mode POD: one range of user ids, one of group ids, both from id 0 on and of the same length. */
export interface UserNamespace {
  readonly uids: IdMapping;
  readonly gids: IdMapping;
}

/** CRI NamespaceOption. */
export interface NamespaceOptions {
  readonly network: NamespaceMode;
  readonly pid: NamespaceMode;
  readonly ipc: NamespaceMode;
  readonly targetId: string;
  /** Null: the host's. Absent: not said, which is the pod's for a container and the host's for a sandbox. */
  readonly userns?: UserNamespace | null;
}

/** CRI PodSandboxMetadata: (name, namespace, uid, attempt) is the sandbox's key. */
export interface SandboxMetadata {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly attempt: number;
}

/** CRI PortMapping. `hostPort` 0 means none. */
export interface PortMapping {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly containerPort: number;
  readonly hostPort: number;
  readonly hostIp: string;
}

/** CRI DNSConfig; null in the config means "copy the host's resolv.conf". */
export interface DnsConfig {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

/** CRI SecurityProfile; a missing profile is unconfined and stands as null. */
export interface SecurityProfile {
  readonly type: 'runtime-default' | 'unconfined' | 'localhost';
  readonly localhostRef: string;
}

/** CRI SELinuxOption. */
export interface SelinuxOptions {
  readonly user: string;
  readonly role: string;
  readonly type: string;
  readonly level: string;
}

/** SELinux contexts: of processes, and of what is mounted for them; "" is the policy's own choice. */
export interface SelinuxLabels {
  readonly process: string;
  readonly mount: string;
}

/** CRI LinuxContainerResources; null = not given (leave alone). */
export interface LinuxResources {
  readonly cpuPeriod: number | null;
  readonly cpuQuota: number | null;
  readonly cpuShares: number | null;
  readonly memoryLimitBytes: number | null;
  readonly oomScoreAdj: number;
  readonly cpusetCpus: string;
  readonly cpusetMems: string;
  readonly hugepageLimits: readonly { readonly pageSize: string; readonly limit: number }[];
  readonly unified: Readonly<Record<string, string>>;
  readonly memorySwapLimitBytes: number | null;
}

/** CRI LinuxSandboxSecurityContext. */
export interface SandboxSecurity {
  readonly namespaces: NamespaceOptions;
  readonly selinux: SelinuxOptions | null;
  readonly runAsUser: number | null;
  readonly runAsGroup: number | null;
  readonly readonlyRootfs: boolean;
  readonly supplementalGroups: readonly number[];
  readonly supplementalGroupsPolicy: 'merge' | 'strict';
  readonly privileged: boolean;
  readonly seccomp: SecurityProfile | null;
  readonly apparmor: SecurityProfile | null;
}

/** CRI PodSandboxConfig on Linux, as the caller gave it. */
export interface SandboxConfig {
  readonly metadata: SandboxMetadata;
  readonly hostname: string;
  readonly logDirectory: string;
  readonly dns: DnsConfig | null;
  readonly portMappings: readonly PortMapping[];
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly cgroupParent: string;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly overhead: LinuxResources | null;
  readonly resources: LinuxResources | null;
  readonly security: SandboxSecurity;
}

/** An OCI runtime that makes the containers of a pod, as it was configured when the pod was made. */
export interface PodRuntime {
  readonly path: string;
  readonly args: readonly string[];
  readonly type: 'oci' | 'runsc';
  readonly hideUnifiedCgroup: boolean;
}

/** The immutable half of a sandbox's record (`sandbox.json`). */
export interface SandboxIdentity {
  readonly id: SandboxId;
  readonly config: SandboxConfig;
  readonly runtimeHandler: string;
  /** What makes the containers; null, or absent in records of 0.1: podwright itself. */
  readonly runtime?: PodRuntime | null;
  /** Unix nanoseconds. */
  readonly createdAt: bigint;
  /** cgroupfs path of the pod's cgroup: containers are made below it. */
  readonly cgroupPath: string;
  /** Whether the pod's cgroup is ours to remove (no parent was given). */
  readonly ownsCgroup: boolean;
  /** Its contexts, with a level that no other pod has; null, or absent in older records: SELinux is off. */
  readonly selinux?: SelinuxLabels | null;
}

/** The crash-safety marker of a sandbox. */
export type SandboxPhase = 'creating' | 'ready' | 'stopped' | 'removing';

/** The mutable half of a sandbox's record (`status.json`). */
export interface SandboxStatus {
  readonly phase: SandboxPhase;
  /** Primary address first; empty with the host's network. */
  readonly ips: readonly string[];
  readonly hostInterface: string | null;
  readonly monitor: MonitorIdentity | null;
  readonly pausePid: number;
  /** When StopPodSandbox was first asked for; 0n before. */
  readonly stopRequestedAt: bigint;
  /** When the answer of RunPodSandbox was handed out; 0n before (ruling 13). */
  readonly deliveredAt: bigint;
  /** What UpdatePodSandboxResources put in place of the config's; null before. */
  readonly updated: { readonly overhead: LinuxResources | null; readonly resources: LinuxResources | null } | null;
}

/** A process that is still the same one only while pid, start time and boot agree. */
export interface MonitorIdentity {
  readonly pid: number;
  /** /proc/PID/stat field 22, clock ticks since boot. */
  readonly startTime: number;
  readonly bootId: string;
  readonly version: string;
}

/** A whole sandbox as the index holds it; replaced, never changed. */
export interface Sandbox {
  readonly identity: SandboxIdentity;
  readonly status: SandboxStatus;
}

/** CRI PodSandboxState. */
export type SandboxState = 'ready' | 'not-ready';

/** READY = phase ready and the monitor's process alive (ruling 12). */
export function sandboxState(sandbox: Sandbox, monitorAlive: boolean): SandboxState {
  return sandbox.status.phase === 'ready' && monitorAlive ? 'ready' : 'not-ready';
}

const transitions: Readonly<Record<SandboxPhase, readonly SandboxPhase[]>> = {
  creating: ['ready', 'removing'],
  ready: ['stopped', 'removing'],
  stopped: ['stopped', 'removing'],
  removing: ['removing'],
};

/** Whether a sandbox may go from one phase to another. */
export const mayBecome = (from: SandboxPhase, to: SandboxPhase): boolean => transitions[from].includes(to);

/** The key under which only one live sandbox may exist. */
export const sandboxKey = (m: SandboxMetadata): string => `${m.namespace}/${m.name}/${m.uid}/${m.attempt}`;

/** What the verb answers for PodSandboxStatus. */
export interface SandboxView {
  readonly sandbox: Sandbox;
  readonly state: SandboxState;
}

/** CRI PodSandboxFilter. */
export interface SandboxFilter {
  readonly id: string;
  readonly state: SandboxState | null;
  readonly labels: Readonly<Record<string, string>>;
}
