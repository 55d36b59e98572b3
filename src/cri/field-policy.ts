// PURE
// What becomes of each request field (ruling 14): the one table that field-check.ts enforces and
// docs/status.md is made of. Must not look at requests.

/** What a request can ask of this host: which handlers there are. */
export interface HostOffers {
  /** Names of the runtime handlers beside our own; none without. */
  readonly handlers?: readonly string[];
}

/** What becomes of one field. */
export type FieldPolicy =
  /** Done; for a message: decided member by member. */
  | { readonly is: 'honoured' }
  /** Never looked at. `because` is for docs/status.md. */
  | { readonly is: 'ignored'; readonly because: string }
  /** A runtime handler: one that nobody has configured is INVALID_ARGUMENT. */
  | { readonly is: 'handler' };

const done: FieldPolicy = { is: 'honoured' };
const ignored = (because: string): FieldPolicy => ({ is: 'ignored', because });
const handler: FieldPolicy = { is: 'handler' };

const windows = ignored('for Windows; with no `linux` beside it the call is INVALID_ARGUMENT');
const sameSandbox = ignored('repeats what RunPodSandbox was given: the sandbox keeps that');
const byId = { container_id: done };
const bySandboxId = { pod_sandbox_id: done };

/** By request: RPCs that are served. A message named in `messages` is decided there. */
export const fieldPolicies: Readonly<Record<string, Readonly<Record<string, FieldPolicy>>>> = {
  VersionRequest: { version: ignored('the answer is the same for every version asked for') },
  StatusRequest: { verbose: done },
  RuntimeConfigRequest: {},
  UpdateRuntimeConfigRequest: { runtime_config: done },
  RuntimeConfig: { network_config: done },
  NetworkConfig: { pod_cidr: done },

  RunPodSandboxRequest: { config: done, runtime_handler: handler },
  StopPodSandboxRequest: bySandboxId,
  RemovePodSandboxRequest: bySandboxId,
  PodSandboxStatusRequest: { pod_sandbox_id: done, verbose: done },
  ListPodSandboxRequest: { filter: done },
  StreamPodSandboxesRequest: { filter: done },
  UpdatePodSandboxResourcesRequest: { pod_sandbox_id: done, overhead: done, resources: done },
  PodSandboxFilter: { id: done, state: done, label_selector: done },
  PodSandboxStateValue: { state: done },
  PodSandboxConfig: {
    metadata: done,
    hostname: done,
    log_directory: done,
    dns_config: done,
    port_mappings: done,
    labels: done,
    annotations: done,
    linux: done,
    windows,
  },
  PodSandboxMetadata: { name: done, uid: done, namespace: done, attempt: done },
  DNSConfig: { servers: done, searches: done, options: done },
  PortMapping: { protocol: done, container_port: done, host_port: done, host_ip: done },
  LinuxPodSandboxConfig: {
    cgroup_parent: done,
    security_context: done,
    sysctls: done,
    overhead: done,
    resources: done,
  },
  LinuxSandboxSecurityContext: {
    namespace_options: done,
    selinux_options: done,
    run_as_user: done,
    run_as_group: done,
    readonly_rootfs: done,
    supplemental_groups: done,
    supplemental_groups_policy: done,
    privileged: done,
    seccomp: done,
    apparmor: ignored('for the containers’ own profiles; of the sandbox only the pause process runs, which is ours'),
    seccomp_profile_path: done,
  },
  NamespaceOption: { network: done, pid: done, ipc: done, target_id: done, userns_options: done },
  UserNamespace: { mode: done, uids: done, gids: done },
  IDMapping: { host_id: done, container_id: done, length: done },
  Int64Value: { value: done },
  SecurityProfile: { profile_type: done, localhost_ref: done },
  SELinuxOption: { user: done, role: done, type: done, level: done },
  LinuxContainerResources: {
    cpu_period: done,
    cpu_quota: done,
    cpu_shares: done,
    memory_limit_in_bytes: done,
    oom_score_adj: done,
    cpuset_cpus: done,
    cpuset_mems: done,
    hugepage_limits: done,
    unified: done,
    memory_swap_limit_in_bytes: done,
  },
  HugepageLimit: { page_size: done, limit: done },

  CreateContainerRequest: { pod_sandbox_id: done, config: done, sandbox_config: sameSandbox },
  StartContainerRequest: byId,
  StopContainerRequest: { container_id: done, timeout: done },
  RemoveContainerRequest: byId,
  ContainerStatusRequest: { container_id: done, verbose: done },
  ReopenContainerLogRequest: byId,
  ExecSyncRequest: { container_id: done, cmd: done, timeout: done },
  ExecRequest: { container_id: done, cmd: done, tty: done, stdin: done, stdout: done, stderr: done },
  AttachRequest: { container_id: done, tty: done, stdin: done, stdout: done, stderr: done },
  PortForwardRequest: { pod_sandbox_id: done, port: done },
  UpdateContainerResourcesRequest: {
    container_id: done,
    linux: done,
    windows,
    annotations: ignored(
      'opaque hints for an update; podwright knows none, and NRI’s UpdateContainer has no place for them',
    ),
  },
  CheckpointContainerRequest: { container_id: done, location: done, timeout: done },
  CheckpointPodRequest: { pod_sandbox_id: done, output_path: done, container_ids: done, options: done },
  RestorePodRequest: {
    checkpoint_path: done,
    config: done,
    runtime_handler: done,
    options: done,
    container_configs: done,
  },
  ListContainersRequest: { filter: done },
  StreamContainersRequest: { filter: done },
  ContainerFilter: { id: done, state: done, pod_sandbox_id: done, label_selector: done },
  ContainerStateValue: { state: done },
  ContainerConfig: {
    metadata: done,
    image: done,
    command: done,
    args: done,
    working_dir: done,
    envs: done,
    mounts: done,
    devices: done,
    labels: done,
    annotations: done,
    log_path: done,
    stdin: done,
    stdin_once: done,
    tty: done,
    linux: done,
    windows,
    CDI_devices: done,
    stop_signal: done,
  },
  ContainerMetadata: { name: done, attempt: done },
  ImageSpec: {
    image: done,
    annotations: done,
    user_specified_image: done,
    runtime_handler: handler,
    image_ref: ignored('for answers, which say by it what was mounted; a request names its image by `image`'),
  },
  KeyValue: { key: done, value: done },
  Mount: {
    container_path: done,
    host_path: done,
    readonly: done,
    selinux_relabel: done,
    propagation: done,
    uidMappings: done,
    gidMappings: done,
    recursive_read_only: done,
    image: done,
    image_sub_path: done,
    mount_options: done,
  },
  CDIDevice: { name: done },
  Device: { container_path: done, host_path: done, permissions: done },
  LinuxContainerConfig: { resources: done, security_context: done },
  LinuxContainerSecurityContext: {
    capabilities: done,
    privileged: done,
    namespace_options: done,
    selinux_options: done,
    run_as_user: done,
    run_as_group: done,
    run_as_username: done,
    readonly_rootfs: done,
    supplemental_groups: done,
    supplemental_groups_policy: done,
    no_new_privs: done,
    masked_paths: done,
    readonly_paths: done,
    seccomp: done,
    apparmor: done,
    apparmor_profile: done,
    seccomp_profile_path: done,
  },
  Capability: { add_capabilities: done, drop_capabilities: done, add_ambient_capabilities: done },

  GetEventsRequest: {},
  ListMetricDescriptorsRequest: {},
  ListPodSandboxMetricsRequest: {},
  StreamPodSandboxMetricsRequest: {},

  ContainerStatsRequest: byId,
  ListContainerStatsRequest: { filter: done },
  StreamContainerStatsRequest: { filter: done },
  ContainerStatsFilter: { id: done, pod_sandbox_id: done, label_selector: done },
  PodSandboxStatsRequest: bySandboxId,
  ListPodSandboxStatsRequest: { filter: done },
  StreamPodSandboxStatsRequest: { filter: done },
  PodSandboxStatsFilter: { id: done, label_selector: done },

  PullImageRequest: {
    image: done,
    auth: done,
    sandbox_config: ignored(
      'only its metadata is read, to name the pod in the log; there is no per-pod policy or accounting yet',
    ),
  },
  AuthConfig: {
    username: done,
    password: done,
    auth: done,
    server_address: done,
    identity_token: done,
    registry_token: done,
  },
  ListImagesRequest: { filter: done },
  StreamImagesRequest: { filter: done },
  ImageFilter: { image: done },
  ImageStatusRequest: { image: done, verbose: done },
  RemoveImageRequest: { image: done },
  ImageFsInfoRequest: {},
};
