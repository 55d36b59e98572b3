// Every function of the addon, in the order of the crate `native/crates/addon`, one section a file.
// Conventions: names and order as in Rust; `null` for none, no optional properties; every export
// answers an `Outcome`, which `load.ts` turns into a value or a thrown `NativeError`.

/** A failure as the addon reports it (native/crates/addon/src/error.rs). */
export interface NativeFailure {
  readonly operation: string;
  readonly syscall: string;
  readonly errno: number;
  readonly object: string;
  readonly message: string;
}

/** What every export returns. */
export type Outcome<T> = { readonly ok: T } | { readonly err: NativeFailure };

// ---- process.rs

export interface ProcessExports {
  /** The kernel's boot id. */
  bootId(): Outcome<string>;
  /** Start time of a process (proc_pid_stat(5) field 22), null when it is gone or a zombie. */
  processStartTime(pid: number): Outcome<number | null>;
  /** Takes the daemon's exclusive lock for the life of this process; false when another has it. */
  lockFile(path: string): Outcome<boolean>;
  /** Takes a network namespace's pin away, with the file it was bound on; false when there was none. */
  netnsUnpin(request: { readonly path: string }): Promise<Outcome<boolean>>;
  /** Copies the monitor's program into a sealed memfd; later calls do nothing. */
  prepareMonitor(program: string): Outcome<boolean>;
  /** Starts a monitor; settles when its first process has ended, with code 0 once it listens. */
  spawnMonitor(request: { readonly argv: readonly string[] }): Promise<Outcome<{ readonly code: number; readonly stderr: string }>>;
}

// ---- rootfs.rs

/** What a directory tree costs: allocated bytes (512-byte blocks times 512, a hard-linked file once) and inodes. */
export interface TreeUsage {
  readonly bytes: number;
  readonly inodes: number;
}

/** The file system under a path (statfs(2), proc_pid_mountinfo(5)). */
export interface FsInfo {
  readonly mountpoint: string;
  readonly totalBytes: number;
  /** What an unprivileged process may still write (f_bavail), as the kubelet reckons. */
  readonly availableBytes: number;
  readonly totalInodes: number;
  readonly freeInodes: number;
  /** `major:minor` of the file system's device. */
  readonly fsId: string;
}

export interface RootfsExports {
  /** Bytes and inodes of a directory tree, mount points below it not entered. */
  layerUsage(args: { readonly dir: string }): Promise<Outcome<TreeUsage>>;
  /**
   * A small file read through a stack of layer directories, topmost first, honouring whiteouts, opaque
   * directories and symlinks; `null` if the merged tree has no such file. Above `maxBytes`, or 1 MiB, fails (EFBIG).
   */
  readThrough(args: { readonly layers: readonly string[]; readonly path: string; readonly maxBytes: number }): Promise<Outcome<string | null>>;
  /** Makes `<dir>/upper` (0755) and `<dir>/work` (0700) for a container's overlay; an empty one that is there is fine. */
  prepareSnapshot(args: { readonly dir: string }): Promise<Outcome<{ readonly upper: string; readonly work: string }>>;
  /**
   * Gives the directories that a layer's tar only implied (`<layerDir>/implied`) owner, mode and time of the same
   * directories in the layers below (`diff` directories, topmost first), once those are there. Idempotent; how many were set.
   */
  inheritDirectories(args: { readonly layerDir: string; readonly below: readonly string[] }): Promise<Outcome<number>>;
  /**
   * Renames a finished staging directory to its place and syncs the parent. `committed` is false when
   * somebody else's is there already: then `from` is removed.
   */
  commitDir(args: { readonly from: string; readonly to: string }): Promise<Outcome<{ readonly committed: boolean }>>;
  /** syncfs(2) on the file system that holds `path`. */
  syncFs(args: { readonly path: string }): Promise<Outcome<null>>;
  /**
   * Renames `path` into `trashDir` (same file system, made if absent) and frees it in the background at idle
   * priority. Resolves after the rename; `removed` is false when there was nothing at `path`.
   */
  removeTree(args: { readonly path: string; readonly trashDir: string }): Promise<Outcome<{ readonly removed: boolean }>>;
  /** Frees all that is in `trashDir` and resolves when it is empty: the number of its entries removed. */
  sweepTrash(args: { readonly trashDir: string }): Promise<Outcome<{ readonly removed: number }>>;
  /** Writes a file beside `path`, syncs it if `sync`, renames it into place. `mode` is exact (no umask). */
  writeFileAtomic(args: { readonly path: string; readonly data: string; readonly mode: number; readonly sync: boolean }): Promise<Outcome<null>>;
  /** Size and room of the file system under `path`. */
  fsInfo(args: { readonly path: string }): Promise<Outcome<FsInfo>>;
}

// ---- fetch.rs
// Failures: `syscall` is the stage (FetchStage), `errno` the HTTP status for 'http' and the errno for
// 'connect' and 'disk' (0 elsewhere), `object` the digest; credentials are never in a message.

/** Where a fetch failed. */
export type FetchStage =
  | 'http' | 'tls' | 'dns' | 'connect' | 'timeout' | 'digest' | 'inflate' | 'tar' | 'limit' | 'cancel' | 'disk' | 'archive' | 'request';

/** TLS settings of one host: PEM files. `clientCert` and `clientKey` come together. */
export interface FetchTls {
  /** Trusted besides the system's store. */
  readonly caFiles: readonly string[];
  readonly clientCert: string | null;
  readonly clientKey: string | null;
  readonly skipVerify: boolean;
}

/** One blob at one host, with all that is needed to ask for it. */
export interface FetchSource {
  /** Chosen by the caller, unique among running fetches: for fetchProgress and fetchCancel. */
  readonly handle: string;
  readonly url: string;
  /** Name and value; all but Accept and User-Agent are dropped on a redirect to another host. */
  readonly headers: readonly (readonly [string, string])[];
  /** Whether plain HTTP may be spoken, to this host and where it redirects. */
  readonly allowHttp: boolean;
  readonly tls: FetchTls;
  /** `http://[user:password@]host:port` (or https, for a proxy spoken to over TLS), or null for none. */
  readonly proxy: string | null;
  readonly connectMs: number;
  /** No byte for this long: the connection is given up and resumed. */
  readonly stallMs: number;
  /** Connections at most for this blob, the first included: broken ones are resumed by Range. 1 to 20. */
  readonly attempts: number;
}

/** Bounds of one layer; beyond any of them the fetch fails with stage 'limit'. */
export interface UnpackLimits {
  readonly maxEntries: number;
  /** Bytes of the uncompressed tar, and of the files it makes. */
  readonly maxBytes: number;
  /** Uncompressed bytes for one compressed byte (looked at after the first 16 MiB). */
  readonly maxRatio: number;
  /** Components of one path. */
  readonly maxDepth: number;
  readonly maxPathBytes: number;
  /** All extended attributes of one entry, names and values. */
  readonly maxXattrBytes: number;
}

/** Where a layer goes. */
export interface LayerDestination {
  /** Made by the call (its parent exists); holds `diff/` on success, is gone on failure. */
  readonly stagingDir: string;
  /** Where the compressed blob is kept too (made by rename beside it once verified), or null. */
  readonly keepBlobPath: string | null;
}

export interface FetchLayerRequest extends FetchSource {
  readonly expected: { readonly digest: string; readonly size: number; readonly diffId: string; readonly mediaType: string };
  readonly destination: LayerDestination;
  readonly limits: UnpackLimits;
}

/** A layer that was verified, unpacked into `<stagingDir>/diff` and synced. */
export interface UnpackedLayer {
  readonly blobDigest: string;
  readonly blobBytes: number;
  readonly diffId: string;
  /** Bytes of file contents. */
  readonly unpackedBytes: number;
  readonly inodes: number;
  /** Entries of the tar. */
  readonly entries: number;
}

export interface FetchBlobRequest extends FetchSource {
  readonly expected: { readonly digest: string; readonly size: number };
  /** Written here (by rename, synced) instead of returned; null: returned, at most 8 MiB. */
  readonly keepBlobPath: string | null;
}

export interface FetchedBlob {
  /** Base64; null when it went to a file. */
  readonly data: string | null;
  readonly digest: string;
  readonly bytes: number;
}

export interface FetchProgress {
  readonly handle: string;
  /** Compressed bytes so far, and as expected. */
  readonly bytes: number;
  readonly totalBytes: number;
  readonly unpackedBytes: number;
  readonly stage: 'queued' | 'connecting' | 'downloading' | 'waiting' | 'unpacking' | 'syncing';
}

/** One file of an archive: a docker archive (tar), an OCI layout (tar or directory). */
export interface ArchiveEntry {
  readonly name: string;
  /** Of the contents in the tar; 0 in a directory. */
  readonly offset: number;
  readonly size: number;
}

export interface ArchiveIndex {
  /** What to name in archiveRead and unpackFromArchive: the path given, or a plain tar inflated into workDir. */
  readonly path: string;
  /** True when `path` is such a tar in workDir: the caller removes it at the end. */
  readonly temporary: boolean;
  /** Regular files; links inside the archive are shown with the offset and size of what they name. */
  readonly entries: readonly ArchiveEntry[];
  /** Text of manifest.json, index.json, oci-layout and repositories, as far as present. */
  readonly files: Readonly<Record<string, string>>;
}

export interface UnpackFromArchiveRequest {
  readonly handle: string;
  readonly path: string;
  readonly entry: ArchiveEntry;
  /** `digest` of the bytes as stored, null where only the diff id is known; compression is told by magic. */
  readonly expected: { readonly digest: string | null; readonly diffId: string };
  readonly destination: LayerDestination;
  readonly limits: UnpackLimits;
}

export interface FetchExports {
  /** Downloads, verifies, inflates and unpacks one layer on own threads; at most four at once, others wait. */
  fetchLayer(request: FetchLayerRequest): Promise<Outcome<UnpackedLayer>>;
  /** Downloads and verifies one blob (a config, or any blob into a file). */
  fetchBlob(request: FetchBlobRequest): Promise<Outcome<FetchedBlob>>;
  /** All fetches that run or wait. */
  fetchProgress(): Outcome<readonly FetchProgress[]>;
  /** Makes the fetch fail with stage 'cancel' soon; false if there is none of that handle. */
  fetchCancel(args: { readonly handle: string }): Outcome<boolean>;
  /** Lists an archive; a compressed one is inflated once into `workDir`. */
  archiveIndex(args: { readonly path: string; readonly workDir: string }): Promise<Outcome<ArchiveIndex>>;
  /** One file of an archive as base64, at most 8 MiB. */
  archiveRead(args: { readonly path: string; readonly entry: ArchiveEntry }): Promise<Outcome<{ readonly data: string }>>;
  /** The same pipeline as fetchLayer, from a file. */
  unpackFromArchive(request: UnpackFromArchiveRequest): Promise<Outcome<UnpackedLayer>>;
}

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
  readonly periods: number;
  readonly throttledPeriods: number;
  readonly throttledNs: number;
}

/** Bytes and counts. */
export interface MemoryStats {
  readonly usage: number;
  /** usage - inactive file pages, at least 0. */
  readonly workingSet: number;
  readonly rss: number;
  readonly cache: number;
  readonly pageFaults: number;
  readonly majorPageFaults: number;
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
}

export interface CgroupsExports {
  /** What this host has; cheap after the first call. */
  cgroupDetect(): Outcome<{ readonly version: CgroupVersion }>;
  /** Makes a cgroup in every hierarchy and applies limits; undone on failure. */
  cgroupCreate(args: { readonly path: string; readonly resources: CgroupResources | null }): Promise<Outcome<{ readonly facts: CgroupFacts; readonly actual: CgroupResources }>>;
  /** Changes limits, all or none; answers what the kernel then has. */
  cgroupUpdate(args: { readonly path: string; readonly resources: CgroupResources }): Promise<Outcome<CgroupResources>>;
  cgroupRead(args: { readonly path: string }): Promise<Outcome<CgroupResources>>;
  /** Removes cgroups with all below them; missing ones are no error. */
  cgroupRemove(args: { readonly paths: readonly string[] }): Promise<Outcome<null>>;
  /** SIGKILL to all until none is left, at most 10 s. */
  cgroupKill(args: { readonly path: string }): Promise<Outcome<null>>;
  cgroupProcs(args: { readonly path: string }): Promise<Outcome<readonly number[]>>;
  /** One batch read, in order; null for a cgroup that does not exist. */
  cgroupStats(args: { readonly paths: readonly string[] }): Promise<Outcome<readonly (CgroupStats | null)[]>>;
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
  /** Prefix of the chains' names, at most 16 characters. */
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
  /** Makes or repairs the chains, jumps and fixed rules of a bridge (iptables-restore); rules of pods stay. */
  networkEnsureRules(args: NetworkRulesArgs): Promise<Outcome<null>>;
  /** Gives a pod exactly the wanted published ports; forgets UDP flows that know it otherwise (conntrack). */
  networkSetHostPorts(args: NetworkHostPortsArgs): Promise<Outcome<{ readonly flowsForgotten: number }>>;
  /** Removes the published ports of every sandbox that is not in `live`: whose they were. */
  networkPruneHostPorts(args: { readonly chains: string; readonly live: readonly string[] }): Promise<Outcome<readonly string[]>>;
  /** Removes every chain, jump and rule with this prefix. */
  networkRemoveRules(args: { readonly chains: string }): Promise<Outcome<{ readonly removed: boolean }>>;
  /**
   * Takes the exclusive flock(2) on a file, made if absent; null when another has it. The number is a
   * descriptor: close it to unlock.
   */
  networkTryLock(args: { readonly path: string }): Outcome<number | null>;
  /** The same, waiting for it. */
  networkLock(args: { readonly path: string }): Promise<Outcome<number>>;
}

/** The raw module, as `require` gives it. */
export type RawAddon = CgroupsExports & SeccompExports & ProcessExports & RootfsExports & FetchExports & NetworkExports;
