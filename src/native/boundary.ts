// Every function of the addon, in the order of the crate `native/crates/addon`, one section a file.
// Conventions: names and order as in Rust; `null` for none, no optional properties; every export
// answers an `Outcome`, which `load.ts` turns into a value or a thrown `NativeError`.
import type { CarryExports } from './carry-calls.ts';
import type { ExportExports } from './export-calls.ts';
import type { FetchExports } from './fetch-calls.ts';
import type { SendExports } from './send-calls.ts';
import type { Outcome } from './outcome.ts';
import type { QuotaExports } from './quota-calls.ts';
import type { RootfsExports } from './rootfs-calls.ts';

export type * from './carry-calls.ts';
export type * from './export-calls.ts';
export type * from './send-calls.ts';
export type * from './fetch-calls.ts';
export type * from './outcome.ts';
export type * from './quota-calls.ts';
export type * from './rootfs-calls.ts';

// ---- process.rs

export interface ProcessExports {
  /** The kernel's boot id. */
  bootId(): Outcome<string>;
  /** Returns what the C library's heap has free to the kernel. */
  heapTrim(): Promise<Outcome<null>>;
  /** One message, lines of NAME=value, to the service manager's socket (sd_notify(3)): a path, or @ and an abstract name. */
  serviceNotify(request: { readonly socket: string; readonly message: string }): Promise<Outcome<null>>;
  /** Start time of a process (proc_pid_stat(5) field 22), null when it is gone or a zombie; a failure tells nothing of it. */
  processStartTime(pid: number): Outcome<number | null>;
  /** SIGKILL to the process with this pid and start time, and its end waited for; false when it was gone already. */
  processEnd(request: { readonly pid: number; readonly startTime: number; readonly waitMs: number }): Promise<Outcome<boolean>>;
  /** Takes the daemon's exclusive lock for the life of this process; false when another has it. */
  lockFile(path: string): Outcome<boolean>;
  /** Takes a network namespace's pin away, with the file it was bound on; false when there was none. */
  netnsUnpin(request: { readonly path: string }): Promise<Outcome<boolean>>;
  /** Copies the monitor's program into a sealed memfd; later calls do nothing. */
  prepareMonitor(program: string): Outcome<boolean>;
  /** Starts a monitor; settles when its first process has ended, with code 0 once it listens. */
  spawnMonitor(request: { readonly argv: readonly string[] }): Promise<Outcome<{ readonly code: number; readonly stderr: string }>>;
}

// ---- quota.rs: quota-calls.ts
// ---- rootfs.rs: rootfs-calls.ts
// ---- fetch.rs: fetch-calls.ts, export-calls.ts, send-calls.ts

// ---- carry.rs: carry-calls.ts

// ---- cgroups.rs

export type CgroupVersion = 'v1' | 'hybrid' | 'v2';

/** Where a process is put (`CgroupPlace` of monitor.proto). */
export interface CgroupPlace {
  readonly unifiedDir: string;
  readonly v1Tasks: readonly string[];
}

/** A cgroup's files (`CgroupFacts` of monitor.proto); empty for none. */
export interface CgroupFacts {
  readonly place: CgroupPlace;
  readonly killFile: string;
  readonly freezerDir: string;
  readonly memoryEvents: string;
  readonly procsDir: string;
  readonly devicesV1Dir: string;
  readonly devicesV2Dir: string;
}

/** Limits; `null` and empty leave alone (request) or do not exist (answer), -1 is unlimited. */
export interface CgroupResources {
  readonly cpuShares: number | null;
  /** Microseconds per period. */
  readonly cpuQuota: number | null;
  readonly cpuPeriod: number | null;
  readonly cpusetCpus: string;
  readonly cpusetMems: string;
  readonly memoryLimitBytes: number | null;
  /** Memory and swap together. */
  readonly memorySwapLimitBytes: number | null;
  readonly hugepageLimits: readonly { readonly pageSize: string; readonly limit: number }[];
  readonly pidsLimit: number | null;
  readonly unified: Readonly<Record<string, string>>;
}

/** A line of a pressure file: percentages, and microseconds since the start. */
export interface PsiLine {
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  readonly totalUs: number;
}

export interface Psi {
  readonly some: PsiLine;
  readonly full: PsiLine;
}

/** Usage of a cgroup and all below it. A part is `null` where this host does not count it. */
export interface CgroupStats {
  /** Unix nanoseconds (a double: to 256 ns) when the CPU time was read. */
  readonly timestampNs: number;
  readonly cpu: CpuStats | null;
  readonly memory: MemoryStats | null;
  readonly pids: { readonly current: number; readonly limit: number | null } | null;
  readonly io: readonly IoStats[];
  readonly psi: { readonly cpu: Psi; readonly memory: Psi; readonly io: Psi } | null;
  readonly hugetlb: readonly { readonly pageSize: string; readonly usage: number; readonly maxUsage: number | null; readonly failcnt: number }[];
}

/** Nanoseconds since the cgroup was made; throttling as counted by its own quota. */
export interface CpuStats {
  readonly usageNs: number;
  readonly userNs: number;
  readonly systemNs: number;
  /** Null without the cpu controller. */
  readonly quota: QuotaStats | null;
}

/** Periods of a CPU quota; bursts are null before Linux 5.14. */
export interface QuotaStats {
  readonly periods: number;
  readonly throttledPeriods: number;
  readonly throttledNs: number;
  readonly burstPeriods: number | null;
  readonly burstNs: number | null;
}

/** Bytes and counts. */
export interface MemoryStats {
  readonly usage: number;
  /** usage - inactive file pages, at least 0. */
  readonly workingSet: number;
  readonly rss: number;
  readonly cache: number;
  readonly mappedFile: number;
  readonly activeFile: number;
  readonly inactiveFile: number;
  /** Null where the kernel does not count it apart. */
  readonly kernel: number | null;
  readonly pageFaults: number;
  readonly majorPageFaults: number;
  /** Without those of cgroups below; v2 does not count them apart. */
  readonly ownPageFaults: number | null;
  readonly ownMajorPageFaults: number | null;
  /** limit - working set, null without a limit. */
  readonly available: number | null;
  readonly limit: number | null;
  readonly maxUsage: number | null;
  /** How often the limit was hit. */
  readonly failcnt: number;
  readonly swapUsage: number | null;
  readonly swapLimit: number | null;
  readonly oomKills: number;
}

export interface IoStats {
  readonly major: number;
  readonly minor: number;
  readonly readBytes: number;
  readonly writeBytes: number;
  readonly readOps: number;
  readonly writeOps: number;
  /** Microseconds by the io.cost controller; null where it is off. */
  readonly cost: { readonly usageUs: number; readonly waitUs: number; readonly indebtUs: number; readonly indelayUs: number } | null;
}

/** What runs in a cgroup and below it. */
export interface CgroupTasks {
  readonly processes: number;
  readonly descriptors: number;
  /** Null when a process has too many descriptors to look at each. */
  readonly sockets: number | null;
  /** Threads by state. */
  readonly states: { readonly running: number; readonly sleeping: number; readonly stopped: number; readonly uninterruptible: number; readonly ended: number };
  /** Soft limit of the main process; null when it is gone, or without a limit. */
  readonly openFilesLimit: number | null;
}

export interface CgroupsExports {
  /** What this host has; cheap after the first call. */
  cgroupDetect(): Outcome<{ readonly version: CgroupVersion; /** Whether systemd can have cgroups. */ readonly systemd: boolean }>;
  /** Makes a cgroup in every hierarchy and applies limits; undone on failure. */
  cgroupCreate(args: { readonly path: string; readonly resources: CgroupResources | null; readonly delegated: { readonly maxDescendants: number } | null }): Promise<Outcome<{ readonly facts: CgroupFacts; readonly actual: CgroupResources }>>;
  /** Hands the controllers of a delegated cgroup on, once its process is there. */
  cgroupHandOn(args: { readonly path: string; readonly pid: number }): Promise<Outcome<null>>;
  /** Changes limits, all or none; answers what the kernel then has. */
  cgroupUpdate(args: { readonly path: string; readonly resources: CgroupResources }): Promise<Outcome<CgroupResources>>;
  /** Makes the systemd scope of a cgroup that is there, with a process in it; one that is there is kept. */
  systemdStartScope(args: { readonly path: string; readonly pid: number; readonly description: string }): Promise<Outcome<null>>;
  /** Changes limits of a scope, in its files and for systemd, all or none; answers what the kernel then has. */
  systemdUpdate(args: { readonly path: string; readonly resources: CgroupResources }): Promise<Outcome<CgroupResources>>;
  /** Settles when systemd has read its units again: files that it was not told of have its own values then. */
  systemdReloaded(): Promise<Outcome<null>>;
  /** Ends the units of cgroups (scopes, slices); those that systemd does not have are no error. */
  systemdStopUnits(args: { readonly paths: readonly string[] }): Promise<Outcome<null>>;
  cgroupRead(args: { readonly path: string }): Promise<Outcome<CgroupResources>>;
  /** Removes cgroups with all below them; missing ones are no error. */
  cgroupRemove(args: { readonly paths: readonly string[] }): Promise<Outcome<null>>;
  /** SIGKILL to all until none is left, at most 10 s. */
  cgroupKill(args: { readonly path: string }): Promise<Outcome<null>>;
  cgroupProcs(args: { readonly path: string }): Promise<Outcome<readonly number[]>>;
  /** Puts a process with all its threads into a cgroup that is there; the directories where it was. */
  cgroupJoin(args: { readonly path: string; readonly pid: number }): Promise<Outcome<readonly string[]>>;
  /** Puts a process back where cgroupJoin found it; where that has gone, into the root. */
  cgroupRejoin(args: { readonly dirs: readonly string[]; readonly pid: number }): Promise<Outcome<null>>;
  /** What CRI reports, in order, encoded for it: containers, then pods (StatsReader::usage). `now` is in unix nanoseconds. */
  cgroupUsage(args: { readonly containers: readonly string[]; readonly pods: readonly string[]; readonly now: string }): Promise<Outcome<ArrayBuffer>>;
  /** One batch read of all, in order; null for a cgroup that does not exist. */
  cgroupStats(args: { readonly paths: readonly string[] }): Promise<Outcome<readonly (CgroupStats | null)[]>>;
  /** What runs in many cgroups, in order; nothing in one that does not exist. `mainPid` 0: none. */
  cgroupTasks(args: { readonly groups: readonly { readonly path: string; readonly mainPid: number }[] }): Promise<Outcome<readonly CgroupTasks[]>>;
  /** Makes the cgroup if need be and says how a process is put there. */
  cgroupMonitorLeaf(args: { readonly path: string }): Promise<Outcome<CgroupPlace>>;
}

// ---- seccomp.rs

export interface SeccompExports {
  /**
   * Compiles an OCI seccomp profile (runtime-spec `linux.seccomp`) for this machine; equal texts are
   * compiled once. `bpf` is base64 of `struct sock_filter[]`, `flags` are SECCOMP_FILTER_FLAG_*.
   */
  seccompCompile(args: { readonly profileJson: string }): Outcome<{ readonly bpf: string; readonly flags: number; readonly instructions: number }>;
}

// ---- network.rs

/** A route of a pod; `gateway` null: the destination is on the link. CIDR forms. */
export interface NetworkRoute {
  readonly destination: string;
  readonly gateway: string | null;
}

/** A veth pair as it shall be. Interface names are at most 15 bytes (IFNAMSIZ). */
export interface NetworkAttachArgs {
  /** Path of the pod's pinned network namespace. */
  readonly netns: string;
  readonly hostInterface: string;
  readonly podInterface: string;
  readonly bridge: string;
  /** Written on the host's end (IFLA_IFALIAS). */
  readonly alias: string;
  /** Bytes, both ends. */
  readonly mtu: number;
  /** Hardware address of the pod's end ("0a:58:…"), null for one drawn by the kernel. */
  readonly mac: string | null;
  /** Addresses with prefix length. */
  readonly addresses: readonly string[];
  readonly routes: readonly NetworkRoute[];
  readonly hairpin: boolean;
}

export interface NetworkBridgeArgs {
  readonly bridge: string;
  /** Written on the bridge if it is made here: says who may delete it. */
  readonly alias: string;
  /** Bytes; null leaves what is there. */
  readonly mtu: number | null;
  readonly mac: string | null;
  /** Addresses of the bridge with prefix length. */
  readonly gateways: readonly string[];
  /** Whether the host shall route (ip_forward). */
  readonly forwarding: boolean;
}

export interface NetworkRulesArgs {
  /** What rules are made with; iptables when absent. */
  readonly backend?: 'nftables';
  /** Prefix of the chains' names, or the name of the nft table, at most 16 characters. */
  readonly chains: string;
  readonly bridge: string;
  readonly subnets: readonly { readonly subnet: string; readonly masquerade: boolean }[];
  /** Place of our jump in FORWARD. */
  readonly forward: 'first' | 'last';
}

/** A port of the host that leads to a port of a pod. */
export interface NetworkHostPort {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** Null: all addresses of the host. */
  readonly hostIp: string | null;
  readonly hostPort: number;
  readonly podIp: string;
  readonly containerPort: number;
  /** The subnet whose connections get the host's address as source (hairpin), null for none. */
  readonly masqueradeFrom: string | null;
}

export interface NetworkHostPortsArgs {
  /** What rules are made with; iptables when absent. */
  readonly backend?: 'nftables';
  readonly chains: string;
  /** The sandbox's id: the tag of the rules. */
  readonly id: string;
  /** The bridge to open to connections from 127.0.0.1, null for none. */
  readonly bridge: string | null;
  readonly previous: readonly NetworkHostPort[];
  readonly wanted: readonly NetworkHostPort[];
}

export interface NetworkLink {
  readonly name: string;
  readonly alias: string;
  /** The bridge it is a port of. */
  readonly bridge: string | null;
  readonly up: boolean;
  readonly mtu: number;
}

/** Traffic since the interface was made, as the pod sees it: packets and bytes. */
export interface NetworkCounters {
  readonly name: string;
  readonly rxBytes: number;
  readonly rxPackets: number;
  readonly rxErrors: number;
  readonly rxDropped: number;
  readonly txBytes: number;
  readonly txPackets: number;
  readonly txErrors: number;
  readonly txDropped: number;
}

export interface NetworkExports {
  /** MTU of the interface of the default route, null on an isolated host. */
  networkDefaultMtu(): Promise<Outcome<number | null>>;
  /** Makes the bridge, or brings the one that exists to what is wanted. */
  networkSetupBridge(args: NetworkBridgeArgs): Promise<Outcome<{ readonly created: boolean }>>;
  /** Deletes a bridge that has this alias and no ports. */
  networkRemoveBridge(args: { readonly bridge: string; readonly alias: string }): Promise<Outcome<{ readonly removed: boolean }>>;
  /** A pod's whole connection in one call: veth pair, bridge port, addresses, routes, loopback. Repairs one that is there. */
  networkAttach(args: NetworkAttachArgs): Promise<Outcome<{ readonly mac: string; readonly created: boolean }>>;
  /** Deletes a pod's veth pair by its host end; one that is gone is fine. */
  networkDetach(args: { readonly hostInterface: string }): Promise<Outcome<{ readonly removed: boolean }>>;
  /** Brings up loopback in a network namespace. */
  networkLoopbackUp(args: { readonly netns: string }): Promise<Outcome<null>>;
  /** The host's interfaces whose name begins with the prefix. */
  networkListLinks(args: { readonly prefix: string }): Promise<Outcome<readonly NetworkLink[]>>;
  /** Traffic of many pods, in the order asked; null for one that has no network any more. */
  networkInterfaceStats(args: {
    readonly pods: readonly { readonly hostInterface: string | null; readonly podInterface: string; readonly netns: string | null }[];
  }): Promise<Outcome<readonly (readonly NetworkCounters[] | null)[]>>;
  /** Closes what reading its traffic keeps open in a pod's network namespace, which lives on by it. */
  networkForgetStats(args: { readonly netns: string }): Promise<Outcome<null>>;
  /** Makes or repairs the chains, jumps and fixed rules of a bridge (iptables-restore, nft); rules of pods stay. */
  networkEnsureRules(args: NetworkRulesArgs): Promise<Outcome<null>>;
  /** Gives a pod exactly the wanted published ports; forgets UDP flows that know it otherwise (conntrack). */
  networkSetHostPorts(args: NetworkHostPortsArgs): Promise<Outcome<{ readonly flowsForgotten: number }>>;
  /** Removes the published ports of every sandbox that is not in `live`, with either back end: whose they were. */
  networkPruneHostPorts(args: { readonly chains: string; readonly live: readonly string[] }): Promise<Outcome<readonly string[]>>;
  /** Removes every chain, jump and rule with this prefix, of either back end. */
  networkRemoveRules(args: { readonly chains: string }): Promise<Outcome<{ readonly removed: boolean }>>;
  /**
   * Takes the exclusive flock(2) on a file, made if absent; null when another has it. The number is a
   * descriptor: close it to unlock.
   */
  networkTryLock(args: { readonly path: string }): Outcome<number | null>;
  /** The same, waiting for it. */
  networkLock(args: { readonly path: string }): Promise<Outcome<number>>;
}

// ---- steps.rs
export interface StepExports {
  /** Turns labelled steps on, led by files of a directory that only this user may write to (sys/src/steps.rs); false when they are on. */
  stepsEnable(dir: string): Outcome<boolean>;
  /** Passes a step: may end the process; fails with EIO when a test has it fail. */
  stepPass(label: string): Outcome<boolean>;
}

/** The raw module, as `require` gives it. */
export type RawAddon = CarryExports & CgroupsExports & SeccompExports & StepExports & ProcessExports & QuotaExports & RootfsExports & FetchExports & ExportExports & SendExports & NetworkExports;
