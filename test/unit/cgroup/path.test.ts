import test from 'ava';
import { containerCgroup, expandSlice, parseCgroupParent, sandboxCgroup } from '../../../src/cgroup/path.ts';
import { Failure } from '../../../src/lib/failure.ts';

test('both spellings of a parent are understood', (t) => {
  const table: [string, string, string][] = [
    ['/kubepods/burstable/pod1', 'cgroupfs', '/kubepods/burstable/pod1'],
    ['kubepods/pod1', 'cgroupfs', '/kubepods/pod1'],
    ['//a/./b/', 'cgroupfs', '/a/b'],
    [
      'kubepods-burstable-pod1.slice',
      'systemd',
      '/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice',
    ],
    ['kubepods.slice', 'systemd', '/kubepods.slice'],
    ['/kubepods.slice/kubepods-pod1.slice', 'systemd', '/kubepods.slice/kubepods-pod1.slice'],
  ];
  for (const [parent, spelling, path] of table)
    t.deepEqual(parseCgroupParent(parent), { spelling, path } as never, parent);
  t.is(parseCgroupParent(''), null);
});

test('what cannot be a parent is refused by name', (t) => {
  for (const parent of [
    '/',
    '.',
    '/a/../b',
    '..',
    '/a\nb',
    'a--b.slice',
    '/kubepods/pod1.slice',
    '-a.slice',
    'a-.slice',
    '-.slice',
    '.slice',
    `/${'x'.repeat(256)}`,
  ]) {
    const error = t.throws(() => parseCgroupParent(parent), { instanceOf: Failure }, parent);
    t.is(error?.kind, 'invalid-argument');
  }
});

test('slices nest at each dash', (t) => {
  t.is(expandSlice('a-b-c.slice'), '/a.slice/a-b.slice/a-b-c.slice');
  t.is(expandSlice('kubepods-pod1_2.slice'), '/kubepods.slice/kubepods-pod1_2.slice');
});

test('a pod without a parent gets a cgroup of ours', (t) => {
  t.deepEqual(sandboxCgroup('cgroupfs', '', 'abc'), { path: '/podwright/pods/abc', owned: true });
  t.deepEqual(sandboxCgroup('cgroupfs', '/kubepods/pod1', 'abc'), { path: '/kubepods/pod1', owned: false });
  t.deepEqual(sandboxCgroup('systemd', '', 'abc'), {
    path: '/podwright.slice/podwright-pods.slice/podwright-pods-abc.slice',
    owned: true,
  });
  t.deepEqual(sandboxCgroup('systemd', 'a-b.slice', 'abc'), { path: '/a.slice/a-b.slice', owned: false });
});

test('a parent in the other driver’s spelling is refused', (t) => {
  t.throws(() => sandboxCgroup('cgroupfs', 'a.slice', 'abc'), {
    message: /"a.slice" is a systemd slice, but the cgroup driver is cgroupfs/,
  });
  t.throws(() => sandboxCgroup('systemd', '/kubepods/pod1', 'abc'), {
    message: /is no systemd slice, but the cgroup driver is systemd/,
  });
});

test('container names are those other programs look for', (t) => {
  t.is(containerCgroup('/kubepods/pod1', 'id1'), '/kubepods/pod1/id1');
  t.is(containerCgroup('/a.slice', 'id1'), '/a.slice/podwright-id1.scope');
});
