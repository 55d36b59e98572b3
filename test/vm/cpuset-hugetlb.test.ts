// Processors and huge pages in cgroup v2, which user-mode Linux has not: hack/test.sh vm-qemu runs it in an emulated machine.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { cgroupFile, containerPath, legacy, removeCgroupTree } from '../helpers/cgroups.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { counted, limited, mebi } from '../helpers/limits.ts';
import { create, exec, fails, pull, runPod, shell, start, type Pod } from '../helpers/pods.ts';

const daemon = useDaemon(test);
const root = '/sys/fs/cgroup';
let pod: Pod;

test.before('a pod, and huge pages', async (t) => {
  if (legacy || process.env['TESTBED'] === undefined) throw new Error('this is for a machine of hack/testbed');
  await pull(daemon);
  pod = await runPod(daemon);
  writeFileSync('/proc/sys/vm/nr_hugepages', '16');
  t.true(Number(readFileSync('/proc/sys/vm/nr_hugepages', 'utf8')) >= 8);
});

const path = (id: string): string => containerPath(pod.id, id);
const remove = (id: string) => daemon.runtime.RemoveContainer({ container_id: id });
const update = (id: string, linux: object) => daemon.runtime.UpdateContainerResources({ container_id: id, linux });
const processors = (id: string): Promise<string> =>
  shell(daemon, id, 'grep Cpus_allowed_list /proc/self/status | cut -f2');

test.serial('a cpuset keeps a container on its processor, and an update moves it', async (t) => {
  const id = await start(daemon, pod, limited({ cpuset_cpus: '1', cpuset_mems: '0' }));
  t.is(await processors(id), '1');
  await update(id, { cpuset_cpus: '0' });
  t.is(await processors(id), '0');
  await fails(t, update(id, { cpuset_cpus: '77' }), { code: 'INVALID_ARGUMENT' });
  t.is(await processors(id), '0');
  await remove(id);
});

test.serial('a partition that cannot be is refused with the reason of the kernel', async (t) => {
  const partition = { 'cpuset.cpus.partition': 'root' };
  await fails(t, create(daemon, pod, limited({ cpuset_cpus: '1', unified: partition })), {
    code: 'INVALID_ARGUMENT',
    message: /root invalid \(/,
  });
  const id = await create(daemon, pod, limited({ cpuset_cpus: '1' }));
  await fails(t, update(id, { unified: partition }), { code: 'INVALID_ARGUMENT', message: /root invalid \(/ });
  t.is(cgroupFile(path(id), 'cpuset.cpus.partition'), 'member');
  await remove(id);
});

test.serial('a partition takes its processor from everybody else', async (t) => {
  const parent = `/pwt-partition-${process.pid}`;
  mkdirSync(join(root, parent));
  t.teardown(() => removeCgroupTree(parent));
  writeFileSync(join(root, parent, 'cpuset.cpus'), '1');
  writeFileSync(join(root, parent, 'cpuset.cpus.partition'), 'root');
  const own = await runPod(daemon, { linux: { cgroup_parent: parent } });
  const unified = { 'cpuset.cpus.partition': 'root' };
  const id = await start(daemon, own, limited({ cpuset_cpus: '1', unified }));
  t.is(cgroupFile(`${parent}/${id}`, 'cpuset.cpus.partition'), 'root');
  t.is(await processors(id), '1');
  const other = await start(daemon, pod, limited({}));
  t.is(await processors(other), '0');
  await remove(other);
  await daemon.removePod(own.id);
});

test.serial('huge pages above their limit are refused', async (t) => {
  const file = `/dev/hugepages/pwt-${process.pid}`;
  t.teardown(() => rmSync(file, { force: true }));
  const resources = { hugepage_limits: [{ page_size: '2MB', limit: String(4 * mebi) }] };
  const mounts = [{ host_path: '/dev/hugepages', container_path: '/huge' }];
  const id = await start(daemon, pod, { ...limited(resources), mounts });
  const name = `/huge/pwt-${process.pid}`;
  t.is(cgroupFile(path(id), 'hugetlb.2MB.rsvd.max'), String(4 * mebi));
  const within = await exec(daemon, id, 'fallocate', '-l', String(4 * mebi), name);
  t.is(within.code, 0, within.stderr);
  t.is(cgroupFile(path(id), 'hugetlb.2MB.current'), String(4 * mebi));
  t.not((await exec(daemon, id, 'fallocate', '-l', String(8 * mebi), name)).code, 0);
  t.true(counted(path(id), 'hugetlb.2MB.events', 'max') > 0);
  t.is(cgroupFile(path(id), 'hugetlb.2MB.current'), String(4 * mebi));
  await remove(id);
});

endsWithoutResidue(test, daemon);
