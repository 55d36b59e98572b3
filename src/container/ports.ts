// What the container verbs need from the hands and from the image room, as types: daemon.ts passes it in.
import type { OomKills } from '../lib/oom.ts';
import type { ImageId } from '../lib/id.ts';
import type { LinuxResources, Sandbox } from '../sandbox/sandbox.ts';
import type { Container, ContainerIdentity, ContainerStatus } from './container.ts';

/** The index over container records. */
export interface ContainerRecords {
  readonly create: (identity: ContainerIdentity, status: ContainerStatus) => Container;
  readonly update: (id: string, patch: Partial<ContainerStatus>) => Container;
  readonly remove: (id: string) => Promise<void>;
  readonly get: (id: string) => Container | undefined;
  readonly find: (idOrPrefix: string) => Container | undefined;
  readonly list: () => Container[];
}

/** The index over sandboxes, to read. */
export interface SandboxIndex {
  readonly find: (idOrPrefix: string) => Sandbox | undefined;
  readonly get: (id: string) => Sandbox | undefined;
}

/** What a container is made from (the image room's record, in part). */
export interface ContainerImageFacts {
  readonly id: ImageId;
  /** Digested reference, or the id. */
  readonly ref: string;
  readonly chain: readonly string[];
  /** What kind of OCI artifact it is; null for an image that containers can be made from. */
  readonly artifactType: string | null;
  readonly config: {
    readonly env: readonly string[];
    readonly entrypoint: readonly string[];
    readonly cmd: readonly string[];
    readonly workingDir: string;
    readonly user: string;
    readonly stopSignal: string;
  };
}

/** An image in a container of a pod of this namespace, by what it was asked for. */
export interface ImageUse {
  readonly namespace: string;
  readonly imageId: string;
  /** CRI user_specified_image, or "". */
  readonly userSpecified: string;
  readonly requested: string;
}

/** proto CgroupFacts. */
export interface CgroupFacts {
  readonly place: { readonly unifiedDir: string; readonly v1Tasks: readonly string[] };
  readonly killFile: string;
  readonly freezerDir: string;
  readonly memoryEvents: string;
  readonly procsDir: string;
  readonly devicesV1Dir: string;
  readonly devicesV2Dir: string;
}

/** Limits as the cgroup room takes them. */
export interface CgroupResources {
  readonly cpuShares: number | null;
  readonly cpuQuota: number | null;
  readonly cpuPeriod: number | null;
  readonly cpusetCpus: string;
  readonly cpusetMems: string;
  readonly memoryLimitBytes: number | null;
  readonly memorySwapLimitBytes: number | null;
  readonly hugepageLimits: readonly { readonly pageSize: string; readonly limit: number }[];
  readonly pidsLimit: number | null;
  readonly unified: Readonly<Record<string, string>>;
}

/** A container's first process, which is in its cgroup. */
export interface CgroupMember {
  readonly path: string;
  readonly pid: number;
  readonly description: string;
  /** The limits of the creation, null for none. */
  readonly resources: CgroupResources | null;
  /** The cgroup was made with one below it that the processes may divide. */
  readonly delegated?: boolean;
}

export interface ContainerCgroups {
  /** `delegated`: with a cgroup below it that its processes may divide. */
  readonly create: (
    path: string,
    resources: CgroupResources | null,
    delegated?: { readonly maxDescendants: number } | null,
  ) => Promise<CgroupFacts>;
  /** The limits that the kernel has. */
  readonly read: (path: string) => Promise<CgroupResources>;
  readonly update: (path: string, resources: CgroupResources) => Promise<CgroupResources>;
  /** To be called once a process is in it. */
  readonly settle: (member: CgroupMember) => Promise<void>;
  readonly kill: (path: string) => Promise<void>;
  readonly remove: (paths: readonly string[]) => Promise<void>;
}

/** A container's writable layer. */
export interface Snapshots {
  /** `limitBytes` null: it may become as large as it likes. */
  readonly prepare: (
    containerId: string,
    limitBytes: number | null,
  ) => Promise<{ readonly upper: string; readonly work: string }>;
  readonly lowerDirs: (chain: readonly string[]) => readonly string[];
  readonly remove: (containerId: string) => Promise<void>;
  /** A small text file of an image's root file system; null when there is none. */
  readonly readFile: (chain: readonly string[], path: string) => Promise<string | null>;
}

/** A compiled seccomp filter; empty bytes for none. */
export interface SeccompFilter {
  readonly bpf: Buffer;
  readonly flags: number;
}

/** proto ExternalRuntime.Pod. */
export interface ExternalPod {
  readonly id: string;
  readonly bundle: string;
  readonly cgroup: CgroupFacts['place'];
}

/** proto ExternalRuntime. */
export interface ExternalRuntime {
  readonly path: string;
  readonly root: string;
  readonly args: readonly string[];
  readonly hideUnified: boolean;
  readonly flavor: 'OCI' | 'RUNSC';
  readonly pod: ExternalPod | null;
  readonly runtimePid: number;
}

/** proto Hooks. */
export interface HooksRequest {
  readonly create: boolean;
  readonly started: boolean;
  readonly stopped: boolean;
  readonly runtimePid: number;
}

/** proto Relabel. */
export interface RelabelRequest {
  /** The SELinux context. */
  readonly label: string;
  readonly sources: readonly string[];
  readonly files: readonly string[];
  readonly refused: readonly string[];
  readonly refusedTrees: readonly string[];
}

/** proto CreateContainer. */
export interface CreateContainerRequest {
  readonly containerId: string;
  readonly bundle: string;
  readonly overlay: {
    readonly lower: readonly string[];
    readonly upper: string;
    readonly work: string;
    readonly options: readonly string[];
  };
  readonly cgroup: CgroupFacts;
  readonly log: { readonly path: string; readonly maxLineBytes: number };
  readonly terminal: boolean;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  readonly seccompBpf: Buffer;
  readonly seccompFlags: number;
  readonly exitFile: string;
  readonly pid: 'POD' | 'CONTAINER' | 'NODE';
  /** The running container whose pid namespace is joined, with its pid; "" and 0 for none. */
  readonly targetContainerId: string;
  readonly targetPid: number;
  readonly killRestOnExit: boolean;
  readonly deadlineMs: number;
  readonly shm: boolean;
  /** Null: the monitor makes the container itself. */
  readonly external: ExternalRuntime | null;
  /** What is brought back instead of started; null: nothing. */
  readonly restore: RestoreRequest | null;
  /** The hooks that the monitor runs; null: there are none. */
  readonly hooks: HooksRequest | null;
  /** Sources of mounts that are given the container's SELinux context; null: none. */
  readonly relabel: RelabelRequest | null;
}

/** proto Restore. */
export interface RestoreRequest {
  /** The container's directory in a checkpoint. */
  readonly checkpoint: string;
  readonly criu: string;
  readonly choices: {
    readonly tcpEstablished: boolean;
    readonly tcpClose: boolean;
    readonly externalUnixSockets: boolean;
    readonly fileLocks: boolean;
  };
}

/** proto ExitFact in the house's types. */
export interface ExitFact {
  readonly containerId: string;
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** Of any of its processes; absent: none, or a monitor of an older release. */
  readonly oom?: OomKills;
  /** Unix nanoseconds. */
  readonly finishedAt: bigint;
  readonly started: boolean;
  /** Unix nanoseconds; 0n: never started, or not known. */
  readonly startedAt: bigint;
  readonly logDroppedBytes: number;
}

/** proto ExecSync. */
export interface ExecSyncRequest {
  readonly containerId: string;
  readonly execId: string;
  /** OCI runtime-spec process, as JSON. */
  readonly process: string;
  readonly timeoutMs: number;
  readonly maxOutputBytes: number;
  readonly seccompBpf: Buffer;
  readonly seccompFlags: number;
  readonly drainMs: number;
}

export interface ExecSyncReply {
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly timedOut: boolean;
}

/** Calls to the monitor of a sandbox. */
export interface ContainerMonitors {
  readonly isAlive: (sandboxId: string) => boolean;
  readonly createContainer: (
    sandboxId: string,
    request: CreateContainerRequest,
    signal: AbortSignal,
  ) => Promise<{ readonly pid: number; readonly startTime: number; readonly notes: readonly string[] }>;
  readonly startContainer: (
    sandboxId: string,
    containerId: string,
    signal: AbortSignal,
  ) => Promise<{ readonly pid: number; readonly startedAt: bigint }>;
  readonly stopContainer: (
    sandboxId: string,
    request: { readonly containerId: string; readonly signal: number; readonly timeoutMs: number },
    signal: AbortSignal,
  ) => Promise<{ readonly exit: ExitFact | null; readonly stuck: readonly string[] }>;
  readonly removeContainer: (sandboxId: string, containerId: string, signal: AbortSignal) => Promise<void>;
  readonly reopenLog: (sandboxId: string, containerId: string, signal: AbortSignal) => Promise<void>;
  readonly execSync: (sandboxId: string, request: ExecSyncRequest, signal: AbortSignal) => Promise<ExecSyncReply>;
  /** Kills what an exec has started; one that is not known is success. */
  readonly cancelExec: (sandboxId: string, execId: string, signal: AbortSignal) => Promise<void>;
}

export interface ContainerFiles {
  readonly podFilePaths: (sandboxId: string) => {
    readonly hosts: string;
    readonly hostname: string;
    readonly resolvConf: string;
  };
  readonly hostFiles: () => { readonly hostname: string };
  readonly bundleDir: (containerId: string) => string;
  readonly writeBundle: (containerId: string, spec: unknown) => string;
  readonly writePodBundle: (sandboxId: string, spec: unknown) => string;
  readonly readProcess: (containerId: string) => object | null;
  readonly exitFile: (containerId: string) => string;
  readonly removeBundle: (containerId: string) => Promise<void>;
}

/** Limits in the cgroup room's form; what CRI leaves out stays out. */
export const cgroupResources = (resources: LinuxResources): CgroupResources => ({
  cpuShares: resources.cpuShares,
  cpuQuota: resources.cpuQuota,
  cpuPeriod: resources.cpuPeriod,
  cpusetCpus: resources.cpusetCpus,
  cpusetMems: resources.cpusetMems,
  memoryLimitBytes: resources.memoryLimitBytes,
  memorySwapLimitBytes: resources.memorySwapLimitBytes,
  hugepageLimits: resources.hugepageLimits,
  pidsLimit: null,
  unified: resources.unified,
});
