import test from 'ava';
import { buildMounts } from '../../../src/oci/mounts.ts';
import { externalSpec, specResources, type ExternalPod } from '../../../src/oci/external.ts';
import type { OciSpec } from '../../../src/oci/types.ts';

const files = { hosts: '/p/hosts', hostname: '/p/hostname', resolvConf: '/p/resolv.conf' };
const mount = {
  containerPath: '/d',
  hostPath: '/h',
  readonly: false,
  propagation: 'private',
  recursiveReadOnly: false,
  mountOptions: [],
  image: null,
} as const;

const spec = (mounts: Parameters<typeof buildMounts>[0]['mounts'] = []): OciSpec => ({
  ociVersion: '1.2.0',
  process: {
    terminal: false,
    user: { uid: 0, gid: 0, umask: 0o022, additionalGids: [] },
    args: ['sh'],
    env: [],
    cwd: '/',
    capabilities: { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] },
    rlimits: [],
    noNewPrivileges: false,
  },
  root: { path: 'rootfs', readonly: false },
  hostname: '',
  mounts: buildMounts({
    privileged: false,
    writableCgroup: false,
    readonlyRootfs: false,
    podShm: true,
    hostNetwork: false,
    ids: null,
    files,
    mounts,
  }),
  annotations: { a: 'b' },
  linux: {
    namespaces: [{ type: 'mount' }, { type: 'network', path: '/n' }],
    devices: [],
    cgroupsPath: '/c',
    resources: { devices: [{ allow: false, access: 'rwm' }] },
    maskedPaths: [],
    readonlyPaths: [],
  },
});

const pod: ExternalPod = {
  bundle: '/b',
  ipcOf: 7,
  utsOf: 7,
  pidOf: null,
  seccomp: null,
  resources: null,
  annotations: {},
};

test('nothing of our own is left in it', (t) => {
  const external = externalSpec(spec(), pod);
  t.is(external.ociVersion, '1.0.2-dev');
  t.is(external.process.oomScoreAdj, 0);
  const kinds = new Set(external.mounts.map(({ type }) => type));
  t.deepEqual([...kinds].toSorted(), ['bind', 'cgroup', 'devpts', 'mqueue', 'proc', 'sysfs', 'tmpfs']);
  t.like(
    external.mounts.find(({ destination }) => destination === '/dev/shm'),
    {
      source: '/b/shm',
      options: ['rbind', 'nosuid', 'noexec', 'nodev'],
    },
  );
  t.false('seccomp' in external.linux);
  t.false('rootfsPropagation' in external.linux);
});

test("the pod's namespaces are joined by path", (t) => {
  const of = (differs: Partial<ExternalPod>) => externalSpec(spec(), { ...pod, ...differs }).linux.namespaces.slice(2);
  t.deepEqual(of({}), [
    { type: 'ipc', path: '/proc/7/ns/ipc' },
    { type: 'uts', path: '/proc/7/ns/uts' },
  ]);
  t.deepEqual(of({ ipcOf: null, utsOf: null, pidOf: 9 }), [{ type: 'pid', path: '/proc/9/ns/pid' }]);
  t.deepEqual(of({ ipcOf: null, utsOf: null }), []);
});

for (const [propagation, expected] of [
  ['private', undefined],
  ['host-to-container', 'rslave'],
  ['bidirectional', 'rshared'],
] as const) {
  test(`the root propagates as a volume of ${propagation} needs`, (t) => {
    const { linux } = externalSpec(spec([{ ...mount, propagation }]), pod);
    t.is((linux as { rootfsPropagation?: string }).rootfsPropagation, expected);
  });
}

test('limits and the seccomp profile are in the spec', (t) => {
  const resources = {
    cpuShares: 512,
    cpuQuota: 1000,
    cpuPeriod: 2000,
    cpusetCpus: '0',
    cpusetMems: '',
    memoryLimitBytes: 1024,
    memorySwapLimitBytes: null,
    hugepageLimits: [{ pageSize: '2MB', limit: 0 }],
    unified: { 'memory.high': '1' },
  };
  const { linux } = externalSpec(spec(), { ...pod, resources, seccomp: { defaultAction: 'SCMP_ACT_ALLOW' } });
  t.deepEqual(linux.resources as object, {
    devices: [{ allow: false, access: 'rwm' }],
    cpu: { shares: 512, quota: 1000, period: 2000, cpus: '0' },
    memory: { limit: 1024 },
    hugepageLimits: [{ pageSize: '2MB', limit: 0 }],
    unified: { 'memory.high': '1' },
  });
  t.deepEqual((linux as { seccomp?: object }).seccomp, { defaultAction: 'SCMP_ACT_ALLOW' });
  const none = { ...resources, cpuShares: null, cpuQuota: null, cpuPeriod: null, cpusetCpus: '' };
  t.deepEqual(specResources({ ...none, memoryLimitBytes: null, hugepageLimits: [], unified: {} }), {});
});
