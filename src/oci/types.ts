// PURE
// The parts of the OCI runtime-spec (1.2) and image-spec that podwright writes and reads.

/** runtime-spec `user`. */
export interface OciUser {
  readonly uid: number;
  readonly gid: number;
  readonly umask: number;
  readonly additionalGids: readonly number[];
}

/** runtime-spec `linux capabilities`: names with `CAP_`. */
export interface OciCapabilities {
  readonly bounding: readonly string[];
  readonly effective: readonly string[];
  readonly inheritable: readonly string[];
  readonly permitted: readonly string[];
  readonly ambient: readonly string[];
}

/** runtime-spec `rlimits` entry. */
export interface OciRlimit {
  readonly type: string;
  readonly soft: number;
  readonly hard: number;
}

/** runtime-spec `process`. */
export interface OciProcess {
  readonly terminal: boolean;
  readonly user: OciUser;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly capabilities: OciCapabilities;
  readonly rlimits: readonly OciRlimit[];
  readonly noNewPrivileges: boolean;
  readonly apparmorProfile?: string;
  readonly selinuxLabel?: string;
  readonly oomScoreAdj?: number;
}

/** runtime-spec `linux.uidMappings` entry. */
export interface OciIdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

/** The ids of a user namespace, or of an idmapped mount. */
export interface OciIdMaps {
  readonly uidMappings: readonly OciIdMapping[];
  readonly gidMappings: readonly OciIdMapping[];
}

/** runtime-spec `mounts` entry. */
export interface OciMount extends Partial<OciIdMaps> {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/** runtime-spec `linux.namespaces` entry. */
export interface OciNamespace {
  readonly type: 'pid' | 'network' | 'ipc' | 'uts' | 'mount' | 'cgroup' | 'user';
  readonly path?: string;
}

/** runtime-spec `linux.resources.devices` entry. */
export interface OciDeviceRule {
  readonly allow: boolean;
  readonly type?: 'a' | 'c' | 'b';
  readonly major?: number;
  readonly minor?: number;
  readonly access: string;
}

/** runtime-spec `linux.devices` entry. */
export interface OciDevice {
  readonly path: string;
  readonly type: 'c' | 'b' | 'u' | 'p';
  readonly major: number;
  readonly minor: number;
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
}

/** A device that is added to a finished spec. */
export interface DeviceEdit {
  readonly containerPath: string;
  readonly hostPath: string;
  /** A subset of "rwm". */
  readonly permissions: string;
  /** What it is; null: what the host has at `hostPath`. */
  readonly node: { readonly type: OciDevice['type']; readonly major: number; readonly minor: number } | null;
  /** Permission bits, owner and group; null for the host node's or the usual ones. */
  readonly fileMode: number | null;
  readonly uid: number | null;
  readonly gid: number | null;
}

/** runtime-spec `hooks`: the names of its lists, in the order in which a container meets them. */
export const hookKinds = [
  'prestart',
  'createRuntime',
  'createContainer',
  'startContainer',
  'poststart',
  'poststop',
] as const;
export type HookKind = (typeof hookKinds)[number];

/** runtime-spec `hooks` entry. */
export interface OciHook {
  readonly path: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
  /** Seconds. */
  readonly timeout: number;
}

/** runtime-spec `hooks`. */
export type OciHooks = Partial<Readonly<Record<HookKind, readonly OciHook[]>>>;

/** A hook that is added to a finished spec. */
export interface HookEdit extends OciHook {
  readonly kind: HookKind;
}

/** Changes to a finished spec. */
export interface SpecEdits {
  /** "KEY=value". */
  readonly env: readonly string[];
  readonly devices: readonly DeviceEdit[];
  readonly mounts: readonly OciMount[];
  readonly additionalGids: readonly number[];
  readonly hooks: readonly HookEdit[];
}

/** runtime-spec `config.json`. */
export interface OciSpec {
  readonly ociVersion: '1.2.0';
  readonly process: OciProcess;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly hostname: string;
  readonly mounts: readonly OciMount[];
  readonly hooks?: OciHooks;
  readonly annotations: Readonly<Record<string, string>>;
  readonly linux: Partial<OciIdMaps> & {
    readonly namespaces: readonly OciNamespace[];
    readonly devices: readonly OciDevice[];
    readonly cgroupsPath: string;
    readonly resources: { readonly devices: readonly OciDeviceRule[] };
    /** Kernel parameters of the container's namespaces; absent: none beside the pod's. */
    readonly sysctl?: Readonly<Record<string, string>>;
    readonly maskedPaths: readonly string[];
    readonly readonlyPaths: readonly string[];
    readonly mountLabel?: string;
  };
}

/** image-spec config, the part a container is made from. */
export interface OciImageConfig {
  readonly env: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly workingDir: string;
  readonly user: string;
  readonly stopSignal: string;
}
