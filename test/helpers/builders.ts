// Values that tests start from; each takes what differs.
import type { Container, ContainerConfig, ContainerStatus } from '../../src/container/container.ts';
import type { ContainerId, ImageId, SandboxId } from '../../src/lib/id.ts';
import type { Sandbox, SandboxConfig, SandboxStatus } from '../../src/sandbox/sandbox.ts';

const namespaces = { network: 'pod', pid: 'container', ipc: 'pod', targetId: '' } as const;

/** A sandbox's config as the kubelet would send it. */
export const sandboxConfig = (differs: Partial<SandboxConfig> = {}): SandboxConfig => ({
  metadata: { name: 'web', namespace: 'default', uid: 'uid-1', attempt: 0 },
  hostname: 'web',
  logDirectory: '/var/log/pods/x',
  dns: null,
  portMappings: [],
  labels: {},
  annotations: {},
  cgroupParent: '',
  sysctls: {},
  overhead: null,
  resources: null,
  security: {
    namespaces,
    selinux: null,
    runAsUser: null,
    runAsGroup: null,
    readonlyRootfs: false,
    supplementalGroups: [],
    supplementalGroupsPolicy: 'merge',
    privileged: false,
    seccomp: null,
    apparmor: null,
  },
  ...differs,
});

/** A container's config as the kubelet would send it. */
export const containerConfig = (differs: Partial<ContainerConfig> = {}): ContainerConfig => ({
  metadata: { name: 'c', attempt: 0 },
  image: { image: 'busybox', userSpecifiedImage: '', runtimeHandler: '', annotations: {} },
  command: ['sleep', '1'],
  args: [],
  workingDir: '',
  env: [],
  mounts: [],
  devices: [],
  labels: {},
  annotations: {},
  logPath: 'c/0.log',
  stdin: false,
  stdinOnce: false,
  tty: false,
  resources: null,
  stopSignal: '',
  security: {
    capabilities: null,
    privileged: false,
    namespaces,
    selinux: null,
    runAsUser: null,
    runAsUsername: '',
    runAsGroup: null,
    readonlyRootfs: false,
    supplementalGroups: [],
    supplementalGroupsPolicy: 'merge',
    noNewPrivileges: false,
    maskedPaths: [],
    readonlyPaths: [],
    seccomp: null,
    apparmor: null,
  },
  ...differs,
});

/** A sandbox that is ready, as its record holds it. */
export const sandboxOf = ({
  id = 's1',
  config = sandboxConfig(),
  status = {},
}: {
  readonly id?: string;
  readonly config?: SandboxConfig;
  readonly status?: Partial<SandboxStatus>;
} = {}): Sandbox => ({
  identity: {
    id: id as SandboxId,
    config,
    runtimeHandler: '',
    createdAt: 1n,
    cgroupPath: `/pods/${id}`,
    ownsCgroup: true,
  },
  status: {
    phase: 'ready',
    ips: ['10.0.0.2'],
    hostInterface: null,
    monitor: null,
    pausePid: 0,
    stopRequestedAt: 0n,
    deliveredAt: 0n,
    updated: null,
    ...status,
  },
});

/** A container that was created, as its record holds it. */
export const containerOf = ({
  id = 'c1',
  sandboxId = 's1',
  labels = {},
  status = {},
}: {
  readonly id?: string;
  readonly sandboxId?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly status?: Partial<ContainerStatus>;
} = {}): Container => ({
  identity: {
    id: id as ContainerId,
    sandboxId: sandboxId as SandboxId,
    config: containerConfig({ metadata: { name: id, attempt: 0 }, labels }),
    imageId: 'sha256:aa' as ImageId,
    imageRef: 'busybox@sha256:aa',
    chain: [],
    logPath: '',
    cgroupPath: `/pods/${sandboxId}/${id}`,
    stopSignal: 'SIGTERM',
    createdAt: 2n,
  },
  status: {
    phase: 'created',
    pid: 0,
    startTime: 0,
    bootId: 'boot',
    startedAt: 0n,
    exit: null,
    user: { uid: 0, gid: 0, supplementalGroups: [] },
    resources: null,
    stopRequestedAt: 0n,
    deliveredAt: 0n,
    notes: [],
    ...status,
  },
});
