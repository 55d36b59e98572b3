// What the sandbox verbs need from the hands, as types: daemon.ts passes it in.
import type { SandboxIdentity, SandboxStatus, Sandbox } from './sandbox.ts';

/** The index over sandbox records. */
export interface SandboxRecords {
  readonly create: (identity: SandboxIdentity, status: SandboxStatus) => Sandbox;
  readonly update: (id: string, patch: Partial<SandboxStatus>) => Sandbox;
  readonly remove: (id: string) => Promise<void>;
  readonly get: (id: string) => Sandbox | undefined;
  readonly find: (idOrPrefix: string) => Sandbox | undefined;
  readonly list: () => Sandbox[];
}

/** Where a process is put (proto CgroupPlace). */
export interface CgroupPlace {
  readonly unifiedDir: string;
  readonly v1Tasks: readonly string[];
}

export interface SandboxCgroups {
  readonly create: (path: string, resources: null) => Promise<{ readonly place: CgroupPlace }>;
  /** To be called once a process is in it. */
  readonly settle: (member: {
    readonly path: string;
    readonly pid: number;
    readonly description: string;
    readonly resources: null;
  }) => Promise<void>;
  readonly kill: (path: string) => Promise<void>;
  readonly remove: (paths: readonly string[]) => Promise<void>;
}

/** Requests to monitors, in the form of proto/monitor.proto. */
export interface SandboxMonitors {
  readonly launch: (
    sandboxId: string,
  ) => Promise<{ readonly pid: number; readonly startTime: number; readonly version: string }>;
  readonly createSandbox: (
    sandboxId: string,
    request: CreateSandboxRequest,
    signal: AbortSignal,
  ) => Promise<{ readonly pausePid: number; readonly notes: readonly string[] }>;
  readonly shutdown: (sandboxId: string, signal: AbortSignal) => Promise<void>;
  /** Ends a monitor that lives and can never be reached again; nothing to do is success. */
  readonly endWithoutSocket: (sandboxId: string) => Promise<void>;
  readonly isAlive: (sandboxId: string) => boolean;
}

/** proto CreateSandbox. */
export interface CreateSandboxRequest {
  readonly sandboxId: string;
  readonly net: 'POD' | 'NODE';
  readonly ipc: 'POD' | 'NODE';
  readonly pid: 'POD' | 'CONTAINER' | 'NODE';
  readonly uts: 'POD' | 'NODE';
  readonly netnsPin: string;
  readonly hostname: string;
  readonly sysctls: readonly { readonly name: string; readonly value: string }[];
  readonly shmBytes: number;
  readonly pauseCgroup: CgroupPlace | null;
  readonly oomScoreAdj: number;
  /** SELinux context of /dev/shm, "" for none. */
  readonly mountLabel: string;
  /** Null: the host's user namespace. */
  readonly user: { readonly uids: IdRange; readonly gids: IdRange } | null;
}

/** proto IdMapping: `count` ids from `inside` on are those of the host from `outside` on. */
export interface IdRange {
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

/** What a network attachment needs to know of the pod. */
export interface AttachRequest {
  readonly sandboxId: string;
  readonly netns: string;
  readonly podName: string;
  readonly podNamespace: string;
  readonly podUid: string;
  readonly portMappings: readonly {
    readonly protocol: 'tcp' | 'udp' | 'sctp';
    readonly containerPort: number;
    readonly hostPort: number;
    readonly hostIp: string;
  }[];
  readonly dns: {
    readonly servers: readonly string[];
    readonly searches: readonly string[];
    readonly options: readonly string[];
  };
  readonly annotations: Readonly<Record<string, string>>;
  readonly cgroupParent: string;
}

export interface SandboxNetwork {
  readonly attach: (
    request: AttachRequest,
    signal: AbortSignal,
  ) => Promise<{ readonly ips: readonly string[]; readonly hostInterface: string | null }>;
  readonly detach: (sandboxId: string, netns: string | null) => Promise<void>;
}

export interface SandboxFiles {
  readonly hostFiles: () => { readonly hostname: string; readonly hosts: string; readonly resolvConf: string };
  readonly writePodFiles: (sandboxId: string, files: { hosts: string; hostname: string; resolvConf: string }) => void;
  readonly removeSandboxFiles: (sandboxId: string) => Promise<void>;
  readonly hasNetnsPin: (sandboxId: string) => boolean;
}

/** Stage times of one call, kept for `podwright trace`. */
export interface Stages {
  readonly stage: <T>(name: string, work: () => Promise<T>) => Promise<T>;
}
