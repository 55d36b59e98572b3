// Pods and containers from their making to their end, as the kubelet sees them (states, times, reasons, exit codes).
import test from 'ava';
import { readFileSync } from 'node:fs';
import { cgroupExists, removeCgroupTree } from '../helpers/cgroups.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  create,
  env,
  exec,
  exited,
  output,
  pidOf,
  type Pod,
  podConfig,
  pull,
  runPod,
  scripted,
  shell,
  start,
  statusOf,
} from '../helpers/pods.ts';
import { processesOf } from '../helpers/residue.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
let pod: Pod;
/** Here main processes are no inits, so signals they send themselves have their default action. */
let shared: Pod;
const sharedPid = { linux: { security_context: { namespace_options: { pid: 'POD' } } } } as const;

test.before('a pod to work in', async () => {
  await pull(daemon);
  pod = await runPod(daemon, { labels: { app: 'web' }, annotations: { note: 'ü\n"quoted"' } });
  shared = await runPod(daemon, sharedPid);
});

const alive = (id: string): number => processesOf({ state: '/nowhere', ids: new Set([id]) }).length;

test.serial('a sandbox is READY with its metadata, labels and annotations unchanged', async (t) => {
  const { status } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id });
  t.is(status?.state, 'SANDBOX_READY');
  t.deepEqual({ ...status?.metadata }, { ...pod.config.metadata } as object);
  t.deepEqual(status?.labels, { app: 'web' });
  t.deepEqual(status?.annotations, { note: 'ü\n"quoted"' });
  t.true(BigInt(status?.created_at ?? 0) > 0n);
  t.is(status?.linux?.namespaces?.options?.network, 'POD');
  t.regex(pod.id, /^[0-9a-f]{64}$/);
  const listed = await daemon.runtime.ListPodSandbox({ filter: { label_selector: { app: 'web' } } });
  t.deepEqual(
    listed.items.map(({ id, state }) => ({ id, state })),
    [{ id: pod.id, state: 'SANDBOX_READY' }],
  );
});

test.serial(
  'a container goes CREATED, RUNNING, EXITED with times in order and nothing of it running early',
  async (t) => {
    const before = BigInt(Date.now()) * 1_000_000n;
    const id = await create(
      daemon,
      pod,
      scripted(`echo hello; while [ ! -e /tmp/go ]; do sleep 0.05; done; sleep 0.3; exit 0`, { labels: { a: 'b' } }),
    );
    const created = await statusOf(daemon, id);
    t.is(created.state, 'CONTAINER_CREATED');
    t.true(BigInt(created.created_at) >= before);
    t.is(created.started_at, '0');
    t.is(created.finished_at, '0');
    t.is(readFileSync(created.log_path, 'utf8'), '', 'the process of a created container has not run');
    await daemon.runtime.StartContainer({ container_id: id });
    const running = await statusOf(daemon, id);
    t.is(running.state, 'CONTAINER_RUNNING');
    t.true(BigInt(running.started_at) >= BigInt(running.created_at));
    await exec(daemon, id, 'touch', '/tmp/go');
    const end = await exited(daemon, id);
    t.true(BigInt(end.finished_at) > BigInt(end.started_at));
    t.true(BigInt(end.finished_at) - BigInt(end.started_at) >= 250_000_000n);
    t.like(end, {
      exit_code: 0,
      reason: 'Completed',
      message: '',
      created_at: created.created_at,
      started_at: running.started_at,
    });
    t.deepEqual(end.labels, { a: 'b' });
    await daemon.runtime.RemoveContainer({ container_id: id });
    const { containers } = await daemon.runtime.ListContainers({ filter: { id } });
    t.deepEqual(containers, []);
  },
);

for (const { title, script, exit_code, reason } of [
  { title: 'an exit code above zero is Error', script: 'exit 7', exit_code: 7, reason: 'Error' },
  { title: 'the whole byte of an exit code comes through', script: 'exit 255', exit_code: 255, reason: 'Error' },
  { title: 'death by SIGTERM is 143', script: 'kill -TERM $$', exit_code: 143, reason: 'Error' },
  { title: 'death by SIGKILL is 137 and no OOM', script: 'kill -KILL $$', exit_code: 137, reason: 'Error' },
  {
    title: 'death by a real-time signal is 128 and its number',
    script: 'kill -40 $$',
    exit_code: 168,
    reason: 'Error',
  },
]) {
  test.serial(title, async (t) => {
    const { status } = await output(daemon, shared, scripted(script, sharedPid));
    t.like(status, { exit_code, reason });
  });
}

test.serial('the main process itself killed from outside is 128 + signal', async (t) => {
  const id = await start(daemon, pod, containerConfig());
  const pid = await pidOf(daemon, id);
  process.kill(pid, 'SIGKILL'); // the only deadly one that reaches an init without a handler (pid_namespaces(7))
  t.like(await exited(daemon, id), { exit_code: 137, reason: 'Error' });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial(
  'a command that does not exist leaves EXITED with 128 and StartError, and the start fails saying so',
  async (t) => {
    const id = await create(daemon, pod, containerConfig({ command: ['/no/such/program'] }));
    const error = await t.throwsAsync(daemon.runtime.StartContainer({ container_id: id }));
    t.regex(error?.message ?? '', /\/no\/such\/program/);
    const status = await statusOf(daemon, id);
    t.like(status, { state: 'CONTAINER_EXITED', exit_code: 128, reason: 'StartError' });
    t.regex(status.message, /\/no\/such\/program/);
    t.true(BigInt(status.finished_at) > 0n);
    await until('its process is gone', () => alive(id) === 0);
    await daemon.runtime.RemoveContainer({ container_id: id });
  },
);

test.serial('a command that may not be executed is a StartError too', async (t) => {
  const id = await create(daemon, pod, containerConfig({ command: ['/etc/passwd'] }));
  await t.throwsAsync(daemon.runtime.StartContainer({ container_id: id }));
  t.like(await statusOf(daemon, id), { exit_code: 128, reason: 'StartError' });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('stop sends the stop signal and takes the exit code of the handler', async (t) => {
  const id = await start(daemon, pod, scripted('trap "exit 9" TERM; echo ready; while :; do sleep 0.05; done'));
  await until('the handler is set', async () =>
    readFileSync((await statusOf(daemon, id)).log_path, 'utf8').includes('ready'),
  );
  const from = performance.now();
  await daemon.runtime.StopContainer({ container_id: id, timeout: '30' });
  t.true(performance.now() - from < 29_000, 'it did not take its grace');
  t.like(await statusOf(daemon, id), { state: 'CONTAINER_EXITED', exit_code: 9, reason: 'Error' });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('the stop signal of the request goes before SIGTERM and is reported', async (t) => {
  const script = 'trap "exit 3" USR1; trap "exit 4" TERM; echo ready; while :; do sleep 0.05; done';
  const id = await start(daemon, pod, scripted(script, { stop_signal: 'SIGNAL_SIGUSR1' }));
  await until('the handlers are set', async () =>
    readFileSync((await statusOf(daemon, id)).log_path, 'utf8').includes('ready'),
  );
  t.is((await statusOf(daemon, id)).stop_signal, 'SIGNAL_SIGUSR1');
  await daemon.runtime.StopContainer({ container_id: id, timeout: '30' });
  t.like(await statusOf(daemon, id), { exit_code: 3 });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('what ignores SIGTERM is killed after the grace, not before', async (t) => {
  const id = await start(daemon, pod, scripted('trap "" TERM; echo ready; while :; do sleep 0.05; done'));
  await until('the trap is set', async () =>
    readFileSync((await statusOf(daemon, id)).log_path, 'utf8').includes('ready'),
  );
  const from = performance.now();
  await daemon.runtime.StopContainer({ container_id: id, timeout: '2' });
  const took = performance.now() - from;
  t.true(took >= 1900 && took < 60_000, `it took ${took} ms`);
  t.like(await statusOf(daemon, id), { state: 'CONTAINER_EXITED', exit_code: 137, reason: 'Error' });
  t.is(alive(id), 0);
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('a second stop with a shorter grace shortens the first', async (t) => {
  const id = await start(daemon, pod, scripted('trap "" TERM; echo ready; while :; do sleep 0.05; done'));
  await until('the trap is set', async () =>
    readFileSync((await statusOf(daemon, id)).log_path, 'utf8').includes('ready'),
  );
  const from = performance.now();
  const patient = daemon.runtime.StopContainer({ container_id: id, timeout: '300' });
  await until(
    'the first stop is under way',
    async () => daemon.log().includes('StopContainer') || performance.now() - from > 200,
  );
  await daemon.runtime.StopContainer({ container_id: id, timeout: '1' });
  await patient;
  t.true(performance.now() - from < 120_000, 'the first grace was five minutes');
  t.like(await statusOf(daemon, id), { exit_code: 137 });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('stop with no grace kills at once, with all descendants', async (t) => {
  const id = await start(daemon, pod, scripted('sleep 3600 & sleep 3600 & setsid sleep 3600 & wait'));
  await until('four processes run', () => alive(id) >= 4);
  await daemon.runtime.StopContainer({ container_id: id, timeout: '0' });
  t.is(alive(id), 0);
  t.like(await statusOf(daemon, id), { exit_code: 137 });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('what a main process leaves behind ends with it', async (t) => {
  const id = await start(daemon, pod, scripted('setsid sleep 3600 & sleep 0.1; exit 0'));
  await exited(daemon, id);
  await until('the rest ends', () => alive(id) === 0);
  t.like(await statusOf(daemon, id), { exit_code: 0, reason: 'Completed' });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('stop and remove may be called again and for what is gone', async (t) => {
  const id = await start(daemon, pod, containerConfig());
  for (let n = 0; n < 2; n += 1) await daemon.runtime.StopContainer({ container_id: id, timeout: '0' });
  for (let n = 0; n < 2; n += 1) await daemon.runtime.RemoveContainer({ container_id: id });
  await daemon.runtime.StopContainer({ container_id: id, timeout: '1' });
  const other = await runPod(daemon);
  for (let n = 0; n < 2; n += 1) await daemon.runtime.StopPodSandbox({ pod_sandbox_id: other.id });
  for (let n = 0; n < 2; n += 1) await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: other.id });
  await daemon.runtime.StopPodSandbox({ pod_sandbox_id: other.id });
  const { items } = await daemon.runtime.ListPodSandbox({ filter: { id: other.id } });
  t.deepEqual(items, []);
});

test.serial('a running container and a READY sandbox may be removed by force', async (t) => {
  const other = await runPod(daemon);
  const first = await start(daemon, other, containerConfig());
  await daemon.runtime.RemoveContainer({ container_id: first });
  t.is(alive(first), 0);
  const second = await start(daemon, other, containerConfig());
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: other.id });
  t.is(alive(second), 0);
  const { containers } = await daemon.runtime.ListContainers({ filter: { pod_sandbox_id: other.id } });
  t.deepEqual(containers, []);
});

test.serial('a stopped sandbox is NOTREADY with its containers EXITED, and takes no new ones', async (t) => {
  const other = await runPod(daemon);
  const id = await start(daemon, other, containerConfig());
  await daemon.runtime.StopPodSandbox({ pod_sandbox_id: other.id });
  const { status, containers_statuses } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: other.id });
  t.is(status?.state, 'SANDBOX_NOTREADY');
  t.deepEqual(
    containers_statuses.map((each) => [each.id, each.state, each.exit_code]),
    [[id, 'CONTAINER_EXITED', 137]],
  );
  await t.throwsAsync(create(daemon, other, containerConfig()), { message: /not ready/ });
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: other.id });
});

test.serial('a unique prefix of an id is enough', async (t) => {
  const id = await start(daemon, pod, containerConfig());
  const prefix = id.slice(0, 12);
  t.is((await statusOf(daemon, prefix)).id, id);
  t.is((await exec(daemon, prefix, 'true')).code, 0);
  const listed = await daemon.runtime.ListContainers({ filter: { id: prefix, state: { state: 'CONTAINER_RUNNING' } } });
  t.deepEqual(
    listed.containers.map((each) => each.id),
    [id],
  );
  const sandbox = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id.slice(0, 12) });
  t.is(sandbox.status?.id, pod.id);
  await daemon.runtime.RemoveContainer({ container_id: prefix });
});

test.serial('dead attempts stay beside a new one until they are removed', async (t) => {
  const metadata = { name: 'again', attempt: 0 };
  const ids = [await start(daemon, pod, scripted('exit 1', { metadata }))];
  await exited(daemon, ids[0] ?? '');
  ids.push(await start(daemon, pod, scripted('sleep 3600', { metadata: { ...metadata, attempt: 1 } })));
  const { containers } = await daemon.runtime.ListContainers({ filter: { pod_sandbox_id: pod.id } });
  const mine = containers.filter((each) => each.metadata?.name === 'again');
  t.deepEqual(mine.map((each) => [each.metadata?.attempt, each.state]).sort(), [
    [0, 'CONTAINER_EXITED'],
    [1, 'CONTAINER_RUNNING'],
  ]);
  for (const id of ids) await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('environment, working directory and arguments arrive as they were given', async (t) => {
  const { stdout } = await output(daemon, pod, {
    ...scripted('printf "%s\\n" "$PWD" "$PLAIN" "$QUOTES" "$EMPTY-" "$HOSTNAME" "$@"'),
    command: ['sh', '-c', 'printf "%s\\n" "$PWD" "$PLAIN" "$QUOTES" "$EMPTY-" "$HOSTNAME" "$@"', 'zero'],
    args: ['a b', '', '*'],
    working_dir: '/made/for/it',
    envs: env({ PLAIN: 'x=y', QUOTES: '"\'$HOME\\ ü', EMPTY: '' }),
  });
  t.deepEqual(stdout.split('\n'), [
    '/made/for/it',
    'x=y',
    Buffer.from('"\'$HOME\\ ü').toString('latin1'),
    '-',
    pod.config.hostname ?? '',
    'a b',
    '',
    '*',
    '',
  ]);
});

test.serial('containers of a pod share its network and ipc, and have trees of their own', async (t) => {
  const [one, two] = await Promise.all([start(daemon, pod, containerConfig()), start(daemon, pod, containerConfig())]);
  await shell(daemon, one, 'echo here > /tmp/mine; echo shared > /dev/shm/ours');
  t.is(await shell(daemon, two, 'cat /dev/shm/ours; ls /tmp/mine 2>&1 | grep -c "No such"'), 'shared\n1');
  t.is(await shell(daemon, one, 'readlink /proc/self/ns/net'), await shell(daemon, two, 'readlink /proc/self/ns/net'));
  t.not(await shell(daemon, one, 'readlink /proc/self/ns/pid'), await shell(daemon, two, 'readlink /proc/self/ns/pid'));
  for (const id of [one, two]) await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('twenty pods start and stop side by side', async (t) => {
  const pods = await Promise.all(Array.from({ length: 20 }, () => runPod(daemon)));
  const ids = await Promise.all(pods.map((each) => start(daemon, each, containerConfig())));
  const addresses = await Promise.all(
    pods.map(async (each) => (await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: each.id })).status?.network?.ip),
  );
  t.is(new Set(addresses).size, 20);
  const states = await Promise.all(ids.map(async (id) => (await statusOf(daemon, id)).state));
  t.deepEqual(new Set(states), new Set(['CONTAINER_RUNNING']));
  await Promise.all(pods.map((each) => daemon.removePod(each.id)));
  const { items } = await daemon.runtime.ListPodSandbox({});
  t.deepEqual(new Set(items.map(({ id }) => id)), new Set([pod.id, shared.id]));
});

test.serial('a pod with a cgroup_parent of the kubelet lives below it and leaves it', async (t) => {
  const { linux } = await daemon.runtime.RuntimeConfig({});
  const top = `pwt${process.pid}`;
  const [asked, root, parent, last] =
    linux?.cgroup_driver === 'SYSTEMD'
      ? [
          `${top}-pod1.slice`,
          `/${top}.slice`,
          `/${top}.slice/${top}-pod1.slice`,
          (id: string) => `podwright-${id}.scope`,
        ]
      : [`/${top}/pod1`, `/${top}`, `/${top}/pod1`, (id: string) => id];
  const other = await runPod(daemon, { linux: { cgroup_parent: asked } });
  const id = await start(daemon, other, scripted('cat /proc/self/cgroup; sleep 3600'));
  const pid = await pidOf(daemon, id);
  const groups = readFileSync(`/proc/${pid}/cgroup`, 'utf8')
    .split('\n')
    .filter((line) => /:(memory|cpu|pids):|^0::/.test(line));
  t.true(groups.length > 0);
  for (const line of groups) t.true(line.endsWith(`${parent}/${last(id)}`), line);
  await daemon.removePod(other.id);
  t.true(cgroupExists(parent), 'the parent is not ours to remove');
  await until('it has left it', () => ![id, other.id].some((each) => cgroupExists(`${parent}/${last(each)}`)));
  await until('the parent can be removed', () => {
    try {
      removeCgroupTree(root);
      return true;
    } catch {
      return false; // those who were in it are not all reaped yet
    }
  });
});

test.serial('the same RunPodSandbox again is refused with the id; another config names what differs', async (t) => {
  const config = podConfig(daemon);
  const { pod_sandbox_id } = await daemon.runtime.RunPodSandbox({ config });
  await t.throwsAsync(daemon.runtime.RunPodSandbox({ config }), { message: new RegExp(pod_sandbox_id) });
  const differs = daemon.runtime.RunPodSandbox({ config: { ...config, hostname: 'other' } });
  await t.throwsAsync(differs, { message: /hostname differs/ });
  await daemon.removePod(pod_sandbox_id);
});

endsWithoutResidue(test, daemon);
