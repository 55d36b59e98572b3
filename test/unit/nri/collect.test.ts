// What several plugins want together: order, owners, conflicts, what is taken away again.
import test from 'ava';
import { Collected, seenBy, Updates } from '../../../src/nri/collect.ts';
import { Owners } from '../../../src/nri/owners.ts';
import { adjustment, container, resources, update } from './wishes.ts';

/** Everything that one plugin can set and another one then cannot. */
const contested: Readonly<Record<string, readonly [object, RegExp]>> = {
  annotation: [{ annotations: { a: '1' } }, /Annotations a/],
  mount: [{ mounts: [{ destination: '/m', source: '/s' }] }, /Mounts \/m/],
  env: [{ env: [{ key: 'K', value: 'v' }] }, /Env K/],
  args: [{ args: ['x'] }, /Args/],
  rlimit: [{ rlimits: [{ type: 'RLIMIT_CORE', hard: '1', soft: '1' }] }, /Rlimits RLIMIT_CORE/],
  cdi: [{ CDIDevices: [{ name: 'v/c=d' }] }, /CdiDevices v\/c=d/],
  device: [{ linux: { devices: [{ path: '/dev/x', type: 'c' }] } }, /Devices \/dev\/x/],
  namespace: [{ linux: { namespaces: [{ type: 'ipc' }] } }, /Namespace ipc/],
  sysctl: [{ linux: { sysctl: { 'net.x': '1' } } }, /Sysctl net\.x/],
  netDevice: [{ linux: { netDevices: { eth9: { name: 'eth0' } } } }, /LinuxNetDevices eth9/],
  oom: [{ linux: { oomScoreAdj: { value: '5' } } }, /OomScoreAdj/],
  cgroup: [{ linux: { cgroupsPath: '/x' } }, /CgroupsPath/],
  io: [{ linux: { ioPriority: { class: 1 } } }, /IoPriority/],
  seccomp: [{ linux: { seccompPolicy: { defaultAction: 'SCMP_ACT_ALLOW' } } }, /SeccompPolicy/],
  scheduler: [{ linux: { scheduler: { policy: 2 } } }, /LinuxSched/],
  rdt: [{ linux: { rdt: { closId: { value: 'x' } } } }, /RdtClosID/],
  memoryPolicy: [{ linux: { memoryPolicy: { mode: 2 } } }, /MemoryPolicy/],
  memory: [{ linux: { resources: { memory: { limit: { value: '1' } } } } }, /MemLimit/],
  shares: [{ linux: { resources: { cpu: { shares: { value: '2' } } } } }, /CPUShares/],
  cpus: [{ linux: { resources: { cpu: { cpus: '0' } } } }, /CPUSetCPUs/],
  pids: [{ linux: { resources: { pids: { limit: '9' } } } }, /PidsLimit/],
  unified: [{ linux: { resources: { unified: { 'memory.low': '1' } } } }, /CgroupsUnified memory\.low/],
  pages: [{ linux: { resources: { hugepageLimits: [{ pageSize: '2MB', limit: '1' }] } } }, /HugepageLimits 2MB/],
  blockio: [{ linux: { resources: { blockioClass: { value: 'b' } } } }, /BlockioClass/],
  rdtClass: [{ linux: { resources: { rdtClass: { value: 'r' } } } }, /RdtClass/],
};

for (const [what, [wish, where]] of Object.entries(contested)) {
  test(`two plugins that set one ${what} are a conflict, which names both`, (t) => {
    const all = new Collected('c');
    all.add(adjustment(wish), '10-a');
    const error = t.throws(() => all.add(adjustment(wish), '20-b'));
    t.regex(error?.message ?? '', where);
    t.regex(error?.message ?? '', /"20-b" and "10-a"/);
  });
}

test('hooks and device rules of several plugins add up', (t) => {
  const all = new Collected('c');
  for (const path of ['/a', '/b'])
    all.add(
      adjustment({
        hooks: { poststart: [{ path }] },
        linux: { resources: { devices: [{ allow: true, access: 'r' }] } },
      }),
      `10-${path.slice(1)}`,
    );
  t.deepEqual(
    all.adjustment.hooks?.poststart.map(({ path }) => path),
    ['/a', '/b'],
  );
  t.is(all.adjustment.linux?.resources?.devices.length, 2);
  t.is(all.owners.of({ id: 'c', field: 'OciHooks' }), '10-a,10-b');
});

test('a plugin may take away what another one set, and set it itself', (t) => {
  const all = new Collected('c');
  all.add(adjustment({ env: [{ key: 'K', value: 'old' }], annotations: { a: 'old' }, args: ['old'] }), '10-a');
  all.add(
    adjustment({
      env: [{ key: '-K' }, { key: 'K', value: 'new' }],
      annotations: { '-a': '', a: 'new' },
      args: ['', 'new'],
    }),
    '20-b',
  );
  const { env, annotations, args } = all.adjustment;
  t.deepEqual([env, annotations, args], [[{ key: 'K', value: 'new' }], { a: 'new' }, ['new']]);
  t.is(all.owners.of({ id: 'c', field: 'Env', entry: 'K' }), '20-b');
});

test('what is only taken away is told with its mark', (t) => {
  const all = new Collected('c');
  all.add(adjustment({ mounts: [{ destination: '-/etc/hosts' }], linux: { devices: [{ path: '-/dev/x' }] } }), '10-a');
  t.deepEqual(
    all.adjustment.mounts.map(({ destination }) => destination),
    ['-/etc/hosts'],
  );
  t.deepEqual(
    all.adjustment.linux?.devices.map(({ path }) => path),
    ['-/dev/x'],
  );
});

test('the next plugin sees the container as those before it want it', (t) => {
  const base = container({
    env: ['A=1', 'B=2'],
    mounts: [{ destination: '/a' }, { destination: '/b' }],
    annotations: { x: '1' },
    linux: { resources: { cpu: { shares: { value: '2' }, cpus: '0-3' } } },
  });
  const all = new Collected('c');
  all.add(
    adjustment({
      env: [{ key: '-A' }, { key: 'B', value: '3' }, { key: 'C', value: '4' }],
      mounts: [{ destination: '-/a' }],
      annotations: { '-x': '', y: '2' },
      args: ['run'],
      linux: { resources: { cpu: { cpus: '1' } } },
    }),
    '10-a',
  );
  const seen = seenBy(base, all.adjustment);
  t.deepEqual(seen.env, ['B=3', 'C=4']);
  t.deepEqual(
    seen.mounts.map(({ destination }) => destination),
    ['/b'],
  );
  t.deepEqual(seen.annotations, { y: '2' });
  t.deepEqual(seen.args, ['run']);
  t.is(seen.linux?.resources?.cpu?.cpus, '1');
  t.is(seen.linux?.resources?.cpu?.shares?.value, '2');
});

test('updates of other containers are put together, and never are of the one that is made', (t) => {
  const updates = new Updates(new Owners(), 'made');
  const wish = (id: string, cpu: object, more = {}) =>
    update({ containerId: id, linux: { resources: { cpu } }, ...more });
  updates.add([wish('x', { cpus: '0' })], '10-a');
  updates.add([wish('x', { shares: { value: '7' } })], '20-b');
  t.throws(() => updates.add([wish('x', { cpus: '1' })], '30-c'), { message: /CPUSetCPUs/ });
  updates.add([wish('x', { cpus: '1' }, { ignoreFailure: true })], '30-c');
  t.throws(() => updates.add([wish('made', { cpus: '1' })], '30-c'), { message: /while it is made/ });
  const [one, ...more] = updates.all;
  t.deepEqual(more, []);
  t.deepEqual([one?.linux?.resources?.cpu?.cpus, one?.linux?.resources?.cpu?.shares?.value], ['0', '7']);
});

test('an update that was asked for is what plugins change', (t) => {
  const updates = new Updates(new Owners());
  updates.begin('x', resources({ cpu: { shares: { value: '2' }, cpus: '0-1' } }));
  updates.add([update({ containerId: 'x', linux: { resources: { cpu: { cpus: '1' } } } })], '10-a');
  const [one] = updates.all;
  t.deepEqual([one?.linux?.resources?.cpu?.cpus, one?.linux?.resources?.cpu?.shares?.value], ['1', '2']);
});
