// The verbs the gRPC border calls, in domain terms; daemon.ts fills them in.
// Must not hold logic or know protobuf.
import type { Container, ContainerConfig, ContainerFilter } from '../container/container.ts';
import type { Image } from '../image/image.ts';
import type { ContainerId, ImageId, SandboxId } from '../lib/id.ts';
import type { LinuxResources, SandboxConfig, SandboxFilter, SandboxView } from '../sandbox/sandbox.ts';
import type {
  ContainerUsage,
  FilesystemUsage,
  MetricDescriptor,
  PodMetrics,
  SandboxUsage,
  UsageFilter,
} from './usage.ts';

/** The log a border writes to; pino's loggers have this form. */
export interface CallLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What a verb knows about the call it serves. */
export interface CallContext {
  /** Fires with a Failure (`cancelled` or `deadline-exceeded`) when the caller is gone or its time is over. */
  readonly signal: AbortSignal;
  readonly requestId: string;
  /** Bare RPC name, such as `RunPodSandbox`. */
  readonly method: string;
  readonly log: CallLog;
  /** W3C `traceparent` of the caller, "" for none. */
  readonly traceparent: string;
  /** Runs `then` once when a success was handed to the caller; never when it had gone away (ruling 13). */
  readonly onDelivered: (then: () => void) => void;
}

/** One verb. Rejects with a Failure; anything else is a bug and answered as INTERNAL. */
export type Verb<In, Out> = (input: In, context: CallContext) => Promise<Out>;

/** CRI VersionResponse without what the border knows itself. */
export interface VersionInfo {
  readonly runtimeName: string;
  /** Semantic version. */
  readonly runtimeVersion: string;
}

/** CRI RuntimeCondition. */
export interface Condition {
  readonly type: 'RuntimeReady' | 'NetworkReady';
  readonly status: boolean;
  /** CamelCase word, "" when all is well. */
  readonly reason: string;
  readonly message: string;
}

/** CRI RuntimeHandler; "" is the default one. */
export interface RuntimeHandler {
  readonly name: string;
  readonly recursiveReadOnlyMounts: boolean;
  readonly userNamespaces: boolean;
}

/** CRI StatusResponse. */
export interface RuntimeStatus {
  readonly conditions: readonly Condition[];
  readonly handlers: readonly RuntimeHandler[];
  readonly supplementalGroupsPolicy: boolean;
  readonly userNamespacesHostNetwork: boolean;
  readonly mountOptions: boolean;
  /** Only looked at for a verbose request. */
  readonly info: Info;
}

/** The `info` map of verbose answers: JSON texts by name. */
export type Info = Readonly<Record<string, string>>;

/** CRI PodSandboxStatusResponse: one consistent snapshot. */
export interface SandboxStatusAnswer {
  readonly view: SandboxView;
  /** Every container of the sandbox, dead ones too. */
  readonly containers: readonly Container[];
  /** Unix nanoseconds of the snapshot, above 0. */
  readonly timestamp: bigint;
  readonly info: Info;
}

/** CRI ExecSyncResponse; both outputs together stay below 16 MiB. */
export interface ExecResult {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly exitCode: number;
}

/** An id as the caller wrote it: whole, or a unique beginning. */
export interface ById {
  readonly id: string;
}
/** An object to tell about, with `info` or without. */
export interface StatusRequest extends ById {
  readonly verbose: boolean;
}

/** CRI ContainerEventResponse: what happened, and the whole pod right after it. */
export interface ContainerEvent {
  /** Of the container, or of the sandbox itself. */
  readonly containerId: string;
  readonly type: 'created' | 'started' | 'stopped' | 'deleted';
  /** Unix nanoseconds; grows from event to event. */
  readonly createdAt: bigint;
  /** Of a sandbox that is gone: what it was last. */
  readonly sandbox: SandboxView;
  /** All that the pod has. */
  readonly containers: readonly Container[];
}

/** A container and the streams of it that a client takes. CRI ExecRequest, AttachRequest. */
export interface StreamedContainer extends ById {
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}
/** CRI PortForwardRequest. */
export interface PortForward extends ById {
  readonly ports: readonly number[];
}

/** RuntimeService. Unit of every timeout: milliseconds. */
export interface RuntimeVerbs {
  version: Verb<null, VersionInfo>;
  status: Verb<{ readonly verbose: boolean }, RuntimeStatus>;
  runtimeConfig: Verb<null, { readonly cgroupDriver: 'systemd' | 'cgroupfs' }>;
  /** `podCidr` "" = none given. */
  updateRuntimeConfig: Verb<{ readonly podCidr: string }, void>;

  runPodSandbox: Verb<{ readonly config: SandboxConfig; readonly runtimeHandler: string }, SandboxId>;
  stopPodSandbox: Verb<ById, void>;
  removePodSandbox: Verb<ById, void>;
  podSandboxStatus: Verb<StatusRequest, SandboxStatusAnswer>;
  listPodSandbox: Verb<SandboxFilter, readonly SandboxView[]>;
  updatePodSandboxResources: Verb<UpdateSandboxResources, void>;
  checkpointPod: Verb<CheckpointPod, void>;
  restorePod: Verb<RestorePod, RestoredPod>;

  createContainer: Verb<{ readonly sandboxId: string; readonly config: ContainerConfig }, ContainerId>;
  startContainer: Verb<ById, void>;
  /** `timeoutMs` 0 = kill at once. */
  stopContainer: Verb<{ readonly id: string; readonly timeoutMs: number }, void>;
  removeContainer: Verb<ById, void>;
  listContainers: Verb<ContainerFilter, readonly Container[]>;
  containerStatus: Verb<StatusRequest, { readonly container: Container; readonly info: Info }>;
  updateContainerResources: Verb<UpdateContainerResources, void>;
  checkpointContainer: Verb<CheckpointContainer, void>;
  reopenContainerLog: Verb<ById, void>;
  /** `timeoutMs` 0 = no limit of its own. Past the limit: fails with `deadline-exceeded`. */
  execSync: Verb<{ readonly id: string; readonly command: readonly string[]; readonly timeoutMs: number }, ExecResult>;
  /** These three answer a one-use URL. */
  exec: Verb<StreamedContainer & { readonly command: readonly string[] }, string>;
  attach: Verb<StreamedContainer, string>;
  portForward: Verb<PortForward, string>;

  containerStats: Verb<ById, ContainerUsage>;
  listContainerStats: Verb<UsageFilter, readonly ContainerUsage[]>;
  podSandboxStats: Verb<ById, SandboxUsage>;
  listPodSandboxStats: Verb<UsageFilter, readonly SandboxUsage[]>;

  listMetricDescriptors: Verb<null, readonly MetricDescriptor[]>;
  listPodSandboxMetrics: Verb<null, readonly PodMetrics[]>;
  /** Everything from now on, until it is returned; `sizeOf` gives the bytes that an unread event counts for. */
  containerEvents: (sizeOf: (event: ContainerEvent) => number) => AsyncIterator<ContainerEvent, undefined>;
}

/** CRI UpdatePodSandboxResourcesRequest; null leaves that part alone. */
export interface UpdateSandboxResources extends ById {
  readonly overhead: LinuxResources | null;
  readonly resources: LinuxResources | null;
}

/** CRI CheckpointContainerRequest. */
export interface CheckpointContainer extends ById {
  /** Absolute path of the archive. */
  readonly location: string;
  /** 0 = the default. */
  readonly timeoutMs: number;
}

/** CRI CheckpointPodRequest. */
export interface CheckpointPod {
  readonly sandboxId: string;
  /** Absolute path of an existing, empty directory. */
  readonly outputPath: string;
  /** At least one, each once. */
  readonly containerIds: readonly string[];
  readonly choices: {
    readonly tcpEstablished: boolean;
    readonly tcpClose: boolean;
    readonly externalUnixSockets: boolean;
    readonly fileLocks: boolean;
  };
}

/** CRI RestorePodRequest. */
export interface RestorePod {
  readonly checkpointPath: string;
  readonly config: SandboxConfig;
  readonly runtimeHandler: string;
  readonly containerConfigs: readonly ContainerConfig[];
  /** TCP connections come back closed. */
  readonly tcpClose: boolean;
}

/** CRI RestorePodResponse. */
export interface RestoredPod {
  readonly sandboxId: SandboxId;
  readonly containers: readonly { readonly name: string; readonly id: ContainerId }[];
}

/** CRI UpdateContainerResourcesRequest; null members of `resources` are left alone. */
export interface UpdateContainerResources {
  readonly id: string;
  readonly resources: LinuxResources;
  readonly annotations: Readonly<Record<string, string>>;
}

/** CRI AuthConfig; empty texts are not given. Never logged. */
export interface RegistryCredentials {
  readonly username: string;
  readonly password: string;
  /** base64 of `user:password`. */
  readonly auth: string;
  readonly serverAddress: string;
  readonly identityToken: string;
  readonly registryToken: string;
}

/** CRI ImageSpec as a request names an image. */
export interface ImageRequest {
  readonly image: string;
  readonly userSpecifiedImage: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** ImageService. */
export interface ImageVerbs {
  pullImage: Verb<PullImage, ImageId>;
  /** `image` "" = all. */
  listImages: Verb<{ readonly image: string }, readonly Image[]>;
  imageStatus: Verb<
    { readonly image: string; readonly verbose: boolean },
    { readonly image: Image | null; readonly info: Info }
  >;
  removeImage: Verb<{ readonly image: string }, void>;
  imageFsInfo: Verb<
    null,
    { readonly images: readonly FilesystemUsage[]; readonly containers: readonly FilesystemUsage[] }
  >;
}

/** CRI PullImageRequest. */
export interface PullImage {
  readonly image: ImageRequest;
  readonly credentials: RegistryCredentials | null;
  /** The pod the image is pulled for; null when not said. */
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string } | null;
}
