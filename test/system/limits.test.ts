// Limits of containers: what the kernel was told, what it does to those who go beyond, and changes while they run.
import { existsSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import test from 'ava';
import type { LinuxContainerResources } from '../../src/proto/generated/cri/runtime/v1/LinuxContainerResources.ts';
import { cgroupFile, cgroupOf, hasController, legacy } from '../helpers/cgroups.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  create,
  exec,
  exited,
  fails,
  logOf,
  pidOf,
  type Pod,
  pull,
  runPod,
  scripted,
  sh,
  shell,
  start,
  statusOf,
  textOf,
} from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
const mebi = 1024 * 1024;
let pod: Pod;

test.before('a pod', async () => {
  await pull(daemon);
  pod = await runPod(daemon);
});

const cpuset = hasController('cpuset');
const swapAccounted = legacy
  ? existsSync('/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes')
  : existsSync('/proc/swaps') && !/\bswapaccount=0\b/.test(readFileSync('/proc/cmdline', 'utf8'));

const limited = (resources: LinuxContainerResources, script = 'sleep 3600') =>
  scripted(script, { linux: { resources } });

/** The container's cgroup in the hierarchy of a controller. */
const groupOf = async (id: string, controller: string): Promise<string> =>
  cgroupOf(await pidOf(daemon, id), controller);

const memoryLimit = async (id: string): Promise<string> =>
  cgroupFile(await groupOf(id, 'memory'), 'memory.max', 'memory.limit_in_bytes');

/** Of memory and swap together. */
async function swapLimit(id: string): Promise<string> {
  const path = await groupOf(id, 'memory');
  if (legacy) return cgroupFile(path, 'memory.memsw.limit_in_bytes');
  return String(Number(cgroupFile(path, 'memory.max')) + Number(cgroupFile(path, 'memory.swap.max')));
}

async function quota(id: string): Promise<[string, string]> {
  const path = await groupOf(id, 'cpu');
  if (!legacy) return cgroupFile(path, 'cpu.max').split(' ') as [string, string];
  return [cgroupFile(path, 'cpu.cfs_quota_us'), cgroupFile(path, 'cpu.cfs_period_us')];
}

const throttled = (path: string): number => Number(/nr_throttled (\d+)/.exec(cgroupFile(path, 'cpu.stat'))?.[1] ?? 0);

test.serial('limits are in the kernel when the container is created, and status tells them', async (t) => {
  const resources = {
    cpu_period: '50000',
    cpu_quota: '25000',
    cpu_shares: '512',
    memory_limit_in_bytes: String(64 * mebi),
    ...(cpuset && { cpuset_cpus: '0', cpuset_mems: '0' }),
  };
  const id = await start(daemon, pod, limited(resources));
  t.is(await memoryLimit(id), String(64 * mebi));
  t.deepEqual(await quota(id), ['25000', '50000']);
  const cpu = await groupOf(id, 'cpu');
  if (legacy) t.is(cgroupFile(cpu, 'cpu.shares'), '512');
  else t.true(Number(cgroupFile(cpu, 'cpu.weight')) > 1);
  if (cpuset) {
    t.is(cgroupFile(await groupOf(id, 'cpuset'), 'cpuset.cpus'), '0');
    t.is(await shell(daemon, id, 'grep Cpus_allowed_list /proc/self/status | cut -f2'), '0');
  }
  t.like((await statusOf(daemon, id)).resources?.linux, { ...resources });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('memory beyond the limit is OOMKilled with 137', async (t) => {
  const resources = { memory_limit_in_bytes: String(32 * mebi), memory_swap_limit_in_bytes: String(32 * mebi) };
  const id = await start(daemon, pod, limited(resources, 'exec tail /dev/zero'));
  const status = await exited(daemon, id);
  t.like(status, { exit_code: 137, reason: 'OOMKilled' });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('a child killed for memory does not make a container that lives on OOMKilled before its end', async (t) => {
  const resources = { memory_limit_in_bytes: String(32 * mebi), memory_swap_limit_in_bytes: String(32 * mebi) };
  const id = await start(daemon, pod, limited(resources, 'tail /dev/zero; echo survived; sleep 3600'));
  // seen from outside: a process brought in by an exec would need memory too, and could bring the killer on the shell
  await until('the child is killed', async () => {
    if (textOf(await logOf(daemon, id)).includes('survived')) return true;
    return (await statusOf(daemon, id)).state === 'CONTAINER_EXITED';
  });
  const status = await statusOf(daemon, id);
  if (status.state === 'CONTAINER_RUNNING') t.is(status.reason, '');
  else t.is(status.reason, 'OOMKilled', 'with memory.oom.group all die together');
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('memory of another container or an exec does not count as its own end', async (t) => {
  const small = { memory_limit_in_bytes: String(24 * mebi), memory_swap_limit_in_bytes: String(24 * mebi) };
  const victim = await start(daemon, pod, limited(small, 'exec tail /dev/zero'));
  const bystander = await start(daemon, pod, limited({ memory_limit_in_bytes: String(64 * mebi) }));
  await exited(daemon, victim);
  t.is((await statusOf(daemon, bystander)).state, 'CONTAINER_RUNNING');
  await daemon.runtime.StopContainer({ container_id: bystander, timeout: '0' });
  t.like(await statusOf(daemon, bystander), { exit_code: 137, reason: 'Error' }, 'killed by hand is no OOM');
  for (const id of [victim, bystander]) await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('a cpu quota throttles', async (t) => {
  const id = await start(daemon, pod, limited({ cpu_period: '100000', cpu_quota: '10000' }, 'while :; do :; done'));
  const path = await groupOf(id, 'cpu');
  const before = throttled(path);
  await until('it is throttled', () => throttled(path) >= before + 5);
  const usage = async (): Promise<bigint> => {
    const { stats } = await daemon.runtime.ContainerStats({ container_id: id });
    return BigInt(stats?.cpu?.usage_core_nano_seconds?.value ?? 0);
  };
  const [from, used] = [performance.now(), await usage()];
  await until('two seconds of it', () => performance.now() - from > 2000);
  const share = Number((await usage()) - used) / 1e6 / (performance.now() - from);
  t.true(share < 0.2, `it used ${share} of a processor and may use 0.1`);
  await daemon.runtime.RemoveContainer({ container_id: id });
});

const withCpuset = cpuset ? test.serial : test.serial.skip;
withCpuset(`a cpuset keeps a container on its processors${cpuset ? '' : ' (no cpuset controller)'}`, async (t) => {
  const last = String(cpus().length - 1);
  const id = await start(daemon, pod, limited({ cpuset_cpus: last }));
  t.is(await shell(daemon, id, 'grep Cpus_allowed_list /proc/self/status | cut -f2; nproc'), `${last}\n1`);
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('what a host does not have is refused, and nothing is left of the container', async (t) => {
  for (const resources of [{ cpuset_cpus: '4000' }, { cpuset_mems: '900' }, { unified: { 'no.such.file': '1' } }]) {
    await t.throwsAsync(create(daemon, pod, limited(resources)), undefined, JSON.stringify(resources));
  }
  await fails(t, create(daemon, pod, limited({ unified: { '../../x': '1' } })), {
    code: 'INVALID_ARGUMENT',
    message: /unified/,
  });
  const { containers } = await daemon.runtime.ListContainers({});
  t.deepEqual(containers, []);
});

test.serial('an update is applied, told, and leaves alone what it does not name', async (t) => {
  const id = await start(
    daemon,
    pod,
    limited({ memory_limit_in_bytes: String(64 * mebi), cpu_shares: '512', cpu_period: '100000', cpu_quota: '50000' }),
  );
  await daemon.runtime.UpdateContainerResources({
    container_id: id,
    linux: { memory_limit_in_bytes: String(96 * mebi) },
  });
  t.is(await memoryLimit(id), String(96 * mebi));
  t.deepEqual(await quota(id), ['50000', '100000']);
  await daemon.runtime.UpdateContainerResources({ container_id: id, linux: { cpu_quota: '75000', cpu_shares: '256' } });
  t.deepEqual(await quota(id), ['75000', '100000']);
  t.like((await statusOf(daemon, id)).resources?.linux, {
    memory_limit_in_bytes: String(96 * mebi),
    cpu_quota: '75000',
    cpu_period: '100000',
    cpu_shares: '256',
  });
  await daemon.restart();
  t.like((await statusOf(daemon, id)).resources?.linux, {
    memory_limit_in_bytes: String(96 * mebi),
    cpu_quota: '75000',
  });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

const withSwap = swapAccounted ? test.serial : test.serial.skip;
withSwap(
  `the room for swap stays when memory alone is updated, and is told${swapAccounted ? '' : ' (the kernel does not account swap)'}`,
  async (t) => {
    const limits = { memory_limit_in_bytes: String(64 * mebi), memory_swap_limit_in_bytes: String(96 * mebi) };
    const id = await start(daemon, pod, limited(limits));
    for (const memory of [80, 128]) {
      await daemon.runtime.UpdateContainerResources({
        container_id: id,
        linux: { memory_limit_in_bytes: String(memory * mebi) },
      });
      const total = String((memory + 32) * mebi);
      t.is(await swapLimit(id), total);
      t.is((await statusOf(daemon, id)).resources?.linux?.memory_swap_limit_in_bytes, total);
    }
    await daemon.runtime.RemoveContainer({ container_id: id });
  },
);

test.serial('a created container takes an update too', async (t) => {
  const id = await create(daemon, pod, limited({ memory_limit_in_bytes: String(64 * mebi) }));
  await daemon.runtime.UpdateContainerResources({
    container_id: id,
    linux: { memory_limit_in_bytes: String(128 * mebi) },
  });
  await daemon.runtime.StartContainer({ container_id: id });
  t.is(await memoryLimit(id), String(128 * mebi));
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('a memory limit below what is in use is refused and nothing changes', async (t) => {
  const id = await start(
    daemon,
    pod,
    limited({ memory_limit_in_bytes: String(128 * mebi), cpu_period: '100000', cpu_quota: '50000' }),
  );
  t.is((await exec(daemon, id, ...sh('dd if=/dev/zero of=/dev/shm/full bs=1M count=48 2>/dev/null'))).code, 0);
  const call = daemon.runtime.UpdateContainerResources({
    container_id: id,
    linux: { memory_limit_in_bytes: String(16 * mebi), cpu_quota: '20000' },
  });
  await t.throwsAsync(call, { message: /memory/ });
  t.is(await memoryLimit(id), String(128 * mebi));
  t.deepEqual(await quota(id), ['50000', '100000'], 'all of an update or nothing');
  t.like((await statusOf(daemon, id)).resources?.linux, {
    memory_limit_in_bytes: String(128 * mebi),
    cpu_quota: '50000',
  });
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING');
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('oom_score_adj is set as far as the host allows', async (t) => {
  const id = await start(daemon, pod, limited({ oom_score_adj: '500' }));
  t.is(await shell(daemon, id, 'cat /proc/1/oom_score_adj'), '500');
  const low = await start(daemon, pod, limited({ oom_score_adj: '-900' }));
  const adjusted = Number(await shell(daemon, low, 'cat /proc/1/oom_score_adj'));
  t.true(adjusted >= -900 && adjusted <= 0, String(adjusted));
  for (const each of [id, low]) await daemon.runtime.RemoveContainer({ container_id: each });
});

test.serial("rlimits are the configured ones, not the daemon's", async (t) => {
  const id = await start(daemon, pod, containerConfig());
  const line = await shell(daemon, id, 'grep "Max open files" /proc/1/limits');
  const [, soft, hard] = /Max open files\s+(\d+)\s+(\d+)/.exec(line) ?? [];
  t.is(soft, '1024');
  t.true(Number(hard) <= 524_288 && Number(hard) >= 1024, line);
  await daemon.runtime.RemoveContainer({ container_id: id });
});

endsWithoutResidue(test, daemon);
