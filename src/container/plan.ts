// PURE
// From a container's config, its pod and its image to the OCI spec and the names of what it will hold.
import { failedPrecondition, invalidArgument, notFound } from '../lib/failure.ts';
import type { HookedContainer } from '../oci-hooks/select.ts';
import { type BaseSpec, baseLimits, withBase } from '../oci/base-spec.ts';
import { applyEdits, noEdits } from '../oci/edits.ts';
import { cleanPath } from '../oci/mounts.ts';
import { buildSpec } from '../oci/spec.ts';
import { sysctlsForPod } from '../oci/sysctls.ts';
import type { HookEdit, OciImageConfig, OciSpec, SpecEdits } from '../oci/types.ts';
import type { ResolvedUser } from '../oci/user.ts';
import type { RequestedMount } from '../oci/mounts.ts';
import type { NamespaceMode, Sandbox, SelinuxLabels } from '../sandbox/sandbox.ts';
import { type Container, type ContainerConfig, type ContainerDevice, containerState } from './container.ts';
import { writableCgroup } from './writable-cgroup.ts';
import { specLabels } from './selinux.ts';
import { checkUserNamespace, ociIds, userNamespaceOf } from './user-namespace.ts';

/** Facts of the host and of the daemon's config that a spec depends on. */
export interface HostLimits {
  readonly capabilities: readonly string[];
  readonly defaultCapabilities: readonly string[];
  readonly rlimits: Readonly<Record<string, { readonly soft: number; readonly hard: number }>>;
  readonly ownCgroupNamespace: boolean;
  /** Why containers may not divide their cgroups on this node; null when they may. */
  readonly noWritableCgroups: string | null;
  readonly privilegedDevices: boolean;
  /** Whether devices belong to the user and group that the container asks to run as. */
  readonly ownedDevices: boolean;
}

/** The hooks of the node that a container has. */
export type SelectHooks = (container: HookedContainer) => readonly HookEdit[];

export interface PlanContainerInput {
  readonly id: string;
  readonly config: ContainerConfig;
  readonly sandbox: Sandbox;
  readonly image: OciImageConfig;
  readonly user: ResolvedUser;
  readonly cgroupPath: string;
  readonly netns: string | null;
  readonly files: { readonly hosts: string; readonly hostname: string; readonly resolvConf: string };
  readonly hostname: string;
  /** The config's mounts, images with their layers. */
  readonly mounts: readonly RequestedMount[];
  /** What its CDI devices change. */
  readonly edits: SpecEdits;
  /** What its handler's specs start from. */
  readonly base: BaseSpec;
  readonly hooks: SelectHooks;
  /** AppArmor profile, "" for none. */
  readonly apparmor: string;
  readonly selinux: SelinuxLabels | undefined;
  readonly host: HostLimits;
}

/** Refuses what contradicts itself or the sandbox; throws invalid-argument naming the field. */
export function checkContainer(config: ContainerConfig, sandbox: Sandbox): void {
  if (config.metadata.name === '') throw invalidArgument('config.metadata.name is empty');
  if (config.image.image === '') throw invalidArgument('config.image.image is empty');
  const { security } = config;
  const pod = sandbox.identity.config;
  if (security.privileged && !pod.security.privileged) {
    throw failedPrecondition('linux.security_context.privileged: the sandbox is not privileged');
  }
  checkUserNamespace(config, sandbox);
  const { runtimeHandler } = config.image;
  if (runtimeHandler !== '' && runtimeHandler !== (sandbox.identity.runtimeHandler || 'podwright')) {
    throw invalidArgument(`config.image.runtime_handler ${runtimeHandler} is not the handler of the pod`);
  }
  if (config.tty && config.stdinOnce && !config.stdin) throw invalidArgument('stdin_once needs stdin');
  if (config.logPath !== '' && pod.logDirectory === '')
    throw invalidArgument('log_path is set, but the sandbox has no log_directory');
  for (const [at, env] of config.env.entries()) {
    if (env.key === '' || env.key.includes('='))
      throw invalidArgument(`envs[${at}].key ${JSON.stringify(env.key)} is no name`);
  }
}

/** The absolute path of a container's log, "" for none; it never leaves the pod's log directory. */
export function logPathOf(config: ContainerConfig, sandbox: Sandbox): string {
  const { logDirectory } = sandbox.identity.config;
  if (config.logPath === '' || logDirectory === '') return '';
  return `${logDirectory.replace(/\/+$/, '')}${cleanPath(config.logPath)}`;
}

/** How the container's processes are numbered: in its own, the pod's, the host's or another container's pid namespace. */
export const pidMode = (config: ContainerConfig): NamespaceMode => config.security.namespaces.pid;

/** The container whose pid namespace is joined (pid TARGET), null for none. It must run, in the same pod. */
export function targetOf(
  config: ContainerConfig,
  sandbox: Sandbox,
  find: (idOrPrefix: string) => Container | undefined,
): Container | null {
  const { pid, targetId } = config.security.namespaces;
  if (pid !== 'target') return null;
  const field = 'config.linux.security_context.namespace_options.target_id';
  const target = find(targetId);
  if (!target) throw notFound(`${field}: container ${targetId} does not exist`);
  const { id, sandboxId } = target.identity;
  if (sandboxId !== sandbox.identity.id) throw invalidArgument(`${field}: container ${id} is in another pod`);
  const state = containerState(target);
  if (state !== 'running') throw failedPrecondition(`${field}: container ${id} is ${state}, not running`);
  return target;
}

/** Whose pid namespace, as a monitor is told: one that does not know targets refuses the pid. */
export const numbering = (config: ContainerConfig, target: Container | null) => {
  const mode = pidMode(config);
  return {
    pid: (mode === 'target' ? 'container' : mode).toUpperCase() as 'POD' | 'CONTAINER' | 'NODE',
    targetContainerId: target?.identity.id ?? '',
    targetPid: target?.status.pid ?? 0,
  };
};

/** Annotations in the spec by which tools tell whose container it is (containerd's keys). */
const specAnnotations = (input: PlanContainerInput): Record<string, string> => {
  const { metadata } = input.sandbox.identity.config;
  return {
    'io.kubernetes.cri.container-type': 'container',
    'io.kubernetes.cri.container-name': input.config.metadata.name,
    'io.kubernetes.cri.image-name': input.config.image.image,
    'io.kubernetes.cri.sandbox-id': input.sandbox.identity.id,
    'io.kubernetes.cri.sandbox-name': metadata.name,
    'io.kubernetes.cri.sandbox-namespace': metadata.namespace,
    'io.kubernetes.cri.sandbox-uid': metadata.uid,
  };
};

/** Only what was asked for counts: an image's user is no wish for devices. */
const owned = (
  device: ContainerDevice,
  { runAsUser, runAsGroup }: ContainerConfig['security'],
): ContainerDevice & { readonly uid?: number; readonly gid?: number } => ({
  ...device,
  ...(runAsUser === null ? {} : { uid: runAsUser }),
  ...(runAsGroup === null ? {} : { gid: runAsGroup }),
});

/** The base spec with only the kernel parameters that are neither the node's in this pod nor set by the pod itself. */
function baseFor({ base, sandbox }: PlanContainerInput): BaseSpec {
  if (Object.keys(base.sysctl).length === 0) return base;
  const { security, sysctls } = sandbox.identity.config;
  const { network, ipc, userns } = security.namespaces;
  const has = { network, ipc, userns: (userns ?? null) !== null, asked: sysctls };
  return { ...base, sysctl: sysctlsForPod(base.sysctl, has) };
}

/** The spec of a container. */
export function planContainer(input: PlanContainerInput): OciSpec {
  const { config, sandbox, user, base, host } = input;
  const { security } = config;
  const adjust = config.resources?.oomScoreAdj ?? null;
  const spec = buildSpec({
    containerId: input.id,
    command: config.command,
    args: config.args,
    workingDir: config.workingDir,
    env: config.env,
    tty: config.tty,
    mounts: input.mounts,
    devices: host.ownedDevices ? config.devices.map((device) => owned(device, security)) : config.devices,
    security: { ...security, apparmorProfile: input.apparmor, selinux: specLabels(input.selinux) },
    oomScoreAdj: adjust,
    writableCgroup: writableCgroup(config, sandbox, host.noWritableCgroups),
    // a variable that is there twice has its last value
    image: { ...input.image, env: [...base.env, ...input.image.env] },
    user,
    pod: {
      hostname: input.hostname,
      shm: sandbox.identity.config.security.namespaces.ipc !== 'node',
      pid: pidMode(config),
      netns: input.netns,
      files: input.files,
      ids: ociIds(userNamespaceOf(sandbox)),
    },
    cgroupPath: input.cgroupPath,
    host: {
      ...host,
      rlimits: baseLimits(base, host.rlimits),
      defaultCapabilities: base.capabilities ?? host.defaultCapabilities,
    },
    annotations: specAnnotations(input),
  });
  return withHooks(applyEdits(withBase(spec, baseFor(input)), input.edits), input);
}

/** With the hooks of the node, which look at what the container is without them. */
function withHooks(spec: OciSpec, { config, sandbox, hooks: select }: PlanContainerInput): OciSpec {
  const { process: program } = spec;
  const hooks = select({
    annotations: { ...config.annotations, ...sandbox.identity.config.annotations, ...spec.annotations },
    command: program.args[0] ?? '',
    hasBindMounts: config.mounts.some(({ image }) => image === null),
  });
  return hooks.length === 0 ? spec : applyEdits(spec, { ...noEdits, hooks });
}
