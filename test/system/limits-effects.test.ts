// What the kernel does by limits that cgroup v1 and v2 have alike: shares of a processor, devices, swap.
import { cpus } from 'node:os';
import test from 'ava';
import { cgroupFile, containerPath, hasController } from '../helpers/cgroups.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { cpuTime, limited, mebi } from '../helpers/limits.ts';
import { exec, pull, runPod, sh, start, statusOf, type Pod } from '../helpers/pods.ts';
import { noSwap, swapOn } from '../helpers/swap.ts';
import { patienceMs, until } from '../helpers/until.ts';

const daemon = useDaemon(test);
let pod: Pod;

test.before('a pod', async () => {
  await pull(daemon);
  pod = await runPod(daemon);
});

const path = (id: string): string => containerPath(pod.id, id);
const remove = (id: string) => daemon.runtime.RemoveContainer({ container_id: id });

const pinned = hasController('cpuset') ? { cpuset_cpus: '0' } : {};
const oneProcessor = hasController('cpuset') || cpus().length === 1;
const contended = oneProcessor ? test.serial : test.serial.skip;

contended(
  `a processor is divided by cpu_shares${oneProcessor ? '' : ' (several processors and no cpuset controller)'}`,
  async (t) => {
    const spin = 'while :; do :; done';
    const [much, little] = await Promise.all(
      ['4096', '256'].map((cpu_shares) => start(daemon, pod, limited({ ...pinned, cpu_shares }, spin))),
    );
    const from = [much, little].map((id) => cpuTime(path(id as string)));
    const used = (): number[] => [much, little].map((id, at) => cpuTime(path(id as string)) - (from[at] as number));
    // others on this machine have their share too, and it may be most of it
    const enough = (): boolean => used().every((ns) => ns > 20e6) && (used()[0] as number) > 400e6;
    await until('both have had their turns', enough, 6 * patienceMs);
    const [more, less] = used() as [number, number];
    t.true(more > 3 * less, `${more} ns with 16 times the shares of ${less} ns`);
    for (const id of [much, little]) await remove(id as string);
  },
);

test.serial('a device that was not given is refused, whatever node the container makes', async (t) => {
  const add = { security_context: { capabilities: { add_capabilities: ['MKNOD'] } } };
  const id = await start(daemon, pod, limited({}, 'sleep 3600', add));
  // the kernel's messages, and /dev/zero, which everybody is given
  t.is((await exec(daemon, id, ...sh('mknod /log c 1 11 && mknod /zero c 1 5'))).code, 0);
  t.is((await exec(daemon, id, 'head', '-c', '1', '/zero')).code, 0);
  const { code, stderr } = await exec(daemon, id, 'head', '-c', '1', '/log');
  t.not(code, 0);
  t.regex(stderr, /not permitted/);
  await remove(id);
});

test.serial('an update of limits leaves devices as they were', async (t) => {
  const add = { security_context: { capabilities: { add_capabilities: ['MKNOD'] } } };
  const id = await start(daemon, pod, limited({}, 'sleep 3600', add));
  t.is((await exec(daemon, id, ...sh('mknod /log c 1 11'))).code, 0);
  await daemon.runtime.UpdateContainerResources({ container_id: id, linux: { cpu_shares: '512' } });
  t.regex((await exec(daemon, id, 'head', '-c', '1', '/log')).stderr, /not permitted/);
  t.is((await exec(daemon, id, 'head', '-c', '1', '/dev/zero')).code, 0);
  await remove(id);
});

const swapping = noSwap === null ? test.serial : test.serial.skip;

swapping(`swap is what the limit of both leaves over memory's${noSwap === null ? '' : ` (${noSwap})`}`, async (t) => {
  swapOn(t);
  const hold = 'dd if=/dev/zero of=/dev/shm/full bs=1M count=48 2>/dev/null && sleep 3600';
  const with_ = (both: number) =>
    limited({ memory_limit_in_bytes: String(32 * mebi), memory_swap_limit_in_bytes: String(both) }, hold);
  const id = await start(daemon, pod, with_(96 * mebi));
  await until('some of it is in swap', () => Number(cgroupFile(path(id), 'memory.swap.current')) > 8 * mebi);
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING');
  t.is(cgroupFile(path(id), 'memory.swap.max'), String(64 * mebi));
  await remove(id);
  const none = await start(daemon, pod, with_(32 * mebi));
  const ended = await until('without swap it is killed', async () => {
    const status = await statusOf(daemon, none);
    return status.state === 'CONTAINER_EXITED' && status;
  });
  t.not(ended.exit_code, 0);
  await remove(none);
});

endsWithoutResidue(test, daemon);
