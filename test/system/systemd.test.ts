// What only systemd as cgroup driver does: units that end, are read again, and must not be left.
import { execFileSync } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';
import { cgroupDriver, cgroupExists, cgroupFile, containerPath } from '../helpers/cgroups.ts';
import { useDaemon } from '../helpers/daemon.ts';
import { limited } from '../helpers/limits.ts';
import { create, pull, runPod, start, statusOf } from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const driven = cgroupDriver === 'systemd';
const onSystemd = (title: string, run: (t: ExecutionContext) => Promise<void>): void =>
  driven
    ? test.serial(title, run)
    : test.serial.skip(`${title} [systemd is not the cgroup driver here: hack/test.sh vm-systemd]`, run);

const daemon = useDaemon(test, { network: 'none' });
const hostNetwork = { linux: { security_context: { namespace_options: { network: 'NODE' } } } } as const;
const units = (): string[] =>
  execFileSync('systemctl', ['list-units', '--all', '--plain', '--no-legend', 'podwright*'], { encoding: 'utf8' })
    .split('\n')
    .filter(Boolean);

onSystemd('a pod starts whenever the monitor of the last one left', async (t) => {
  // the scope of all monitors empties each time, and is used again while systemd takes it away
  for (let round = 0; round < 12; round += 1) {
    const pod = await runPod(daemon, hostNetwork);
    const { info } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id, verbose: true });
    t.truthy(info);
    await daemon.removePod(pod.id);
  }
  const pod = await runPod(daemon, hostNetwork);
  const shown = execFileSync('systemctl', ['show', '-p', 'ActiveState', 'podwright-monitors.scope'], {
    encoding: 'utf8',
  });
  t.is(shown.trim(), 'ActiveState=active');
  await daemon.removePod(pod.id);
});

onSystemd('limits that systemd was not told of outlast a daemon-reload', async (t) => {
  await pull(daemon);
  const pod = await runPod(daemon, hostNetwork);
  const unified = { 'memory.oom.group': '1' };
  const resources = { unified, cpu_period: '100000', cpu_quota: '33333', memory_limit_in_bytes: String(64 << 20) };
  const id = await start(daemon, pod, limited(resources));
  const path = containerPath(pod.id, id);
  const values = () => ['memory.oom.group', 'cpu.max', 'memory.max'].map((name) => cgroupFile(path, name));
  const wanted = ['1', '33333 100000', String(64 << 20)];
  t.deepEqual(values(), wanted);
  for (let round = 0; round < 3; round += 1) {
    execFileSync('systemctl', ['daemon-reload']);
    await until('the limits are in force again', () => values().join() === wanted.join());
  }
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING');
  await daemon.removePod(pod.id);
});

onSystemd('and one while no daemon runs, also those of a container that has not been started', async (t) => {
  const pod = await runPod(daemon, hostNetwork);
  const resources = { unified: { 'memory.oom.group': '1' }, memory_limit_in_bytes: String(64 << 20) };
  const running = await start(daemon, pod, limited(resources));
  const created = await create(daemon, pod, limited(resources));
  const values = () => [running, created].map((id) => cgroupFile(containerPath(pod.id, id), 'memory.oom.group'));
  t.deepEqual(values(), ['1', '1']);
  await daemon.stop();
  execFileSync('systemctl', ['daemon-reload']);
  await until('systemd has its own there', () => values().every((value) => value === '0'));
  await daemon.start();
  await until('the limits are in force again', () => values().every((value) => value === '1'));
  t.is((await statusOf(daemon, running)).state, 'CONTAINER_RUNNING');
  await daemon.removePod(pod.id);
});

onSystemd('shutdown leaves no unit', async (t) => {
  const pod = await runPod(daemon, hostNetwork);
  t.true(units().some((unit) => unit.startsWith('podwright-monitors.scope')));
  t.truthy(pod);
  await daemon.shutdown();
  await until('systemd has none of our units', () => units().length === 0);
  t.false(cgroupExists('/podwright.slice'));
});
