// Changes to a finished spec: what is added, replaced, and in which order.
import test from 'ava';
import { devicesAnnotation } from '../../../src/oci/devices.ts';
import { applyEdits, noEdits } from '../../../src/oci/edits.ts';
import type { DeviceEdit, OciSpec } from '../../../src/oci/types.ts';

const bind = (destination: string, source: string) => ({ destination, source, type: 'bind', options: [] });
const base = (uid = 0): OciSpec =>
  ({
    process: { env: ['PATH=/bin', 'A=1'], user: { uid, gid: uid, umask: 0o022, additionalGids: [7] } },
    mounts: [bind('/proc', 'proc'), bind('/a/b', '/1')],
    annotations: {
      [devicesAnnotation]: JSON.stringify([{ hostPath: '/dev/x', containerPath: '/dev/y', permissions: 'r' }]),
    },
    linux: { devices: [], resources: { devices: [{ allow: false, access: 'rwm' }] } },
  }) as unknown as OciSpec;

const device = (change: Partial<DeviceEdit>): DeviceEdit => ({
  containerPath: '/dev/n',
  hostPath: '/dev/n',
  permissions: 'rw',
  node: { type: 'c', major: 1, minor: 5 },
  fileMode: null,
  uid: null,
  gid: null,
  ...change,
});

test('nothing changes nothing', (t) => t.deepEqual(applyEdits(base(), noEdits), base()));

test('environment and groups are added once, later values win in place', (t) => {
  const { process: program } = applyEdits(base(), { ...noEdits, env: ['A=2', 'B=x=y'], additionalGids: [7, 9] });
  t.deepEqual(program.env, ['PATH=/bin', 'A=2', 'B=x=y']);
  t.deepEqual(program.user.additionalGids, [7, 9]);
});

test('mounts replace what is at their place and come after their parents', (t) => {
  const mounts = [bind('/a/b/', '/2'), bind('/a', '/3')];
  t.deepEqual(
    applyEdits(base(), { ...noEdits, mounts }).mounts.map(({ destination, source }) => `${destination} ${source}`),
    ['/proc proc', '/a /3', '/a/b /2'],
  );
  t.throws(() => applyEdits(base(), { ...noEdits, mounts: [bind('/x/..', '/evil')] }), {
    message: /\/evil over the root/,
  });
});

test('a known node is made and allowed; it belongs to the user of the container unless that is root', (t) => {
  const devices = [
    device({}),
    device({ containerPath: '/dev/f', node: { type: 'p', major: 0, minor: 0 }, fileMode: 0o600, uid: 3 }),
  ];
  const { linux } = applyEdits(base(1000), { ...noEdits, devices });
  t.deepEqual(linux.devices, [
    { path: '/dev/n', type: 'c', major: 1, minor: 5, fileMode: 0o666, uid: 1000, gid: 1000 },
    { path: '/dev/f', type: 'p', major: 0, minor: 0, fileMode: 0o600, uid: 3, gid: 1000 },
  ]);
  t.deepEqual(linux.resources.devices, [
    { allow: false, access: 'rwm' },
    { allow: true, type: 'c', major: 1, minor: 5, access: 'rw' },
  ]);
  t.like(applyEdits(base(), { ...noEdits, devices }).linux.devices[0], { uid: 0, gid: 0 });
});

test('a node that is not known is asked of the monitor, with what is known of it', (t) => {
  const devices = [
    device({ node: null, hostPath: '/dev/zero', fileMode: 0o600, uid: 5 }),
    device({ node: null, containerPath: '/dev/y' }),
  ];
  const { annotations, linux } = applyEdits(base(), { ...noEdits, devices });
  t.deepEqual(JSON.parse(annotations[devicesAnnotation] ?? ''), [
    { hostPath: '/dev/n', containerPath: '/dev/y', permissions: 'rw' },
    { hostPath: '/dev/zero', containerPath: '/dev/n', permissions: 'rw', fileMode: 0o600, uid: 5 },
  ]);
  t.deepEqual(linux.devices, []);
});

test('hooks come into the lists of their kinds, after those that are there', (t) => {
  const hook = (path: string) => ({ path, args: [path], env: [], timeout: 1 });
  const hooks = [
    { kind: 'poststop', ...hook('/c') },
    { kind: 'prestart', ...hook('/a') },
    { kind: 'poststop', ...hook('/d') },
  ] as const;
  const before = { ...base(), hooks: { poststop: [hook('/b')] } };
  const after = applyEdits(before, { ...noEdits, hooks }).hooks;
  t.deepEqual(after, { prestart: [hook('/a')], poststop: [hook('/b'), hook('/c'), hook('/d')] });
  t.false('hooks' in applyEdits(base(), noEdits), 'a spec without hooks says nothing of them');
});
