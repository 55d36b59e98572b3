// CreateContainer: everything of a container but its process's first instruction.
import { buildOrClearAway, type Caller } from '../lib/creation.ts';
import { alreadyExists, failedPrecondition, notFound } from '../lib/failure.ts';
import type { ContainerId } from '../lib/id.ts';
import { allEnded } from '../lib/result-list.ts';
import { firstDifference } from '../lib/same-value.ts';
import { captured } from '../oci/captured.ts';
import { effectiveStopSignal } from '../oci/signals.ts';
import { type ResolvedUser, resolveUser } from '../oci/user.ts';
import type { SpecEdits } from '../oci/types.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { type Adjusted, adjustedCgroup, adjustedStatus, parsePolicy } from './adjusted.ts';
import {
  type Container,
  type ContainerConfig,
  type ContainerIdentity,
  containerKey,
  containerState,
  type ImageVolume,
} from './container.ts';
import { admitImages } from './admit-images.ts';
import type { CreateContainerPorts } from './create-ports.ts';
import { diskLimit } from './disk-limit.ts';
import { findImageVolumes, refuseArtifact, withLayers } from './image-volumes.ts';
import { checkHooks, hooksRequest } from './hooks.ts';
import { prepareGvisorPod } from './gvisor-pod.ts';
import { externalRuntime, outsideSpec } from './outside.ts';
import { checkCaptured, type ContainerRestore, restoreRequest } from './restored.ts';
import { checkContainer, logPathOf, numbering, planContainer, type SelectHooks, targetOf } from './plan.ts';
import { labelWish, podLabels, relabelRequest } from './selinux.ts';
import { checkUser, userNamespaceOf } from './user-namespace.ts';
import { wantsWritableCgroup, writableCgroupBounds } from './writable-cgroup.ts';
import type { CgroupMember, ContainerImageFacts, SeccompFilter } from './ports.ts';

export interface CreateContainerInput {
  readonly sandboxId: string;
  readonly config: ContainerConfig;
  /** Where its processes are brought back from; without it its program is started. */
  readonly restore?: ContainerRestore | null;
}

const never = new AbortController().signal;
const monitorDeadlineMs = 90_000;
/** When a monitor that does not keep its own deadline is given up: one that hangs must not hold the container's name. */
const hangsAfterMs = monitorDeadlineMs + 10_000;

/** Creates a container and returns its id; a retry of a call that was never answered gets the same one. */
export async function createContainer(
  ports: CreateContainerPorts,
  input: CreateContainerInput,
  caller: Caller,
): Promise<ContainerId> {
  const sandbox = readySandbox(ports, input.sandboxId);
  const sandboxId = sandbox.identity.id;
  checkContainer(input.config, sandbox);
  const key = containerKey(sandboxId, input.config.metadata);
  const arrivedAt = ports.now();
  const container = await ports.locks.run(`container ${key}`, caller.signal, async () => {
    const earlier = ports.records
      .list()
      .find((c) => c.identity.sandboxId === sandboxId && containerKey(sandboxId, c.identity.config.metadata) === key);
    return (
      (earlier && (await adoptEarlier(ports, earlier, { config: input.config, arrivedAt }))) ??
      create(ports, { ...input, sandbox }, caller.signal)
    );
  });
  const { id } = container.identity;
  caller.onDelivered(() => {
    if (ports.records.get(id)) ports.records.update(id, { deliveredAt: ports.now() });
  });
  return id;
}

/** The sandbox, when it takes containers: READY, and nobody has begun to stop it. */
function readySandbox(ports: CreateContainerPorts, idOrPrefix: string): Sandbox {
  const sandbox = ports.sandboxes.find(idOrPrefix);
  if (!sandbox) throw notFound(`sandbox ${idOrPrefix} does not exist`);
  const { identity, status } = sandbox;
  if (status.phase === 'ready' && status.stopRequestedAt === 0n && ports.monitors.isAlive(identity.id)) return sandbox;
  throw failedPrecondition(`sandbox ${identity.id} is not ready`);
}

interface Arrived {
  readonly config: ContainerConfig;
  /** When the call came: an earlier one that had not answered then is shared. */
  readonly arrivedAt: bigint;
}

async function adoptEarlier(
  ports: CreateContainerPorts,
  earlier: Container,
  { config, arrivedAt }: Arrived,
): Promise<Container | null> {
  const { identity, status } = earlier;
  if (status.phase !== 'created') {
    await ports.locks.run(`container ${identity.id}`, never, () => ports.teardown(identity.id));
    return null;
  }
  const field = firstDifference(identity.config, config);
  if (field !== null) {
    throw alreadyExists(`container ${identity.id} has the same name and attempt but another config: ${field} differs`);
  }
  const undelivered = status.deliveredAt === 0n || status.deliveredAt > arrivedAt;
  if (undelivered && containerState(earlier) === 'created') return earlier;
  throw alreadyExists(`container ${identity.id} exists for ${config.metadata.name} attempt ${config.metadata.attempt}`);
}

async function create(
  ports: CreateContainerPorts,
  input: CreateContainerInput & { readonly sandbox: Sandbox },
  signal: AbortSignal,
): Promise<Container> {
  const { config, sandbox, restore = null } = input;
  const image = ports.images.find(config.image.image);
  if (!image) throw notFound(`image ${config.image.image} is not present: pull it first`);
  refuseArtifact(image, config.image.image);
  const volumes = findImageVolumes(config, (name) => ports.images.find(name));
  const target = targetOf(config, sandbox, (id) => ports.records.find(id));
  const limit = diskLimit(config, sandbox, ports.diskLimits(sandbox.identity.runtimeHandler));
  const release = ports.images.hold([...image.chain, ...volumes.flatMap((volume) => volume.chain)]);
  try {
    await admitImages(ports.images.admit, { sandbox, config, image, volumes }, signal);
    const [user, edits, hooks, apparmor] = await Promise.all([
      containerUser(ports, config, image),
      ports.cdi(config),
      ports.hooks(),
      ports.apparmor(config.security.apparmor, config.security.privileged),
    ]);
    checkUser(user, userNamespaceOf(sandbox));
    return await createFrom(ports, config, {
      sandbox,
      image,
      user,
      volumes,
      target,
      edits,
      hooks,
      apparmor,
      restore,
      diskLimit: limit,
    });
  } finally {
    release();
  }
}

async function createFrom(ports: CreateContainerPorts, config: ContainerConfig, parts: Parts): Promise<Container> {
  const { sandbox, image, user } = parts;
  // from the record on its teardown knows of the container: one that has begun must have no later one
  readySandbox(ports, sandbox.identity.id);
  const id = ports.newId();
  const identity: ContainerIdentity = {
    id,
    sandboxId: sandbox.identity.id,
    config,
    imageId: image.id,
    imageRef: image.ref,
    chain: image.chain,
    imageVolumes: parts.volumes,
    logPath: logPathOf(config, sandbox),
    cgroupPath: ports.cgroupPathOf(sandbox.identity.cgroupPath, id),
    runtime: sandbox.identity.runtime ?? null,
    selinux: ports.selinux(labelWish(config, sandbox), podLabels(sandbox)),
    stopSignal: effectiveStopSignal(config.stopSignal, image.config.stopSignal),
    createdAt: ports.now(),
  };
  ports.records.create(identity, {
    phase: 'creating',
    pid: 0,
    startTime: 0,
    bootId: ports.bootId,
    startedAt: 0n,
    exit: null,
    user: { uid: user.uid, gid: user.gid, supplementalGroups: user.groups },
    resources: config.resources,
    stopRequestedAt: 0n,
    deliveredAt: 0n,
    notes: [],
  });
  return ports.locks.run(`container ${id}`, never, () =>
    buildOrClearAway(`container ${id}`, {
      build: () => build(ports, identity, parts).catch((error: unknown) => blameStop(ports, identity, error)),
      teardown: () => ports.teardown(id),
    }),
  );
}

/** A pod that is stopped meanwhile takes whatever is being made in it: that is why it failed, not what the step says. */
function blameStop(ports: CreateContainerPorts, { id, sandboxId }: ContainerIdentity, error: unknown): never {
  const sandbox = ports.sandboxes.get(sandboxId);
  const wanted = sandbox?.status.phase === 'ready' && sandbox.status.stopRequestedAt === 0n;
  if (wanted) throw error;
  throw failedPrecondition(`sandbox ${sandboxId} was stopped while container ${id} was made`, error);
}

/** The user, from the request and the image's /etc/passwd and /etc/group. */
async function containerUser(
  ports: CreateContainerPorts,
  config: ContainerConfig,
  image: ContainerImageFacts,
): Promise<ResolvedUser> {
  const { security } = config;
  const read = (path: string): Promise<string | null> => ports.snapshots.readFile(image.chain, path);
  const [passwd, group] = await Promise.all([read('etc/passwd'), read('etc/group')]);
  const request = { ...security, policy: security.supplementalGroupsPolicy, imageUser: image.config.user };
  return resolveUser(request, { passwd, group });
}

interface Parts {
  readonly sandbox: Sandbox;
  readonly image: ContainerImageFacts;
  readonly user: ResolvedUser;
  readonly volumes: readonly ImageVolume[];
  /** Whose pid namespace is joined. */
  readonly target: Container | null;
  readonly edits: SpecEdits;
  readonly hooks: SelectHooks;
  /** AppArmor profile, "" for none. */
  readonly apparmor: string;
  readonly restore: ContainerRestore | null;
  /** Bytes that the writable layer may have, null for any number. */
  readonly diskLimit: number | null;
}

async function build(ports: CreateContainerPorts, identity: ContainerIdentity, parts: Parts): Promise<Container> {
  const { id, sandboxId, config } = identity;
  const { stage } = ports.stages(sandboxId, 'CreateContainer');
  const input = specInput(ports, identity, parts);
  const planned = { identity, sandbox: parts.sandbox, spec: planContainer(input), resources: config.resources };
  const adjusted = await ports.adjust(planned);
  const { spec } = adjusted;
  checkHooks(spec, { userNamespace: userNamespaceOf(parts.sandbox), restore: parts.restore });
  if (parts.restore)
    checkCaptured(
      identity,
      parts.restore.captured,
      captured(spec, { image: identity.imageId, hostname: input.hostname }),
    );
  const resources = adjustedCgroup(adjusted);
  const delegated = wantsWritableCgroup(config, parts.sandbox) ? writableCgroupBounds : null;
  const [snapshot, cgroup, filter] = await allEnded([
    stage('snapshot', () => ports.snapshots.prepare(id, parts.diskLimit)),
    stage('cgroup', () => ports.cgroups.create(identity.cgroupPath, resources, delegated)),
    stage('seccomp', () => filterFor(ports, identity, adjusted)),
  ]);
  const prepared = identity.runtime?.type === 'runsc' ? await prepareGvisorPod(ports, parts.sandbox) : null;
  const outside = { root: ports.runtimeRoot(sandboxId), daemonPid: ports.pid };
  const bundle = ports.files.writeBundle(id, await specFor(ports, identity, { ...parts, adjusted }));
  const made = await stage('init', () =>
    ports.monitors.createContainer(
      sandboxId,
      {
        containerId: id,
        bundle,
        overlay: {
          lower: ports.snapshots.lowerDirs(identity.chain),
          upper: snapshot.upper,
          work: snapshot.work,
          options: ports.overlayOptions,
        },
        cgroup: prepared ? { ...cgroup, memoryEvents: prepared.memoryEvents } : cgroup,
        log: { path: identity.logPath, maxLineBytes: ports.maxLogLineBytes },
        ...streams(config),
        seccompBpf: filter.bpf,
        seccompFlags: filter.flags,
        exitFile: ports.files.exitFile(id),
        ...numbering(config, parts.target),
        killRestOnExit: true,
        deadlineMs: monitorDeadlineMs,
        shm: parts.sandbox.identity.config.security.namespaces.ipc !== 'node',
        external: externalRuntime(identity.runtime ?? null, spec, { ...outside, pod: prepared?.pod ?? null }),
        restore: restoreRequest(parts.restore),
        hooks: identity.runtime ? null : hooksRequest(spec, ports.pid),
        relabel: relabelRequest({ identity, files: input.files, limits: ports.relabelLimits }),
      },
      AbortSignal.timeout(hangsAfterMs),
    ),
  );
  await settle(ports, identity, { pid: made.pid, resources, delegated: delegated !== null });
  for (const note of made.notes) ports.onNote(id, note);
  const { pid, startTime, notes } = made;
  return ports.records.update(id, { phase: 'created', pid, startTime, notes, ...adjustedStatus(adjusted) });
}

/** Has systemd know the cgroup. gVisor's processes are in that of its pod: what stands for a container is our helper. */
async function settle(
  { cgroups }: CreateContainerPorts,
  { id, cgroupPath, runtime }: ContainerIdentity,
  of: Pick<CgroupMember, 'pid' | 'resources' | 'delegated'>,
): Promise<void> {
  if (runtime?.type === 'runsc') return;
  await cgroups.settle({ path: cgroupPath, description: `podwright container ${id}`, ...of });
}

const streams = ({ tty, stdin, stdinOnce }: ContainerConfig) => ({ terminal: tty, stdin, stdinOnce });

/** What stands in the bundle: our own spec, or that of the runtime which makes the container. */
async function specFor(
  ports: CreateContainerPorts,
  identity: ContainerIdentity,
  parts: Parts & { readonly adjusted: Adjusted },
) {
  const { spec, resources, seccomp: policy } = parts.adjusted;
  if (!identity.runtime) return spec;
  const { config } = identity;
  const { privileged, seccomp } = config.security;
  return outsideSpec(spec, {
    config: { ...config, resources },
    sandbox: parts.sandbox,
    target: parts.target,
    bundle: ports.files.bundleDir(identity.id),
    seccomp:
      policy !== null
        ? parsePolicy(policy)
        : await ports.seccompProfile(privileged ? null : seccomp, spec.process.capabilities.bounding),
  });
}

/** Our own filter; another runtime compiles its own. */
async function filterFor(
  ports: CreateContainerPorts,
  { config, runtime }: ContainerIdentity,
  { spec, seccomp: policy }: Adjusted,
): Promise<SeccompFilter> {
  if (policy !== null && !runtime) return ports.seccompPolicy(policy);
  const { privileged, seccomp } = config.security;
  return ports.seccomp(privileged || runtime ? null : seccomp, spec.process.capabilities.bounding);
}

function specInput(ports: CreateContainerPorts, identity: ContainerIdentity, parts: Parts) {
  const pod = parts.sandbox.identity.config;
  const hostNetwork = pod.security.namespaces.network === 'node';
  const host = ports.files.hostFiles();
  return {
    id: identity.id,
    config: identity.config,
    sandbox: parts.sandbox,
    image: parts.image.config,
    user: parts.user,
    cgroupPath: identity.cgroupPath,
    netns: hostNetwork ? null : ports.netnsPin(identity.sandboxId),
    files: ports.files.podFilePaths(identity.sandboxId),
    edits: parts.edits,
    hooks: parts.hooks,
    base: ports.baseSpec(parts.sandbox.identity.runtimeHandler),
    apparmor: parts.apparmor,
    selinux: identity.selinux,
    mounts: withLayers(identity.config, parts.volumes, (chain) => ports.snapshots.lowerDirs(chain)),
    hostname: hostNetwork || pod.hostname === '' ? host.hostname : pod.hostname,
    host: ports.host,
  };
}
