// From what plugins want to the spec that is made; what is refused, by name; the tables of docs/nri.md.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parsePolicy } from '../../../src/container/adjusted.ts';
import { adjustSpec, seccompPolicy } from '../../../src/nri/adjust-spec.ts';
import { Owners } from '../../../src/nri/owners.ts';
import { refusedLinux, refuseUnsupported } from '../../../src/nri/refused.ts';
import { limitsOf, refusedResources, updateOf, withoutSwap } from '../../../src/nri/resources.ts';
import { noEdits } from '../../../src/oci/edits.ts';
import type { OciSpec } from '../../../src/oci/types.ts';
import { nriFields } from '../../../src/proto/nri-codec.ts';
import { adjustment, message, resources } from './wishes.ts';

const none = { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] };
const spec: OciSpec = {
  ociVersion: '1.2.0',
  process: {
    terminal: false,
    user: { uid: 7, gid: 8, umask: 0o022, additionalGids: [] },
    args: ['run'],
    env: ['PATH=/bin', 'A=1'],
    cwd: '/',
    capabilities: none,
    rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1, hard: 2 }],
    noNewPrivileges: false,
  },
  root: { path: 'rootfs', readonly: false },
  hostname: '',
  mounts: [
    { destination: '/proc', type: 'proc', source: 'proc', options: [] },
    { destination: '/data', type: 'bind', source: '/host', options: ['rbind'] },
  ],
  annotations: {
    keep: '1',
    drop: '2',
    'podwright.devices': '[{"hostPath":"/dev/fuse","containerPath":"/dev/fuse","permissions":"rw"}]',
  },
  linux: {
    namespaces: [{ type: 'mount' }],
    devices: [{ path: '/dev/old', type: 'c', major: 1, minor: 1, fileMode: 0o600, uid: 0, gid: 0 }],
    cgroupsPath: '/c',
    resources: { devices: [{ allow: false, access: 'rwm' }] },
    maskedPaths: [],
    readonlyPaths: [],
  },
};
const adjusted = (wish: object): OciSpec => adjustSpec(spec, adjustment(wish), noEdits);

test('nothing wanted, nothing changed', (t) => {
  t.deepEqual(adjusted({}), spec);
  t.deepEqual(adjusted({ linux: { resources: {} } }), spec);
});

test('environment, arguments, annotations, limits: set, replaced, taken away', (t) => {
  const made = adjusted({
    env: [{ key: '-A' }, { key: 'PATH', value: '/x' }, { key: 'B', value: '=' }],
    args: ['other', 'x'],
    annotations: { '-drop': '', new: '3' },
    rlimits: [
      { type: 'RLIMIT_NOFILE', soft: '5', hard: '6' },
      { type: 'RLIMIT_CORE', soft: '0', hard: '18446744073709551615' },
    ],
    linux: { oomScoreAdj: { value: '-5' } },
  });
  t.deepEqual(made.process.env, ['PATH=/x', 'B==']);
  t.deepEqual(made.process.args, ['other', 'x']);
  t.deepEqual(Object.keys(made.annotations), ['keep', 'podwright.devices', 'new']);
  t.deepEqual(made.process.rlimits, [
    { type: 'RLIMIT_NOFILE', soft: 5, hard: 6 },
    { type: 'RLIMIT_CORE', soft: 0, hard: Number.MAX_SAFE_INTEGER },
  ]);
  t.is(made.process.oomScoreAdj, -5);
});

test('mounts: parents before children, one at a place, the removed gone however its path is written', (t) => {
  const made = adjusted({
    mounts: [
      { destination: '/data/deep/er', source: '/s', options: ['bind', 'ro'] },
      { destination: '-/proc/' },
      { destination: '/data', type: 'tmpfs', source: 'tmpfs' },
    ],
  });
  t.deepEqual(
    made.mounts.map(({ destination, type }) => `${destination} ${type}`),
    ['/data tmpfs', '/data/deep/er bind'],
  );
  t.throws(() => adjusted({ mounts: [{ destination: '/', source: '/s' }] }), { message: /over the root/ });
});

test('devices: nodes with their rules; those of the pod are replaced or go, known or not', (t) => {
  const made = adjusted({
    linux: {
      devices: [
        { path: '-/dev/old' },
        { path: '/dev/fuse', type: 'c', major: '10', minor: '229', fileMode: { value: 0o440 }, uid: { value: 0 } },
        { path: '/dev/sd', type: 'b', major: '8', minor: '0' },
      ],
      resources: { devices: [{ allow: true, type: 'c', major: { value: '4' }, access: 'r' }] },
    },
  });
  t.deepEqual(made.linux.devices, [
    { path: '/dev/fuse', type: 'c', major: 10, minor: 229, fileMode: 0o440, uid: 0, gid: 8 },
    { path: '/dev/sd', type: 'b', major: 8, minor: 0, fileMode: 0o666, uid: 7, gid: 8 },
  ]);
  t.false('podwright.devices' in made.annotations);
  t.deepEqual(made.linux.resources.devices.slice(1), [
    { allow: true, type: 'c', major: 10, minor: 229, access: 'r' },
    { allow: true, type: 'b', major: 8, minor: 0, access: 'rwm' },
    { allow: true, type: 'c', major: 4, access: 'r' },
  ]);
  t.throws(() => adjusted({ linux: { devices: [{ path: 'dev/x', type: 'c' }] } }), { message: /no absolute path/ });
  t.throws(() => adjusted({ linux: { devices: [{ path: '/dev/x', type: '?' }] } }), { message: /has the type "\?"/ });
});

test('hooks have an end, sysctls are the container’s, CDI edits come first', (t) => {
  const cdi = { ...noEdits, env: ['FROM=cdi', 'B=cdi'] };
  const wish = {
    env: [{ key: 'B', value: 'plugin' }],
    hooks: { createRuntime: [{ path: '/h' }], poststop: [{ path: '/p', args: ['p', 'x'], timeout: { value: '5' } }] },
    linux: { sysctl: { 'net.core.somaxconn': '1' } },
  };
  const made = adjustSpec(spec, adjustment(wish), cdi);
  t.deepEqual(made.hooks, {
    createRuntime: [{ path: '/h', args: ['/h'], env: [], timeout: 60 }],
    poststop: [{ path: '/p', args: ['p', 'x'], env: [], timeout: 5 }],
  });
  t.deepEqual(made.linux.sysctl, { 'net.core.somaxconn': '1' });
  t.deepEqual(made.process.env.slice(2), ['FROM=cdi', 'B=plugin']);
});

test('a seccomp policy keeps its numbers, also those that a Number would round', (t) => {
  const policy = seccompPolicy(
    message('LinuxSeccomp', {
      defaultAction: 'SCMP_ACT_ERRNO',
      defaultErrno: { value: 38 },
      architectures: ['SCMP_ARCH_X86_64'],
      syscalls: [
        {
          names: ['x'],
          action: 'SCMP_ACT_ALLOW',
          args: [{ index: 1, value: '18446744073709551615', op: 'SCMP_CMP_EQ' }],
        },
      ],
    }) as never,
  );
  const wanted =
    '{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64"],"syscalls":[{"names":["x"],"action":"SCMP_ACT_ALLOW","args":[{"index":1,"value":18446744073709551615,"valueTwo":0,"op":"SCMP_CMP_EQ"}]}]}';
  t.is(policy, wanted);
  t.is(JSON.stringify(parsePolicy(policy)), wanted, 'also on its way to another runtime');
  t.throws(() => seccompPolicy(message('LinuxSeccomp', { listenerPath: '/l' }) as never), { message: /listener/ });
});

test('limits in the house’s words: 0 says nothing, a memory limit is one of swap too', (t) => {
  const wire = resources({
    memory: { limit: { value: '100' } },
    cpu: { shares: { value: '0' }, quota: { value: '-1' }, cpus: '0' },
    pids: { limit: '-1' },
    unified: { 'memory.high': '9' },
    hugepageLimits: [{ pageSize: '2MB', limit: '4' }],
  });
  const { resources: limits, pidsLimit } = limitsOf(wire);
  t.like(limits, {
    memoryLimitBytes: 100,
    memorySwapLimitBytes: null,
    cpuShares: null,
    cpuQuota: -1,
    cpusetCpus: '0',
    unified: { 'memory.high': '9' },
    hugepageLimits: [{ pageSize: '2MB', limit: 4 }],
  });
  t.is(pidsLimit, -1);
  t.is(withoutSwap(limitsOf(wire)).resources.memorySwapLimitBytes, 100);
  t.throws(() => updateOf(resources({ devices: [{ allow: true }] })), { message: /devices in an update/ });
});

/** A wish for each thing that is refused. */
const refused: Readonly<Record<string, object>> = {
  'linux.cgroups_path': { cgroupsPath: '/x' },
  'linux.io_priority': { ioPriority: { class: 2 } },
  'linux.namespaces': { namespaces: [{ type: 'ipc' }] },
  'linux.net_devices': { netDevices: { a: { name: 'b' } } },
  'linux.scheduler': { scheduler: { policy: 2 } },
  'linux.rdt': { rdt: { schemata: { value: ['L3'] } } },
  'linux.memory_policy': { memoryPolicy: { mode: 2 } },
  'linux.resources.memory.reservation': { resources: { memory: { reservation: { value: '1' } } } },
  'linux.resources.memory.kernel': { resources: { memory: { kernel: { value: '1' } } } },
  'linux.resources.memory.kernel_tcp': { resources: { memory: { kernelTcp: { value: '1' } } } },
  'linux.resources.memory.swappiness': { resources: { memory: { swappiness: { value: '1' } } } },
  'linux.resources.memory.disable_oom_killer': { resources: { memory: { disableOomKiller: { value: true } } } },
  'linux.resources.memory.use_hierarchy': { resources: { memory: { useHierarchy: { value: true } } } },
  'linux.resources.cpu.realtime_runtime': { resources: { cpu: { realtimeRuntime: { value: '1' } } } },
  'linux.resources.cpu.realtime_period': { resources: { cpu: { realtimePeriod: { value: '1' } } } },
  'linux.resources.blockio_class': { resources: { blockioClass: { value: 'x' } } },
  'linux.resources.rdt_class': { resources: { rdtClass: { value: 'x' } } },
};

for (const [name, linux] of Object.entries(refused)) {
  test(`${name} is refused by name`, (t) => {
    const error = t.throws(() => refuseUnsupported(adjustment({ linux }), 'c', new Owners()));
    t.true(error?.message.startsWith(`${name} of an NRI plugin`), error?.message);
  });
}

test('the tables of refusals are those that are tried here', (t) => {
  const names = [
    ...refusedLinux.map((one) => `linux.${one.name}`),
    ...refusedResources.map(([name]) => `linux.resources.${name}`),
  ];
  t.deepEqual(names, Object.keys(refused));
});

test('wishes that change nothing are none; what is podwright’s own is not to be had', (t) => {
  const linux = {
    ioPriority: { class: 0 },
    scheduler: { policy: 0 },
    rdt: { remove: true },
    resources: { rdtClass: {} },
  };
  t.notThrows(() => refuseUnsupported(adjustment({ linux }), 'c', new Owners()));
  const own = [
    { mounts: [{ destination: '/x', type: 'podwright-image' }] },
    { annotations: { 'podwright.devices': '[]' } },
    { annotations: { '-podwright.devices': '' } },
  ];
  for (const wish of own) t.throws(() => refuseUnsupported(adjustment(wish), 'c', new Owners()));
});

/** "CPUShares" of api.proto is cpuShares here: names as the file has them. */
const protoName = (name: string): string =>
  name
    .replace(/^CDIDevices$/, 'CDI_devices')
    .replace(/[A-Z](?![A-Z])/g, (c) => (name.startsWith('CDI') ? c : `_${c.toLowerCase()}`));

test('docs/nri.md tells of every field that a plugin can set', (t) => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/nri.md'), 'utf8');
  const told = new Set([...page.matchAll(/`([a-zA-Z_.]+)`/g)].map(([, name]) => name));
  const fields = (name: string, prefix: string): string[] =>
    Object.keys(nriFields(name)).map((field) => `${prefix}${protoName(field)}`);
  const all = [
    ...fields('ContainerAdjustment', '').filter((name) => name !== 'linux'),
    ...fields('LinuxContainerAdjustment', 'linux.'),
    ...fields('LinuxResources', '').filter((name) => !['memory', 'cpu'].includes(name)),
    ...fields('LinuxMemory', 'memory.'),
    ...fields('LinuxCPU', 'cpu.'),
  ];
  t.deepEqual(
    all.filter((name) => !told.has(name)),
    [],
  );
});
