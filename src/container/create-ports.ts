// What CreateContainer is given.
import type { ContainerId } from '../lib/id.ts';
import type { KeyedLock } from '../lib/keyed-lock.ts';
import type { BaseSpec } from '../oci/base-spec.ts';
import type { SpecEdits } from '../oci/types.ts';
import type { SecurityProfile, SelinuxLabels } from '../sandbox/sandbox.ts';
import type { Adjusted, Planned } from './adjusted.ts';
import type { ContainerConfig } from './container.ts';
import type { HostLimits, SelectHooks } from './plan.ts';
import type {
  ContainerCgroups,
  ContainerFiles,
  ContainerImageFacts,
  ContainerMonitors,
  ContainerRecords,
  ImageUse,
  SandboxIndex,
  SeccompFilter,
  Snapshots,
} from './ports.ts';
import type { LabelWish, RelabelLimits } from './selinux.ts';

export interface CreateContainerPorts {
  readonly records: ContainerRecords;
  readonly sandboxes: SandboxIndex;
  readonly locks: KeyedLock;
  readonly images: {
    readonly find: (reference: string) => ContainerImageFacts | null;
    /** Keeps layers from being swept until the returned function is called. */
    readonly hold: (chain: readonly string[]) => () => void;
    /** Fails for an image that the policy of the pod's namespace does not allow, however it came here. */
    readonly admit: (use: ImageUse, signal: AbortSignal) => Promise<void>;
  };
  readonly snapshots: Snapshots;
  readonly cgroups: ContainerCgroups;
  readonly monitors: ContainerMonitors;
  readonly files: ContainerFiles;
  /** Compiles the filter of a profile for a set of capabilities; a missing profile is no filter. */
  readonly seccomp: (profile: SecurityProfile | null, capabilities: readonly string[]) => Promise<SeccompFilter>;
  /** The AppArmor profile of a container, "" for none; fails where it cannot be applied. */
  readonly apparmor: (profile: SecurityProfile | null, privileged: boolean) => Promise<string>;
  /** The SELinux contexts of a container in a pod. */
  readonly selinux: (wish: LabelWish, pod: SelinuxLabels | null) => SelinuxLabels;
  readonly relabelLimits: RelabelLimits;
  /** What the CDI devices of a container change in its spec. */
  readonly cdi: (config: ContainerConfig) => Promise<SpecEdits>;
  /** Which hooks of the node a container has, as the node says it now. */
  readonly hooks: () => Promise<SelectHooks>;
  /** What the specs of a handler's containers start from. */
  readonly baseSpec: (runtimeHandler: string) => BaseSpec;
  /** The same profile as runtime-spec `linux.seccomp`, null for none: for runtimes that compile it themselves. */
  readonly seccompProfile: (profile: SecurityProfile | null, capabilities: readonly string[]) => Promise<object | null>;
  /** Where another runtime keeps its state of a sandbox. */
  readonly runtimeRoot: (sandboxId: string) => string;
  /** What plugins of the node change in a container before it is made. */
  readonly adjust: (planned: Planned) => Promise<Adjusted>;
  /** Compiles a whole seccomp policy, given as JSON of runtime-spec `linux.seccomp`. */
  readonly seccompPolicy: (policy: string) => SeccompFilter;
  readonly teardown: (id: string) => Promise<void>;
  readonly now: () => bigint;
  readonly newId: () => ContainerId;
  readonly bootId: string;
  /** The daemon's process: hooks are run in its namespaces. */
  readonly pid: number;
  readonly host: HostLimits;
  readonly maxLogLineBytes: number;
  /** Options of a root file system's overlay beside its directories. */
  readonly overlayOptions: readonly string[];
  /** What the node's configuration limits writable layers to, of all and of this handler's, in bytes; 0 for nothing. */
  readonly diskLimits: (runtimeHandler: string) => readonly number[];
  readonly cgroupPathOf: (sandboxCgroup: string, containerId: string) => string;
  readonly netnsPin: (sandboxId: string) => string;
  readonly stages: (
    id: string,
    name: string,
  ) => { readonly stage: <T>(name: string, work: () => Promise<T>) => Promise<T> };
  readonly onNote: (containerId: string, note: string) => void;
}
