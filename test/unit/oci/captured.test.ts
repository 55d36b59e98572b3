import test from 'ava';
import { captured, externalMounts, mismatch } from '../../../src/oci/captured.ts';
import type { OciSpec } from '../../../src/oci/types.ts';

const spec = (change: (spec: OciSpec) => object = () => ({})): OciSpec => {
  const base: OciSpec = {
    ociVersion: '1.2.0',
    process: {
      terminal: false,
      user: { uid: 1, gid: 2, umask: 0o022, additionalGids: [3] },
      args: ['sh'],
      env: ['PATH=/bin', 'HOSTNAME=web-1', 'B=2', 'A=1'],
      cwd: '/',
      capabilities: { bounding: ['CAP_KILL'], effective: [], inheritable: [], permitted: [], ambient: [] },
      rlimits: [],
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: false },
    hostname: '',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid'] },
      { destination: '/dev/shm', type: 'podwright-shm', source: 'shm', options: ['nosuid'] },
      { destination: '/data', type: 'bind', source: '/host/data', options: ['rbind', 'ro'] },
      { destination: '/model', type: 'podwright-image', source: 'image', options: ['ro', 'lower=/layers/a'] },
    ],
    annotations: {},
    linux: {
      namespaces: [],
      devices: [],
      cgroupsPath: '/x',
      resources: { devices: [] },
      maskedPaths: ['/proc/kcore', '/proc/keys'],
      readonlyPaths: [],
    },
  };
  return { ...base, ...change(base) };
};
const about = { image: 'sha256:1', hostname: 'web-1' };
const before = captured(spec(), about);

test('what comes from outside is not captured', (t) => {
  t.deepEqual(externalMounts(spec()), ['/dev/shm', '/data', '/model']);
});

test('sources, the order of lists and the name of the pod may differ', (t) => {
  const moved = spec(({ process, mounts, linux }) => ({
    process: { ...process, env: ['A=1', 'B=2', 'PATH=/bin', 'HOSTNAME=web-2'] },
    mounts: mounts
      .toReversed()
      .map((m) => ({ ...m, source: `/elsewhere${m.source}`, options: m.options.map((o) => o.replace('/a', '/b')) })),
    linux: { ...linux, cgroupsPath: '/y', maskedPaths: linux.maskedPaths.toReversed() },
  }));
  t.is(mismatch(before, captured(moved, { ...about, hostname: 'web-2' })), null);
});

const process = (over: object) => (s: OciSpec) => ({ process: { ...s.process, ...over } });
const changes: readonly [string, (spec: OciSpec) => object][] = [
  ['command or args', process({ args: ['sh', '-x'] })],
  ['the environment', process({ env: ['PATH=/bin', 'HOSTNAME=web-1', 'B=2'] })],
  ['the environment', process({ env: ['PATH=/bin', 'HOSTNAME=mine', 'B=2', 'A=1'] })],
  ['the working directory', process({ cwd: '/tmp' })],
  ['the user or its groups', process({ user: { uid: 1, gid: 2, umask: 0o022, additionalGids: [] } })],
  ['the capabilities', (s) => process({ capabilities: { ...s.process.capabilities, bounding: [] } })(s)],
  ['no_new_privs', process({ noNewPrivileges: false })],
  ['the AppArmor profile', process({ apparmorProfile: 'x' })],
  ['tty', process({ terminal: true })],
  ['the mounts', ({ mounts }) => ({ mounts: mounts.slice(1) })],
  ['the mounts', ({ mounts }) => ({ mounts: mounts.map((m) => ({ ...m, options: ['rbind', 'rw'] })) })],
  ['the masked paths', ({ linux }) => ({ linux: { ...linux, maskedPaths: [] } })],
  ['the read-only paths', ({ linux }) => ({ linux: { ...linux, readonlyPaths: ['/sys'] } })],
  ['readonly_rootfs', ({ root }) => ({ root: { ...root, readonly: true } })],
];
test('what differs is named, without its value', (t) => {
  for (const [what, change] of changes) t.is(mismatch(before, captured(spec(change), about)), what);
  t.is(mismatch(before, captured(spec(), { ...about, image: 'sha256:2' })), 'the image');
});

test('it survives being written down', (t) => {
  t.is(mismatch(JSON.parse(JSON.stringify(before)), captured(spec(), about)), null);
});
