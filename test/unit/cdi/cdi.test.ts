// CDI: names, documents, which device of which file counts, and what it does to a spec.
import test, { type ExecutionContext } from 'ava';
import { requestedDevices } from '../../../src/cdi/names.ts';
import { resolveDevices } from '../../../src/cdi/resolve.ts';
import { type CdiFile, parseSpec } from '../../../src/cdi/spec.ts';
import { Failure, type FailureKind } from '../../../src/lib/failure.ts';

const file = (value: object | string, path = '/etc/cdi/a.json', priority = 0): CdiFile => ({
  path,
  priority,
  content: { text: typeof value === 'string' ? value : JSON.stringify(value) },
});
const spec = (change: object = {}) => ({
  cdiVersion: '0.6.0',
  kind: 'vendor.example/class',
  devices: [{ name: 'dev0', containerEdits: { env: ['DEV=0'] } }],
  containerEdits: { env: ['ALL=1'] },
  ...change,
});
const asked = (...names: string[]) => requestedDevices(names, {});

/** Why a file is no spec; null when it is one. */
const whyNot = (of: CdiFile): string | null => {
  const read = parseSpec(of);
  return typeof read === 'string' ? read : null;
};

type Expected = readonly [FailureKind, RegExp];

function fails(t: ExecutionContext, work: () => unknown, [kind, message]: Expected): void {
  const error = t.throws(work, { instanceOf: Failure });
  t.is(error?.kind, kind);
  t.regex(error?.message ?? '', message);
}

test('devices come from the field and from annotations, each once', (t) => {
  const annotations = { 'cdi.k8s.io/plugin_x': 'a/b=1, a/b=2', 'cdi.k8s.io/y': 'a/b=3', other: 'no device' };
  t.deepEqual(
    requestedDevices(['v.example/gpu=all', 'a/b=2'], annotations).map(({ text }) => text),
    ['v.example/gpu=all', 'a/b=2', 'a/b=1', 'a/b=3'],
  );
  t.deepEqual(requestedDevices(['nvidia.com/gpu-x=0:1.2_z'], {}), [
    { text: 'nvidia.com/gpu-x=0:1.2_z', kind: 'nvidia.com/gpu-x', device: '0:1.2_z' },
  ]);
});

for (const name of [
  '',
  'a',
  'a/b',
  'a=b',
  '/b=c',
  'a/=c',
  'a/b=',
  '1a/b=c',
  'a./b=c',
  'a/b.c=d',
  'a/b=-c',
  'a/b=c-',
  'a/b/c=d',
  'a/b=c d',
  'a/b=c\n',
]) {
  test(`no device name: ${JSON.stringify(name)}`, (t) => {
    fails(t, () => asked(name), ['invalid-argument', /^config\.CDI_devices\[0\]\.name .* is not a CDI device/]);
    fails(t, () => requestedDevices([], { 'cdi.k8s.io/x': `a/b=c,${name}x=` }), [
      'invalid-argument',
      /^config\.annotations\["cdi/,
    ]);
  });
}

test('JSON and YAML are the same', (t) => {
  const yaml =
    'cdiVersion: "0.6.0"\nkind: vendor.example/class\ndevices:\n- name: "0"\n  containerEdits:\n    additionalGids: [44]\n';
  const read = parseSpec(file(yaml));
  if (typeof read === 'string') return t.fail(read);
  t.deepEqual(read.devices.get('0')?.additionalGids, [44]);
  t.not(typeof parseSpec(file(spec())), 'string');
});

for (const [what, change, why] of [
  ['no version', { cdiVersion: undefined }, /^cdiVersion "" is not a version that is known/],
  ['a later version', { cdiVersion: '2.0.0' }, /^cdiVersion "2.0.0" is not/],
  ['a kind without class', { kind: 'vendor' }, /^kind is not "vendor\/class"/],
  ['an unknown member', { extra: 1 }, /^extra is not known/],
  ['an unknown edit', { containerEdits: { sysctl: {} } }, /^containerEdits\.sysctl is not known/],
  ['a device twice', { devices: [{ name: 'a' }, { name: 'a' }] }, /^devices\[1\]\.name a is there twice/],
  ['a device without name', { devices: [{}] }, /^devices\[0\]\.name is not a string/],
  ['no environment', { containerEdits: { env: ['=x'] } }, /^containerEdits\.env\[0\] is not NAME=value/],
  [
    'a relative node',
    { containerEdits: { deviceNodes: [{ path: 'dev/x' }] } },
    /deviceNodes\[0\]\.path "dev\/x" is not an absolute path/,
  ],
  [
    'a wrong type',
    { containerEdits: { deviceNodes: [{ path: '/dev/x', type: 'z' }] } },
    /type "z" is not a device type/,
  ],
  ['wrong permissions', { containerEdits: { deviceNodes: [{ path: '/d', permissions: 'rx' }] } }, /permissions "rx"/],
  ['a negative major', { containerEdits: { deviceNodes: [{ path: '/d', major: -1 }] } }, /major is not a number/],
  [
    'a mount without source',
    { containerEdits: { mounts: [{ containerPath: '/x' }] } },
    /mounts\[0\]\.hostPath is not a string/,
  ],
  ['a list that is none', { containerEdits: { env: 'A=b' } }, /env is not a list/],
  ['a group that is none', { containerEdits: { additionalGids: ['video'] } }, /additionalGids\[0\] is not a number/],
] as const) {
  test(`no spec: ${what}`, (t) => t.regex(whyNot(file(spec(change))) ?? '', why));
}

test('what is no document at all', (t) => {
  t.regex(whyNot(file('{')) ?? '', /^it is neither JSON nor YAML: /);
  t.is(parseSpec(file('[]')), 'it is not an object');
  t.is(parseSpec(file('')), 'it is not an object');
  t.is(parseSpec({ path: '/x', priority: 0, content: { why: 'too large' } }), 'too large');
  const bomb = `a: &a [x]\n${Array.from(
    { length: 9 },
    (_, i) =>
      `b${i}: &b${i} [${Array(9)
        .fill(i === 0 ? '*a' : `*b${i - 1}`)
        .join()}]`,
  ).join('\n')}`;
  t.regex(whyNot(file(bomb)) ?? '', /neither JSON nor YAML: Excessive alias/);
});

test('edits: those of a spec once, then those of each device, in the order asked for', (t) => {
  const devices = ['a', 'b', 'c'].map((name) => ({ name, containerEdits: { env: [`DEV_${name}=1`] } }));
  const { env } = resolveDevices(asked('vendor.example/class=c', 'vendor.example/class=a'), [file(spec({ devices }))]);
  t.deepEqual(env, ['ALL=1', 'DEV_c=1', 'DEV_a=1']);
});

test('of equal devices that of the later directory counts; two of one directory are no device', (t) => {
  const of = (text: string, path: string, priority: number) =>
    file(spec({ containerEdits: {}, devices: [{ name: 'dev0', containerEdits: { env: [text] } }] }), path, priority);
  const name = asked('vendor.example/class=dev0');
  const [low, high] = [of('FROM=low', '/etc/cdi/a.json', 0), of('FROM=high', '/run/cdi/a.json', 1)];
  t.deepEqual(resolveDevices(name, [low, high]).env, ['FROM=high']);
  t.deepEqual(resolveDevices(name, [high, low]).env, ['FROM=high']);
  const twice = [high, of('FROM=other', '/run/cdi/b.json', 1), low];
  fails(t, () => resolveDevices(name, twice), [
    'failed-precondition',
    /\/run\/cdi\/a\.json and in \/run\/cdi\/b\.json/,
  ]);
  const hidden = [low, of('FROM=other', '/etc/cdi/b.json', 0), high];
  t.deepEqual(resolveDevices(name, hidden).env, ['FROM=high'], 'a conflict below is hidden too');
});

test('a device that is nowhere is named, and so is what could not be read', (t) => {
  const files = [file(spec()), file('{', '/etc/cdi/broken.json')];
  fails(t, () => resolveDevices(asked('vendor.example/class=dev1'), files), [
    'failed-precondition',
    /^CDI device vendor\.example\/class=dev1 is in none of the spec directories; not read: \/etc\/cdi\/broken\.json: /,
  ]);
});

for (const [what, edits, why] of [
  ['intelRdt', { intelRdt: { closID: 'x' } }, /intelRdt/],
  ['netDevices', { netDevices: [{ hostInterfaceName: 'eth7', name: 'eth1' }] }, /netDevices/],
] as const) {
  test(`an edit that is not carried out: ${what}`, (t) => {
    const files = [file(spec({ devices: [{ name: 'dev0', containerEdits: edits }, { name: 'plain' }] }))];
    fails(t, () => resolveDevices(asked('vendor.example/class=dev0'), files), ['unimplemented', why]);
    t.notThrows(() => resolveDevices(asked('vendor.example/class=plain'), files), 'only the device that has it');
  });
}

test('hooks keep their order, and one that says nothing of its time has a limit', (t) => {
  const hooks = [
    { hookName: 'createContainer', path: '/usr/bin/hook', args: ['hook', 'x'], env: ['A=b'], timeout: 5 },
    { hookName: 'poststop', path: '/usr/bin/other' },
  ];
  const all = { hooks: [{ hookName: 'prestart', path: '/first' }] };
  const files = [file(spec({ devices: [{ name: 'dev0', containerEdits: { hooks } }], containerEdits: all }))];
  t.deepEqual(resolveDevices(asked('vendor.example/class=dev0'), files).hooks, [
    { kind: 'prestart', path: '/first', args: ['/first'], env: [], timeout: 60 },
    { kind: 'createContainer', path: '/usr/bin/hook', args: ['hook', 'x'], env: ['A=b'], timeout: 5 },
    { kind: 'poststop', path: '/usr/bin/other', args: ['/usr/bin/other'], env: [], timeout: 60 },
  ]);
});

for (const [hook, why] of [
  [{ hookName: 'preStart', path: '/h' }, /hooks\[0\]\.hookName "preStart" is not a kind of hook/],
  [{ hookName: 'poststop', path: 'h' }, /hooks\[0\]\.path "h" is not an absolute path/],
  [{ hookName: 'poststop', path: '/h', timeout: 0 }, /hooks\[0\]\.timeout is 0/],
  [{ hookName: 'poststop', path: '/h', timeout: -1 }, /hooks\[0\]\.timeout is not a number/],
  [{ hookName: 'poststop', path: '/h', env: ['A'] }, /hooks\[0\]\.env\[0\] is not NAME=value/],
] as const) {
  test(`a hook that is none: ${JSON.stringify(hook)}`, (t) => {
    t.regex(whyNot(file(spec({ containerEdits: { hooks: [hook] } }))) ?? '', why);
  });
}

test('nodes: complete ones as they are, others looked up; mounts bind unless told otherwise', (t) => {
  const containerEdits = {
    deviceNodes: [
      { path: '/dev/a', type: 'c', major: 1, minor: 5, fileMode: 0o100640, permissions: 'rw', uid: 1, gid: 2 },
      { path: '/dev/b', hostPath: '/dev/zero' },
      { path: '/dev/c', type: 'b' },
      { path: '/dev/p', type: 'p' },
    ],
    mounts: [
      { hostPath: '/lib/x', containerPath: '/lib/x', options: ['ro', 'rbind'] },
      { hostPath: 'tmpfs', containerPath: '/t', type: 'tmpfs' },
    ],
    additionalGids: [44],
  };
  const found = resolveDevices(asked('vendor.example/class=dev0'), [file(spec({ containerEdits }))]);
  const none = { fileMode: null, uid: null, gid: null, permissions: 'rwm' };
  t.deepEqual(found.devices, [
    {
      containerPath: '/dev/a',
      hostPath: '/dev/a',
      permissions: 'rw',
      node: { type: 'c', major: 1, minor: 5 },
      fileMode: 0o640,
      uid: 1,
      gid: 2,
    },
    { ...none, containerPath: '/dev/b', hostPath: '/dev/zero', node: null },
    { ...none, containerPath: '/dev/c', hostPath: '/dev/c', node: null },
    { ...none, containerPath: '/dev/p', hostPath: '/dev/p', node: { type: 'p', major: 0, minor: 0 } },
  ]);
  t.deepEqual(found.mounts, [
    { destination: '/lib/x', type: 'bind', source: '/lib/x', options: ['ro', 'rbind'] },
    { destination: '/t', type: 'tmpfs', source: 'tmpfs', options: [] },
  ]);
  t.deepEqual(found.additionalGids, [44]);
});
