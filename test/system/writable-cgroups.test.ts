// Containers that divide their cgroup among cgroups of their own: asked for by annotation, and out of reach of their limits.
import test from 'ava';
import { cgroupExists, cgroupFile, containerPath } from '../helpers/cgroups.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { limited, mebi, withoutV2 } from '../helpers/limits.ts';
import { until } from '../helpers/until.ts';
import { create, exec, exited, fails, pull, runPod, sh, shell, start, statusOf, type Pod } from '../helpers/pods.ts';

const daemon = useDaemon(test, { flags: ['--set=cgroup.writable=true'] });
const annotations = { 'podwright.writable-cgroup': 'true' };
let pod: Pod;

const why = withoutV2('memory');
const v2 = why === null;
const onV2 = v2 ? test.serial : test.serial.skip;
const title = (text: string): string => (v2 ? text : `${text} (${why})`);

test.before('a pod', async () => {
  await pull(daemon);
  pod = await runPod(daemon, { annotations });
});

const onV1 = v2 ? test.serial.skip : test.serial;
onV1(`without cgroup v2 it is refused, and says so${v2 ? ' (this host has cgroup v2)' : ''}`, async (t) => {
  await fails(t, create(daemon, pod, limited({})), { code: 'FAILED_PRECONDITION', message: /cgroup v2/ });
});

const limit = { memory_limit_in_bytes: String(48 * mebi), memory_swap_limit_in_bytes: String(48 * mebi) };
/** What systemd does first: all processes go into a leaf, and the controllers to what is below. */
const divide = [
  'cd /sys/fs/cgroup',
  'mkdir init jobs',
  'echo 1 > init/cgroup.procs',
  'for c in $(cat cgroup.controllers); do echo +$c > cgroup.subtree_control; done',
  'echo 8M > jobs/memory.max',
  'exec sleep 3600',
].join('; ');

onV2(title('it makes cgroups with controllers, its limits stay, and commands still come in'), async (t) => {
  const id = await start(daemon, pod, limited(limit, divide));
  // read from outside: a command that came in at that moment would keep the controllers from going below
  const jobs = `${containerPath(pod.id, id)}/payload/jobs`;
  await until(
    'it has divided its cgroup',
    () => cgroupExists(jobs) && cgroupFile(jobs, 'memory.max', 'cgroup.procs') === String(8 * mebi),
  );
  t.is(cgroupFile(containerPath(pod.id, id), 'memory.max'), String(48 * mebi), 'its limits are above what it sees');
  t.is(await shell(daemon, id, 'cat /sys/fs/cgroup/memory.max'), 'max');
  // the root of its tree takes no process now: a command comes to its first process
  t.is(await shell(daemon, id, 'cat /proc/self/cgroup'), '0::/init');
  const job = 'echo 0 > /sys/fs/cgroup/jobs/cgroup.procs; exec tail /dev/zero';
  t.not((await exec(daemon, id, ...sh(job))).code, 0, 'its own limit is enforced too');
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING');
  await daemon.restart();
  t.is(await shell(daemon, id, 'cat /proc/self/cgroup'), '0::/init');
  await daemon.runtime.StopContainer({ container_id: id, timeout: '0' });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

onV2(title('it cannot take more than its limit, nor make cgroups without end'), async (t) => {
  const grow = 'echo max > /sys/fs/cgroup/memory.max; exec tail /dev/zero';
  const id = await start(daemon, pod, limited(limit, grow));
  t.is((await exited(daemon, id)).exit_code, 137);
  await daemon.runtime.RemoveContainer({ container_id: id });
  const many = await start(daemon, pod, limited(limit));
  t.is(await shell(daemon, many, 'cat /sys/fs/cgroup/cgroup.max.descendants'), '1000');
  await daemon.runtime.RemoveContainer({ container_id: many });
});

onV2(title('who does not ask has them read-only'), async (t) => {
  const other = await runPod(daemon);
  const id = await start(daemon, other, limited({}));
  const { code, stderr } = await exec(daemon, id, 'mkdir', '/sys/fs/cgroup/mine');
  t.not(code, 0);
  t.regex(stderr, /Read-only file system/);
  await daemon.removePod(other.id);
});

endsWithoutResidue(test, daemon);
