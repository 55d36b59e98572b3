import test from 'ava';
import { cgroupNamed, namedCgroups } from '../../../src/cgroup/named.ts';

const id = 'a'.repeat(64);

const rows: readonly (readonly [what: string, table: string, found: string | null])[] = [
  ['below a kubelet', `0::/kubepods/pod1/${id}\n`, `/kubepods/pod1/${id}`],
  [
    'a scope of systemd',
    `0::/k.slice/k-pod1.slice/podwright-${id}.scope\n`,
    `/k.slice/k-pod1.slice/podwright-${id}.scope`,
  ],
  ['in one hierarchy of many', `12:pids:/\n4:memory:/kubepods/pod1/${id}\n1:name=systemd:/\n`, `/kubepods/pod1/${id}`],
  ['a cgroup that the container made', `0::/kubepods/pod1/${id}/init/x\n`, `/kubepods/pod1/${id}`],
  ['the pause process in a pod of ours', `0::/podwright/pods/${id}/${id}\n`, `/podwright/pods/${id}`],
  ['a name with a colon above', `0::/a:b/${id}\n`, `/a:b/${id}`],
  ['another id', `0::/kubepods/pod1/${'b'.repeat(64)}\n`, null],
  ['a name that has the id in it', `0::/kubepods/cri-containerd-${id}.scope\n`, null],
  ['a process in the root', '0::/\n', null],
  ['nothing', '', null],
];

for (const [what, table, found] of rows) test(`by its name: ${what}`, (t) => t.is(cgroupNamed(table, id), found));

test('each cgroup is told once, and all processes are looked at once in a second', (t) => {
  let nowMs = 0;
  let looks = 0;
  const cgroups = namedCgroups({
    tables: () => {
      looks += 1;
      return [`0::/p/${id}\n`, `0::/p/${id}/below\n`, '0::/\n'];
    },
    elapsedMs: () => nowMs,
  });
  t.deepEqual(cgroups(id), [`/p/${id}`]);
  t.deepEqual(cgroups('b'.repeat(64)), []);
  t.is(looks, 1);
  nowMs = 1000;
  t.deepEqual(cgroups(id), [`/p/${id}`]);
  t.is(looks, 2);
});
