// kill -9 of a monitor: its pod is NOTREADY, its containers are ended, and stop and remove free everything.
import test from 'ava';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  exec,
  fails,
  create,
  podIp,
  pull,
  runPod,
  scripted,
  start,
  statusOf,
  type Pod,
} from '../helpers/pods.ts';
import { processesOf } from '../helpers/residue.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
test.before('an image', () => pull(daemon));

function killMonitor(pod: Pod): void {
  const monitor = processesOf(daemon).find(({ kind, what }) => kind === 'monitor' && what.includes(pod.id));
  if (!monitor) throw new Error(`pod ${pod.id} has no monitor`);
  process.kill(monitor.pid, 'SIGKILL');
}

const running = (id: string): number => processesOf({ state: '/nowhere', ids: new Set([id]) }).length;

const sandboxState = async (pod: Pod): Promise<string | undefined> =>
  (await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id })).status?.state;

for (const pid of ['CONTAINER', 'POD'] as const) {
  test.serial(
    `pid ${pid}: the pod is NOTREADY, its containers are EXITED with 255, another pod is untouched`,
    async (t) => {
      const linux = { security_context: { namespace_options: { pid } } };
      const [pod, neighbour] = [await runPod(daemon, { linux }), await runPod(daemon)];
      const lives = await start(daemon, neighbour, containerConfig());
      const id = await start(daemon, pod, scripted('trap "" TERM; setsid sleep 3600 & sleep 3600', { linux }));
      const created = await create(daemon, pod, containerConfig({ linux }));
      killMonitor(pod);
      await until('the pod is not ready', async () => (await sandboxState(pod)) === 'SANDBOX_NOTREADY');
      await until('its processes are ended', () => running(id) + running(created) === 0);
      const status = await until('its container has exited', async () => {
        const found = await statusOf(daemon, id);
        return found.state === 'CONTAINER_EXITED' && found;
      });
      t.like(status, { exit_code: 255, reason: 'Unknown' });
      t.true(BigInt(status.finished_at) >= BigInt(status.started_at));
      await fails(t, create(daemon, pod, containerConfig({ linux })), {
        code: 'FAILED_PRECONDITION',
        message: /not ready/,
      });
      await t.throwsAsync(exec(daemon, id, 'true'));
      t.is((await exec(daemon, lives, 'true')).code, 0);
      await daemon.removePod(pod.id);
      await daemon.removePod(neighbour.id);
      t.deepEqual(await daemon.leftOfPods(), []);
    },
  );
}

test.serial('a monitor that dies while the daemon is down is found dead, and the pod is freed', async (t) => {
  const pod = await runPod(daemon);
  const id = await start(daemon, pod, scripted('setsid sleep 3600 & sleep 3600'));
  const ip = await podIp(daemon, pod);
  await daemon.kill9();
  killMonitor(pod);
  await daemon.start();
  t.is(await sandboxState(pod), 'SANDBOX_NOTREADY');
  t.like(await statusOf(daemon, id), { state: 'CONTAINER_EXITED', exit_code: 255 });
  await until('its processes are ended', () => running(id) === 0);
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
  t.truthy(ip);
});

test.serial('removing without stopping is enough', async (t) => {
  const pod = await runPod(daemon);
  await start(daemon, pod, containerConfig());
  killMonitor(pod);
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: pod.id });
  t.deepEqual(await daemon.leftOfPods(), []);
});

test.serial('a monitor that is killed during a creation fails the call, and the retry works', async (t) => {
  for (let n = 0; n < 5; n += 1) {
    const pod = await runPod(daemon);
    const config = containerConfig();
    const call = create(daemon, pod, config).then(
      () => null,
      (error: Error) => error,
    );
    await new Promise((resolve) => setTimeout(resolve, n * 5));
    killMonitor(pod);
    await call;
    await until('the pod is not ready', async () => (await sandboxState(pod)) === 'SANDBOX_NOTREADY');
    await daemon.removePod(pod.id);
  }
  t.deepEqual(await daemon.leftOfPods(), []);
  const pod = await runPod(daemon);
  t.is((await exec(daemon, await start(daemon, pod, containerConfig()), 'true')).code, 0);
  await daemon.removePod(pod.id);
});

test.serial('a monitor that hangs leaves its pod READY, holds up no other, and is gone on with', async (t) => {
  const [pod, other] = [await runPod(daemon), await runPod(daemon)];
  const id = await start(daemon, pod, containerConfig());
  const monitor = processesOf(daemon).find(({ kind, what }) => kind === 'monitor' && what.includes(pod.id));
  process.kill(monitor?.pid ?? 0, 'SIGSTOP');
  await daemon.kill9();
  await daemon.start();
  t.is(await sandboxState(pod), 'SANDBOX_READY', 'ruling 12: alive is ready');
  t.is((await exec(daemon, await start(daemon, other, containerConfig()), 'true')).code, 0);
  await fails(t, daemon.runtime.ExecSync({ container_id: id, cmd: ['true'] }, { deadlineMs: 60_000 }), {
    code: 'UNAVAILABLE',
  });
  const { info } = await daemon.runtime.Status({ verbose: true });
  t.true(info['unreachableMonitors']?.includes(pod.id));
  t.regex(
    await daemon.podwright('doctor').catch((error: Error & { stdout?: string }) => error.stdout ?? ''),
    /does not answer/,
  );
  process.kill(monitor?.pid ?? 0, 'SIGCONT');
  await until('it answers again', () => exec(daemon, id, 'true').catch(() => null));
  await Promise.all([pod, other].map((each) => daemon.removePod(each.id)));
});

endsWithoutResidue(test, daemon);
