import test from 'ava';
import { Failure } from '../../../src/lib/failure.ts';
import {
  allCapabilities,
  buildCapabilities,
  capabilitiesOfMask,
  defaultCapabilities,
} from '../../../src/oci/capabilities.ts';
import { buildEnv } from '../../../src/oci/env.ts';
import { buildMounts, cleanPath } from '../../../src/oci/mounts.ts';
import { wrongMountOption } from '../../../src/oci/mount-options.ts';
import { checkDevices } from '../../../src/oci/devices.ts';
import { buildArgs, buildCwd } from '../../../src/oci/process.ts';
import { effectiveStopSignal, signalName, signalNumber } from '../../../src/oci/signals.ts';

const image = { env: [], entrypoint: ['/entry', 'a'], cmd: ['b'], workingDir: '/w', user: '', stopSignal: '' };

test('command replaces entrypoint and drops cmd; args replace cmd', (t) => {
  t.deepEqual(buildArgs([], [], image), ['/entry', 'a', 'b']);
  t.deepEqual(buildArgs([], ['x'], image), ['/entry', 'a', 'x']);
  t.deepEqual(buildArgs(['/c'], [], image), ['/c']);
  t.deepEqual(buildArgs(['/c'], ['x'], image), ['/c', 'x']);
  t.throws(() => buildArgs([], [], { ...image, entrypoint: [], cmd: [] }), {
    instanceOf: Failure,
    message: /no command specified/,
  });
});

test('working directory', (t) => {
  t.deepEqual(
    [buildCwd('/x', '/w'), buildCwd('', '/w'), buildCwd('', ''), buildCwd('rel', '')],
    ['/x', '/w', '/', '/rel'],
  );
});

test('environment: later wins in place, values keep their bytes', (t) => {
  const env = buildEnv({
    image: ['A=1', 'B=2', 'PATH=/only'],
    container: [
      { key: 'A', value: 'x=y ' },
      { key: 'HOSTNAME', value: 'mine' },
    ],
    hostname: 'pod',
    home: '/root',
    tty: true,
  });
  t.deepEqual(env, ['PATH=/only', 'A=x=y ', 'B=2', 'TERM=xterm', 'HOSTNAME=mine', 'HOME=/root']);
});

const caps = {
  add: [],
  drop: [],
  addAmbient: [],
  privileged: false,
  defaults: defaultCapabilities,
  available: allCapabilities,
};

test('capabilities: ALL first, drop before add, prefixes optional', (t) => {
  t.is(buildCapabilities(caps).bounding.length, 14);
  t.deepEqual(buildCapabilities({ ...caps, drop: ['ALL'], add: ['net_admin', 'CAP_CHOWN'] }).effective, [
    'CAP_CHOWN',
    'CAP_NET_ADMIN',
  ]);
  t.false(buildCapabilities({ ...caps, add: ['ALL'], drop: ['SYS_ADMIN'] }).bounding.includes('CAP_SYS_ADMIN'));
  t.is(buildCapabilities({ ...caps, privileged: true }).bounding.length, 41);
  t.throws(() => buildCapabilities({ ...caps, add: ['FLY'] }), { message: /capabilities: unknown capability FLY/ });
});

test('capabilities: the inheritable set holds ambient ones only, and nothing the daemon lacks is given', (t) => {
  const built = buildCapabilities({
    ...caps,
    addAmbient: ['NET_ADMIN', 'SYS_RESOURCE'],
    available: allCapabilities.filter((c) => c !== 'CAP_SYS_RESOURCE'),
  });
  t.deepEqual(built.inheritable, ['CAP_NET_ADMIN']);
  t.deepEqual(built.ambient, ['CAP_NET_ADMIN']);
  t.false(built.bounding.includes('CAP_SYS_RESOURCE'));
});

test('capability masks as the kernel prints them', (t) => {
  t.deepEqual(capabilitiesOfMask('0000000000000003'), ['CAP_CHOWN', 'CAP_DAC_OVERRIDE']);
  t.false(capabilitiesOfMask('000001fffeffffff').includes('CAP_SYS_RESOURCE'));
});

const files = { hosts: '/p/hosts', hostname: '/p/hostname', resolvConf: '/p/resolv.conf' };
const own = { hostNetwork: false, ids: null };
const input = {
  privileged: false,
  writableCgroup: false,
  readonlyRootfs: false,
  podShm: true,
  files,
  mounts: [],
  ...own,
};
const mount = {
  containerPath: '/data',
  hostPath: '/src',
  readonly: false,
  propagation: 'private' as const,
  recursiveReadOnly: false,
  mountOptions: [],
  image: null,
};

test('mounts: parents before children, CRI mounts replace our own', (t) => {
  const made = buildMounts({
    ...input,
    mounts: [
      { ...mount, containerPath: '/a/b/c' },
      { ...mount, containerPath: '/a' },
      { ...mount, containerPath: '/etc/hosts/' },
    ],
  });
  const at = (path: string) => made.findIndex((m) => m.destination === path);
  t.true(at('/a') < at('/a/b/c'));
  t.true(at('/dev') < at('/dev/shm'));
  t.is(made.filter((m) => m.destination === '/etc/hosts').length, 1);
  t.is(made[at('/etc/hosts')]?.source, '/src');
  t.true(made[at('/sys')]?.options.includes('ro'));
});

test('mounts: options tell propagation and access', (t) => {
  const options = (m: object) =>
    buildMounts({ ...input, mounts: [{ ...mount, ...m }] }).find((x) => x.destination === '/data')?.options;
  t.deepEqual(options({}), ['rbind', 'rprivate', 'rw']);
  t.deepEqual(options({ readonly: true, propagation: 'host-to-container' }), ['rbind', 'rslave', 'ro']);
  t.deepEqual(options({ propagation: 'bidirectional' }), ['rbind', 'rshared', 'rw']);
  t.deepEqual(options({ readonly: true, recursiveReadOnly: true }), ['rbind', 'rprivate', 'rro']);
  t.deepEqual(options({ mountOptions: ['noexec', 'rnosuid'] }), ['rbind', 'rprivate', 'rw', 'noexec', 'rnosuid']);
});

test('mounts: an image is read-only data, its layers and sub path are options', (t) => {
  const made = (m: object) =>
    buildMounts({ ...input, mounts: [{ ...mount, hostPath: '', ...m }] }).find((x) => x.destination === '/data');
  const closed = ['ro', 'nosuid', 'nodev', 'noexec'];
  const image = { lower: ['/l/2', '/l/1'], subPath: '' };
  t.like(made({ image }), { type: 'podwright-image', options: [...closed, 'lower=/l/2', 'lower=/l/1'] });
  t.deepEqual(made({ image: { ...image, subPath: 'a/b' }, mountOptions: ['exec'] })?.options, [
    ...closed,
    'exec',
    'lower=/l/2',
    'lower=/l/1',
    'subpath=a/b',
  ]);
});

test("mounts of a user namespace: files by its ids where they are the pod's, new file systems as they are", (t) => {
  const line = (size: number) => [{ containerID: 0, hostID: 1000, size }];
  const ids = { uidMappings: line(10), gidMappings: line(10) };
  const image = { ...mount, containerPath: '/image', hostPath: '', image: { lower: ['/1', '/0'], subPath: '' } };
  const mounts = [mount, { ...mount, containerPath: '/mapped', ids: {} }, image];
  const made = buildMounts({ ...input, mounts, ids });
  t.deepEqual(
    made
      .filter((m) => m.uidMappings === ids.uidMappings && m.gidMappings === ids.gidMappings)
      .map((m) => m.destination),
    ['/mapped', '/image', '/etc/hosts', '/etc/hostname', '/etc/resolv.conf'],
  );
  const at = (destination: string, some: object = {}) =>
    buildMounts({ ...input, ids, ...some }).find((m) => m.destination === destination);
  t.is(at('/sys')?.type, 'sysfs');
  t.like(at('/sys', { hostNetwork: true }), { type: 'bind', source: '/sys' });
  t.is(at('/sys', { hostNetwork: true, ids: null })?.type, 'sysfs');
  t.true(at('/dev/pts')?.options.includes('gid=5'));
  t.false(at('/dev/pts', { ids: { uidMappings: line(5), gidMappings: line(5) } })?.options.includes('gid=5'));
});

test('mount options: those of the mount itself may be given, nothing that has a field or a meaning of its own', (t) => {
  for (const good of [[], ['noexec', 'nosuid', 'nodev'], ['rnoexec'], ['exec', 'suid', 'dev'], ['strictatime']]) {
    t.is(wrongMountOption(good), null, good.join());
  }
  for (const bad of [
    '',
    'ro',
    'rw',
    'rro',
    'bind',
    'rbind',
    'shared',
    'rslave',
    'size=1',
    'lower=/x',
    'NOEXEC',
    'noexec,nodev',
    'idmap',
  ]) {
    t.is(wrongMountOption(['nodev', bad])?.at, 1, bad);
  }
  t.is(wrongMountOption(['noatime', 'strictatime'])?.at, 1);
});

for (const [what, bad, message] of [
  ['no container path', { containerPath: '' }, /mounts\[0\].container_path is empty/],
  ['relative host path', { hostPath: 'x' }, /mounts\[0\].host_path x is not absolute/],
  ['rro without ro', { recursiveReadOnly: true }, /recursive_read_only needs/],
  [
    'rro with propagation',
    { recursiveReadOnly: true, readonly: true, propagation: 'bidirectional' as const },
    /recursive_read_only needs/,
  ],
] as const) {
  test(`mount refused: ${what}`, (t) =>
    void t.throws(() => buildMounts({ ...input, mounts: [{ ...mount, ...bad }] }), { message }));
}

test('paths are cleaned and stay below the root', (t) => {
  t.deepEqual(['/a//b/', '../../x', '/a/../..', '', '/./a'].map(cleanPath), ['/a/b', '/x', '/', '/', '/a']);
});

test('devices name their field when wrong', (t) => {
  t.throws(() => checkDevices([{ hostPath: 'x', containerPath: '', permissions: 'r' }]), {
    message: /devices\[0\].host_path/,
  });
  for (const permissions of ['', 'rr', 'x', 'rwmr']) {
    t.throws(() => checkDevices([{ hostPath: '/dev/x', containerPath: '', permissions }]), {
      message: /devices\[0\].permissions/,
    });
  }
});

test('signals by name and number, both ways', (t) => {
  const table: [string, number][] = [
    ['SIGTERM', 15],
    ['term', 15],
    ['9', 9],
    ['SIGRTMIN+3', 37],
    ['RTMAX-1', 63],
    ['SIGIOT', 6],
    ['SIGSYS', 31],
  ];
  for (const [text, number] of table) t.is(signalNumber(text), number, text);
  for (let n = 1; n <= 64; n += 1) if (n < 32 || n > 33) t.is(signalNumber(signalName(n)), n);
  for (const bad of ['', '0', '65', 'SIGNOPE', 'SIGRTMIN+31', '-1'])
    t.throws(() => signalNumber(bad), { instanceOf: Failure });
  t.deepEqual(
    [effectiveStopSignal('', ''), effectiveStopSignal('', 'QUIT'), effectiveStopSignal('SIGUSR1', '3')],
    ['SIGTERM', 'SIGQUIT', 'SIGUSR1'],
  );
});
