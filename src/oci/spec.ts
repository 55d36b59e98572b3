// PURE
// The OCI runtime spec of a container: the order of composition, nothing else.
import { buildArgs, buildCwd, buildRlimits } from './process.ts';
import { buildCapabilities } from './capabilities.ts';
import { buildEnv } from './env.ts';
import { buildMounts, type RequestedMount } from './mounts.ts';
import { checkDevices, deviceRules, devicesAnnotation, type DeviceRequest } from './devices.ts';
import type { OciIdMaps, OciImageConfig, OciNamespace, OciSpec } from './types.ts';
import type { ResolvedUser } from './user.ts';

/** Everything a spec is made from: the request, the pod, the image, and facts of the host read before. */
export interface SpecInput {
  readonly containerId: string;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly workingDir: string;
  readonly env: readonly { readonly key: string; readonly value: string }[];
  readonly tty: boolean;
  readonly mounts: readonly RequestedMount[];
  readonly devices: readonly DeviceRequest[];
  readonly security: {
    readonly privileged: boolean;
    readonly readonlyRootfs: boolean;
    readonly noNewPrivileges: boolean;
    /** "" for none. */
    readonly apparmorProfile: string;
    /** SELinux contexts of the process and of what is mounted for it, "" for none. */
    readonly selinux: { readonly process: string; readonly mount: string };
    readonly maskedPaths: readonly string[];
    readonly readonlyPaths: readonly string[];
    readonly capabilities: {
      readonly add: readonly string[];
      readonly drop: readonly string[];
      readonly addAmbient: readonly string[];
    } | null;
  };
  readonly oomScoreAdj: number | null;
  /** Whether its processes may divide the cgroup that they are in. */
  readonly writableCgroup: boolean;
  readonly image: OciImageConfig;
  readonly user: ResolvedUser;
  readonly pod: {
    readonly hostname: string;
    readonly shm: boolean;
    readonly pid: 'pod' | 'container' | 'node' | 'target';
    readonly netns: string | null;
    readonly files: { readonly hosts: string; readonly hostname: string; readonly resolvConf: string };
    /** The ids of its user namespace; null: it is the host's. */
    readonly ids: OciIdMaps | null;
  };
  readonly cgroupPath: string;
  readonly host: {
    readonly capabilities: readonly string[];
    readonly defaultCapabilities: readonly string[];
    readonly rlimits: Readonly<Record<string, { readonly soft: number; readonly hard: number }>>;
    readonly ownCgroupNamespace: boolean;
    /** Whether a privileged container has all devices of the host. */
    readonly privilegedDevices: boolean;
  };
  readonly annotations: Readonly<Record<string, string>>;
}

function namespaces(input: SpecInput): OciNamespace[] {
  const list: OciNamespace[] = [{ type: 'mount' }];
  if (input.host.ownCgroupNamespace) list.push({ type: 'cgroup' });
  if (input.pod.pid === 'container') list.push({ type: 'pid' });
  if (input.pod.ids !== null) list.push({ type: 'user' });
  if (input.pod.netns !== null) list.push({ type: 'network', path: input.pod.netns });
  return list;
}

const hasHostDevices = ({ security, host }: SpecInput): boolean => security.privileged && host.privilegedDevices;

/** The devices asked for; a privileged container has all of the host's. */
function requestedDevices(input: SpecInput): readonly DeviceRequest[] {
  checkDevices(input.devices);
  if (!hasHostDevices(input)) return input.devices;
  return [{ hostPath: '/dev', containerPath: '/dev', permissions: 'rwm' }, ...input.devices];
}

/** Composes the spec. Throws invalid-argument naming the field that contradicts itself. */
export function buildSpec(input: SpecInput): OciSpec {
  const { security, image, user, pod, host } = input;
  const { privileged } = security;
  const asked = security.capabilities ?? { add: [], drop: [], addAmbient: [] };
  const devices = requestedDevices(input);
  return {
    ociVersion: '1.2.0',
    process: {
      terminal: input.tty,
      user: { uid: user.uid, gid: user.gid, umask: 0o022, additionalGids: user.groups },
      args: buildArgs(input.command, input.args, image),
      env: buildEnv({
        image: image.env,
        container: input.env,
        hostname: pod.hostname,
        home: user.home,
        tty: input.tty,
      }),
      cwd: buildCwd(input.workingDir, image.workingDir),
      capabilities: buildCapabilities({
        ...asked,
        privileged,
        defaults: host.defaultCapabilities,
        available: host.capabilities,
      }),
      rlimits: buildRlimits(host.rlimits),
      noNewPrivileges: security.noNewPrivileges,
      ...(security.apparmorProfile === '' ? {} : { apparmorProfile: security.apparmorProfile }),
      ...(security.selinux.process === '' ? {} : { selinuxLabel: security.selinux.process }),
      ...(input.oomScoreAdj === null ? {} : { oomScoreAdj: input.oomScoreAdj }),
    },
    root: { path: 'rootfs', readonly: security.readonlyRootfs },
    hostname: '',
    mounts: buildMounts({
      privileged,
      writableCgroup: input.writableCgroup,
      readonlyRootfs: security.readonlyRootfs,
      podShm: pod.shm,
      hostNetwork: pod.netns === null,
      ids: pod.ids,
      files: pod.files,
      mounts: input.mounts,
    }),
    annotations: {
      ...input.annotations,
      ...(devices.length > 0 ? { [devicesAnnotation]: JSON.stringify(devices) } : {}),
    },
    linux: {
      namespaces: namespaces(input),
      ...pod.ids,
      devices: [],
      cgroupsPath: input.cgroupPath,
      resources: { devices: deviceRules(hasHostDevices(input)) },
      maskedPaths: privileged ? [] : security.maskedPaths,
      readonlyPaths: privileged ? [] : security.readonlyPaths,
      ...(security.selinux.mount === '' ? {} : { mountLabel: security.selinux.mount }),
    },
  };
}
