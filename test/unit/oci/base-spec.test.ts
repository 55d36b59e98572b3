// Base specs: what is taken, what pods decide, what is refused, and what comes first.
import test from 'ava';
import { baseLimits, noBase, parseBaseSpec, withBase, type BaseSpec } from '../../../src/oci/base-spec.ts';
import type { OciSpec } from '../../../src/oci/types.ts';

const parse = (value: unknown) => parseBaseSpec(typeof value === 'string' ? value : JSON.stringify(value));
const spec = (rest: object = {}) => ({ ociVersion: '1.1.0', ...rest });
const taken = (rest: object): BaseSpec => {
  const read = parse(spec(rest));
  if (typeof read === 'string') throw new Error(read);
  return read;
};

/** What `ctr oci spec` prints, shortened where it repeats itself. */
const containerds = spec({
  process: {
    user: { uid: 0, gid: 0, additionalGids: [0] },
    args: ['sh'],
    env: ['PATH=/usr/bin'],
    cwd: '/',
    capabilities: {
      bounding: ['CAP_CHOWN', 'CAP_KILL'],
      effective: ['CAP_KILL', 'CAP_CHOWN'],
      permitted: ['CAP_CHOWN', 'CAP_KILL'],
    },
    rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1000 }],
    noNewPrivileges: true,
  },
  root: { path: 'rootfs' },
  mounts: [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'newinstance'] },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['ro'] },
    { destination: '/run', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
  ],
  linux: {
    resources: { devices: [{ allow: false, access: 'rwm' }] },
    cgroupsPath: '/default',
    namespaces: ['pid', 'ipc', 'uts', 'mount', 'network', 'cgroup'].map((type) => ({ type })),
    maskedPaths: ['/proc/acpi'],
    readonlyPaths: ['/proc/bus'],
  },
});

test('what containerd prints is a base spec', (t) =>
  t.deepEqual(parse(containerds) as BaseSpec, {
    ...noBase,
    env: ['PATH=/usr/bin'],
    rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1000, hard: 1024 }],
    capabilities: ['CAP_CHOWN', 'CAP_KILL'],
  }));

test('nothing but a version says nothing', (t) => t.deepEqual(taken({}), noBase));

test('no limit at all is the largest number that can be told', (t) => {
  const text =
    '{"ociVersion":"1.0.2","process":{"rlimits":[{"type":"RLIMIT_MEMLOCK","soft":18446744073709551615,"hard":18446744073709551615}]}}';
  t.like(parse(text) as BaseSpec, { rlimits: [{ soft: Number.MAX_SAFE_INTEGER, hard: Number.MAX_SAFE_INTEGER }] });
});

for (const [name, value, why] of [
  ['no JSON', '{', /^it is not JSON/],
  ['no version', {}, /^ociVersion is not a string$/],
  ['version', { ociVersion: '2.0.0' }, /^ociVersion "2\.0\.0" is not 1\.x$/],
  ['a member', spec({ more: 1 }), /^more is not known$/],
  ['windows', spec({ windows: { cpu: {} } }), /^windows is not supported/],
  ['domain name', spec({ domainname: 'x' }), /^domainname is not supported/],
  ['read-only root', spec({ root: { path: 'x', readonly: true } }), /^root\.readonly is not taken/],
  ['AppArmor', spec({ process: { apparmorProfile: 'x' } }), /^process\.apparmorProfile is not taken/],
  ['OOM score', spec({ process: { oomScoreAdj: 5 } }), /^process\.oomScoreAdj is not taken/],
  ['scheduler', spec({ process: { scheduler: { policy: 'SCHED_FIFO' } } }), /^process\.scheduler is not supported/],
  ['I/O priority', spec({ process: { ioPriority: { class: 'x' } } }), /^process\.ioPriority is not supported/],
  ['a capability', spec({ process: { capabilities: { bounding: ['X'] } } }), /bounding\[0\] "X" is not a capability$/],
  [
    'other sets',
    spec({ process: { capabilities: { bounding: [], effective: ['CAP_KILL'] } } }),
    /effective is not what bounding is$/,
  ],
  ['inheritable', spec({ process: { capabilities: { inheritable: ['CAP_KILL'] } } }), /inheritable is not taken/],
  ['ambient', spec({ process: { capabilities: { ambient: ['CAP_KILL'] } } }), /ambient is not supported/],
  ['a limit’s name', spec({ process: { rlimits: [{ type: 'nofile', soft: 1, hard: 1 }] } }), /rlimits\[0\]\.type/],
  ['no limit', spec({ process: { rlimits: [{ type: 'RLIMIT_FOO', soft: 1, hard: 1 }] } }), /rlimits\[0\]\.type/],
  ['a limit', spec({ process: { rlimits: [{ type: 'RLIMIT_CPU', soft: 2, hard: 1 }] } }), /soft is more than hard$/],
  ['a variable', spec({ process: { env: ['A'] } }), /^process\.env\[0\] is not NAME=value$/],
  [
    'a mount’s type',
    spec({ mounts: [{ destination: '/x', type: 'nfs', source: 'a:/b' }] }),
    /^mounts\[0\]\.type "nfs" is neither/,
  ],
  [
    'a mount’s source',
    spec({ mounts: [{ destination: '/x', type: 'bind', source: 'x' }] }),
    /^mounts\[0\]\.source "x"/,
  ],
  ['a mount of the root', spec({ mounts: [{ destination: '/', type: 'tmpfs' }] }), /destination is the root$/],
  [
    'an idmapped mount',
    spec({ mounts: [{ destination: '/x', type: 'tmpfs', uidMappings: [{}] }] }),
    /uidMappings is not supported/,
  ],
  ['a hook', spec({ hooks: { prestart: [{ path: 'x' }] } }), /^hooks\.prestart\[0\]\.path/],
  ['a kind of hook', spec({ hooks: { before: [] } }), /^hooks\.before is not known$/],
  [
    'a limit of the cgroup',
    spec({ linux: { resources: { memory: { limit: 1 } } } }),
    /^linux\.resources\.memory is not taken/,
  ],
  ['a namespace', spec({ linux: { namespaces: [{ type: 'time' }] } }), /type "time" is not supported/],
  ['a namespace’s path', spec({ linux: { namespaces: [{ type: 'ipc', path: '/x' }] } }), /path is not taken/],
  ['a kernel parameter', spec({ linux: { sysctl: { 'vm.swappiness': '1' } } }), /sysctl\["vm\.swappiness"\] is not of/],
  ['no name', spec({ linux: { sysctl: { 'net./x': '1' } } }), /sysctl\["net\.\/x"\] is not of/],
  ['no ipc', spec({ linux: { sysctl: { 'kernel.semantics': '1' } } }), /sysctl\["kernel\.semantics"\] is not of/],
  [
    'a rule that takes back',
    spec({
      linux: {
        resources: {
          devices: [{ allow: false }, { allow: true, type: 'b' }, { allow: false, type: 'b', major: 8 }],
        },
      },
    }),
    /^linux\.resources\.devices\[2\] denies, which only the first may do/,
  ],
  [
    'a rule that takes from what others give',
    spec({ linux: { resources: { devices: [{ allow: false, type: 'c', major: 1 }] } } }),
    /^linux\.resources\.devices\[0\] denies/,
  ],
  ['seccomp', spec({ linux: { seccomp: { defaultAction: 'x' } } }), /^linux\.seccomp is not taken/],
  ['propagation', spec({ linux: { rootfsPropagation: 'shared' } }), /^linux\.rootfsPropagation is not taken/],
  ['RDT', spec({ linux: { intelRdt: { closID: 'x' } } }), /^linux\.intelRdt is not supported/],
  ['time', spec({ linux: { timeOffsets: { monotonic: {} } } }), /^linux\.timeOffsets is not supported/],
] as const)
  test(`refused: ${name}`, (t) => {
    const read = parse(value);
    t.regex(typeof read === 'string' ? read : 'it is one', why);
  });

test('what is refused may be there as if it were not', (t) =>
  t.deepEqual(taken({ domainname: '', root: { readonly: false }, linux: { seccomp: null, intelRdt: {} } }), noBase));

test('limits of the base spec count, others stay', (t) =>
  t.deepEqual(
    baseLimits(taken({ process: { rlimits: [{ type: 'RLIMIT_NOFILE', soft: 5, hard: 6 }] } }), {
      nofile: { soft: 1, hard: 2 },
      core: { soft: 0, hard: 0 },
    }),
    { nofile: { soft: 5, hard: 6 }, core: { soft: 0, hard: 0 } },
  ));

test('a container’s own things come over those of the base spec', (t) => {
  const base = taken({
    mounts: [
      { destination: '/data/', source: '/base', options: ['bind', 'ro'] },
      { destination: '/cache', type: 'tmpfs', options: ['size=1m'] },
    ],
    hooks: { poststop: [{ path: '/h' }] },
    annotations: { a: 'base', b: 'base' },
    linux: {
      sysctl: { 'net.core.somaxconn': '5', 'kernel.msgmax': '1' },
      devices: [{ path: '/dev/x', type: 'c', major: 1, minor: 3 }],
      resources: {
        devices: [
          { allow: false, access: 'rwm' },
          { allow: true, type: 'c', major: 1, minor: 3 },
        ],
      },
    },
  });
  const own = { destination: '/data', type: 'bind', source: '/pod', options: ['rbind'] };
  const plain = {
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc', options: [] }, own],
    annotations: { a: 'own' },
    linux: { devices: [], resources: { devices: [{ allow: false, access: 'rwm' }] }, sysctl: { 'kernel.msgmax': '9' } },
  } as unknown as OciSpec;
  const { mounts, hooks, annotations, linux } = withBase(plain, base);
  t.deepEqual(
    mounts.map(({ destination, source }) => [destination, source]),
    [
      ['/cache', 'tmpfs'],
      ['/proc', 'proc'],
      ['/data', '/pod'],
    ],
  );
  t.deepEqual(hooks, { poststop: [{ path: '/h', args: ['/h'], env: [], timeout: 60 }] });
  t.deepEqual(annotations, { a: 'own', b: 'base' });
  t.deepEqual(linux.sysctl, { 'net.core.somaxconn': '5', 'kernel.msgmax': '9' });
  t.deepEqual(linux.devices, [{ path: '/dev/x', type: 'c', major: 1, minor: 3, fileMode: 0o666, uid: 0, gid: 0 }]);
  t.deepEqual(linux.resources.devices, [
    { allow: false, access: 'rwm' },
    { allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' },
  ]);
  t.is(withBase(plain, noBase), plain);
});
