// Values that tests start from; each takes what differs.
import type { ContainerConfig } from '../../src/container/container.ts';
import type { SandboxConfig } from '../../src/sandbox/sandbox.ts';

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
