// PURE
// Pods and containers as plugins are told of them.
import { type Container, containerState } from '../container/container.ts';
import { devicesAnnotation } from '../oci/devices.ts';
import { imageType, podShmType } from '../oci/mounts.ts';
import type { OciDevice, OciHook, OciMount, OciSpec } from '../oci/types.ts';
import type { LinuxResources, Sandbox } from '../sandbox/sandbox.ts';
import { hookLists } from './collect.ts';
import { resourcesToWire } from './resources.ts';
import type { WireContainer, WireHooks, WirePod, WireDevice } from './wire.ts';

/** What is told of a pod besides its record. */
export interface PodFacts {
  readonly netns: string;
  readonly overhead: LinuxResources | null;
  readonly resources: LinuxResources | null;
}

/** A pod. */
export function podToWire({ identity, status }: Sandbox, { netns, overhead, resources }: PodFacts): WirePod {
  const { config } = identity;
  const { metadata, security } = config;
  const pid = status.pausePid > 0 ? status.pausePid : (status.monitor?.pid ?? 0);
  const own = security.namespaces.network === 'pod';
  return {
    id: identity.id,
    name: metadata.name,
    uid: metadata.uid,
    namespace: metadata.namespace,
    labels: { ...config.labels },
    annotations: { ...config.annotations },
    runtimeHandler: identity.runtimeHandler,
    pid,
    ips: [...status.ips],
    linux: {
      podOverhead: overhead && resourcesToWire(overhead),
      podResources: resources && resourcesToWire(resources),
      cgroupParent: config.cgroupParent,
      cgroupsPath: identity.cgroupPath,
      namespaces: own ? [{ type: 'network', path: netns }] : [],
      resources: resources && resourcesToWire(resources),
    },
  };
}

const states = {
  created: 'CONTAINER_CREATED',
  running: 'CONTAINER_RUNNING',
  exited: 'CONTAINER_STOPPED',
  unknown: 'CONTAINER_UNKNOWN',
} as const;

const profiles = { 'runtime-default': 'RUNTIME_DEFAULT', unconfined: 'UNCONFINED', localhost: 'LOCALHOST' } as const;

/** Types of our own mean nothing to anybody else. */
const mountToWire = ({ destination, type, source, options }: OciMount): WireContainer['mounts'][number] => ({
  destination,
  type: type === podShmType ? 'tmpfs' : type === imageType ? 'overlay' : type,
  source,
  options: options.filter((option) => !option.startsWith('lower=') && !option.startsWith('subpath=')),
});

const hooksToWire = (spec: OciSpec): WireHooks => {
  const list = (hooks: readonly OciHook[]) =>
    hooks.map(({ path, args, env, timeout }) => ({
      path,
      args: [...args],
      env: [...env],
      timeout: { value: String(timeout) },
    }));
  return Object.fromEntries(hookLists.map((kind) => [kind, list(spec.hooks?.[kind] ?? [])])) as unknown as WireHooks;
};

const nodeToWire = ({ path, type, major, minor, fileMode, uid, gid }: OciDevice): WireDevice => ({
  path,
  type,
  major: String(major),
  minor: String(minor),
  fileMode: { value: fileMode },
  uid: { value: uid },
  gid: { value: gid },
});

/** Nodes, and devices of which only the paths are known yet. */
function devicesToWire({ linux, annotations }: OciSpec): WireDevice[] {
  const asked = JSON.parse(annotations[devicesAnnotation] ?? '[]') as { readonly containerPath: string }[];
  const unknown = { type: '', major: '0', minor: '0', fileMode: null, uid: null, gid: null };
  return [...linux.devices.map(nodeToWire), ...asked.map(({ containerPath }) => ({ ...unknown, path: containerPath }))];
}

/** The spec's own annotations with the pod's wishes for the container over them; those between us and the monitor are not told. */
const annotationsOf = (spec: OciSpec | null, config: Container['identity']['config']): Record<string, string> =>
  Object.fromEntries(
    Object.entries({ ...spec?.annotations, ...config.annotations }).filter(([name]) => !name.startsWith('podwright.')),
  );

const digestOf = (reference: string): string => reference.split('@')[1] ?? '';

function linuxToWire({ identity, status }: Container, spec: OciSpec | null): WireContainer['linux'] {
  const { security } = identity.config;
  const profile = security.privileged ? null : security.seccomp;
  const { oomScoreAdj } = spec?.process ?? {};
  return {
    namespaces: (spec?.linux.namespaces ?? []).map(({ type, path = '' }) => ({ type, path })),
    devices: spec === null ? [] : devicesToWire(spec),
    resources: resourcesToWire(status.resources),
    oomScoreAdj: oomScoreAdj === undefined ? null : { value: String(oomScoreAdj) },
    cgroupsPath: identity.cgroupPath,
    ioPriority: null,
    seccompProfile: {
      profileType: profile === null ? 'UNCONFINED' : profiles[profile.type],
      localhostRef: profile?.localhostRef ?? '',
    },
    seccompPolicy: null,
    sysctl: { ...spec?.linux.sysctl },
    netDevices: {},
    scheduler: null,
    rdt: null,
  };
}

/** A container; `spec` null: its bundle is gone, as after a reboot. */
export function containerToWire(container: Container, spec: OciSpec | null): WireContainer {
  const { identity, status } = container;
  const { config } = identity;
  const { process: program } = spec ?? {};
  return {
    id: identity.id,
    podSandboxId: identity.sandboxId,
    name: config.metadata.name,
    state: status.phase === 'creating' ? 'CONTAINER_UNKNOWN' : states[containerState(container)],
    labels: { ...config.labels },
    annotations: annotationsOf(spec, config),
    args: [...(program?.args ?? [])],
    env: [...(program?.env ?? [])],
    mounts: (spec?.mounts ?? []).map(mountToWire),
    hooks: spec && hooksToWire(spec),
    linux: linuxToWire(container, spec),
    pid: status.pid,
    rlimits: (program?.rlimits ?? []).map(({ type, soft, hard }) => ({
      type,
      soft: String(soft),
      hard: String(hard),
    })),
    createdAt: String(identity.createdAt),
    startedAt: String(status.startedAt),
    finishedAt: String(status.exit?.finishedAt ?? 0n),
    exitCode: status.exit?.exitCode ?? 0,
    statusReason: status.exit?.reason ?? '',
    statusMessage: status.exit?.message ?? '',
    CDIDevices: (config.cdiDevices ?? []).map((name) => ({ name })),
    user: { uid: status.user.uid, gid: status.user.gid, additionalGids: [...status.user.supplementalGroups] },
    image: {
      name: config.image.userSpecifiedImage === '' ? config.image.image : config.image.userSpecifiedImage,
      digest: digestOf(identity.imageRef),
      configDigest: identity.imageId,
    },
  };
}
