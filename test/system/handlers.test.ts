// Runtime handlers: the life of a pod whose containers runc, crun and gVisor make, held against what our own core does.
import test, { type ExecutionContext } from 'ava';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { dist, endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  create,
  env,
  exec,
  exited,
  fails,
  logOf,
  podConfig,
  podIp,
  pull,
  scripted,
  sh,
  shell,
  start,
  statusOf,
  textOf,
  type Pod,
} from '../helpers/pods.ts';
import { Pty } from '../helpers/pty.ts';
import { processesOf } from '../helpers/residue.ts';
import { handlersConfig, missing, runtimes, type TestRuntime } from '../helpers/runtimes.ts';
import { until, untilSeen } from '../helpers/until.ts';

const config = handlersConfig();
const daemon = useDaemon(test, { flags: [`--config=${config.file}`] });
test.after.always('the configuration goes', () => rmSync(config.dir, { recursive: true }));
test.before('an image', () => pull(daemon));

const mebi = 2 ** 20;

async function runPod(handler: string, wish: Parameters<typeof podConfig>[1] = {}): Promise<Pod> {
  const pod = podConfig(daemon, wish);
  const { pod_sandbox_id } = await daemon.runtime.RunPodSandbox({ config: pod, runtime_handler: handler });
  return { id: pod_sandbox_id, config: pod };
}

const running = (id: string): string[] =>
  processesOf({ state: '/nowhere', ids: new Set([id]) }).map(({ what }) => what);

const runtimeRoot = (pod: Pod): string => join(daemon.state, 'sandboxes', pod.id, 'runtime');
const namesIn = (dir: string): string[] => (existsSync(dir) ? readdirSync(dir) : []);

/** A test of each runtime that is here. */
function ofEach(
  title: string,
  body: (t: ExecutionContext, runtime: TestRuntime) => Promise<void>,
  but: readonly TestRuntime['name'][] = [],
): void {
  for (const runtime of runtimes.filter(({ name }) => !but.includes(name))) {
    if (runtime.path === null) test.skip(`${runtime.name}: ${title} ${missing(runtime)}`, (t) => void t.fail());
    else test.serial(`${runtime.name}: ${title}`, (t) => body(t, runtime));
  }
}

test.serial('Status lists every handler, and claims what the runtime can do', async (t) => {
  const here = runtimes.filter(({ path }) => path !== null).map(({ name }) => name);
  const listed = await until('the runtimes have answered', async () => {
    const { runtime_handlers } = await daemon.runtime.Status({});
    const runc = runtime_handlers.find(({ name }) => name === 'runc');
    return (runc === undefined || runc.features?.recursive_read_only_mounts) && runtime_handlers;
  });
  t.deepEqual(
    listed.map(({ name }) => name),
    ['', 'podwright', ...here],
  );
  t.false(listed.find(({ name }) => name === 'runsc')?.features?.recursive_read_only_mounts ?? false);
});

test.serial('an unknown handler is refused by name', async (t) => {
  await fails(t, runPod('kata'), {
    code: 'INVALID_ARGUMENT',
    message: /"kata" is not configured; known: "", "podwright"/,
  });
});

ofEach('a container goes CREATED, RUNNING, EXITED, and its output is logged', async (t, { name }) => {
  const pod = await runPod(name);
  const { status } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id });
  t.is(status?.runtime_handler, name);
  const script = 'echo out $GIVEN; echo err >&2; id -u; hostname; cat /etc/hosts; exit 7';
  const wish = { envs: env({ GIVEN: 'yes' }), linux: { security_context: { run_as_user: { value: '1000' } } } };
  const id = await create(daemon, pod, scripted(script, wish));
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_CREATED');
  t.is(readFileSync((await statusOf(daemon, id)).log_path, 'utf8'), '', 'nothing of it has run');
  await daemon.runtime.StartContainer({ container_id: id });
  const end = await exited(daemon, id);
  t.like(end, { exit_code: 7, reason: 'Error' });
  t.true(BigInt(end.created_at) < BigInt(end.started_at) && BigInt(end.started_at) < BigInt(end.finished_at));
  const log = await logOf(daemon, id);
  t.true(textOf(log).startsWith(`out yes\n1000\n${pod.config.hostname}\n`), textOf(log));
  t.regex(textOf(log), new RegExp(`\\s${pod.config.hostname}\\n`));
  t.is(textOf(log, 'stderr'), 'err\n');
  await until('the runtime has forgotten it', () => !namesIn(runtimeRoot(pod)).some((each) => each.includes(id)));
  await daemon.runtime.RemoveContainer({ container_id: id });
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

ofEach('a program that is not there is a StartError', async (t, { name }) => {
  const pod = await runPod(name);
  const id = await create(daemon, pod, containerConfig({ command: ['/no/such/program'] }));
  const error = await t.throwsAsync(daemon.runtime.StartContainer({ container_id: id }));
  t.regex(error?.message ?? '', /\/no\/such\/program/);
  const status = await exited(daemon, id);
  t.like(status, { exit_code: 128, reason: 'StartError' });
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

ofEach('ExecSync: output, exit code, timeout, and the same user and namespaces', async (t, { name }) => {
  const pod = await runPod(name);
  const id = await start(daemon, pod, containerConfig({ working_dir: '/srv' }));
  t.deepEqual(await exec(daemon, id, ...sh('echo out; echo err >&2; exit 42')), {
    code: 42,
    stdout: 'out\n',
    stderr: 'err\n',
  });
  t.is(await shell(daemon, id, 'pwd; hostname'), `/srv\n${pod.config.hostname}`);
  const wrong = await daemon.runtime
    .ExecSync({ container_id: id, cmd: ['/no/such/program'] })
    .catch((error: Error) => error);
  if (wrong instanceof Error) t.regex(wrong.message, /\/no\/such\/program/);
  else t.true([127, 128].includes(wrong.exit_code));
  const before = running(id).length;
  const cmd = sh('sleep 1111 & sh -c "sleep 1112" & wait');
  await fails(t, daemon.runtime.ExecSync({ container_id: id, cmd, timeout: '1' }), { code: 'DEADLINE_EXCEEDED' });
  await until('what it has started is dead', async () =>
    name === 'runsc' ? !(await shell(daemon, id, 'ps')).includes('1111') : running(id).length <= before,
  );
  t.is((await exec(daemon, id, 'true')).code, 0);
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

ofEach('stop sends the stop signal, and kills at its deadline', async (t, { name }) => {
  const pod = await runPod(name);
  const loop = 'echo ready; while :; do sleep 0.05; done';
  const ready = (id: string) => until('it is ready', async () => textOf(await logOf(daemon, id)).includes('ready'));
  const polite = await start(daemon, pod, scripted(`trap "exit 9" TERM; ${loop}`));
  await ready(polite);
  await daemon.runtime.StopContainer({ container_id: polite, timeout: '30' });
  t.like(await statusOf(daemon, polite), { state: 'CONTAINER_EXITED', exit_code: 9, reason: 'Error' });
  await daemon.runtime.RemoveContainer({ container_id: polite });
  const deaf = await start(daemon, pod, scripted(`trap "" TERM; ${loop}`));
  await ready(deaf);
  await daemon.runtime.StopContainer({ container_id: deaf, timeout: '1' });
  t.like(await statusOf(daemon, deaf), { state: 'CONTAINER_EXITED', exit_code: 137 });
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

ofEach('memory beyond the limit is OOMKilled', async (t, { name }) => {
  const limit = String((name === 'runsc' ? 160 : 32) * mebi);
  const resources = { memory_limit_in_bytes: limit, memory_swap_limit_in_bytes: limit };
  // gVisor has the memory of all containers of a pod in one: the pod's limit holds
  const ofPod = name === 'runsc';
  const pod = await runPod(name, ofPod ? { linux: { resources } } : {});
  const hog = scripted('exec tail /dev/zero', ofPod ? {} : { linux: { resources } });
  const id = await start(daemon, pod, hog);
  t.like(await exited(daemon, id), { exit_code: 137, reason: 'OOMKilled' });
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

async function ofContainer(id: string): Promise<{ cpu: bigint; memory: bigint }> {
  const { stats } = await daemon.runtime.ContainerStats({ container_id: id });
  return {
    cpu: BigInt(stats?.cpu?.usage_core_nano_seconds?.value ?? 0),
    memory: BigInt(stats?.memory?.working_set_bytes?.value ?? 0),
  };
}

/** gVisor's containers run in one process of the host: only their pod's usage is the host's to tell. */
async function ofPod(pod: Pod): Promise<{ cpu: bigint; memory: bigint }> {
  const { stats } = await daemon.runtime.PodSandboxStats({ pod_sandbox_id: pod.id });
  return {
    cpu: BigInt(stats?.linux?.cpu?.usage_core_nano_seconds?.value ?? 0),
    memory: BigInt(stats?.linux?.memory?.working_set_bytes?.value ?? 0),
  };
}

ofEach('the pod has its network, its containers share it, and usage is counted', async (t, { name }) => {
  const pod = await runPod(name);
  const ip = await podIp(daemon, pod);
  const server = await start(daemon, pod, scripted('while :; do echo hello | nc -l -p 8080; done'));
  t.regex(await shell(daemon, server, 'ip -4 addr'), new RegExp(`inet ${ip.replaceAll('.', '\\.')}/`));
  const client = await start(daemon, pod, containerConfig());
  await until('the other container answers', async () =>
    (await shell(daemon, client, 'nc -w 1 127.0.0.1 8080 < /dev/null')).includes('hello'),
  );
  await shell(daemon, client, 'i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done');
  const usage = name === 'runsc' ? await ofPod(pod) : await ofContainer(client);
  t.true(usage.cpu > 10_000_000n);
  t.true(usage.memory > 0n);
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

ofEach('a container is made anew after its end, in the same pod', async (t, { name }) => {
  const pod = await runPod(name);
  const ip = await podIp(daemon, pod);
  for (const attempt of [0, 1]) {
    const id = await start(daemon, pod, scripted('ip -4 addr; exit 3', { metadata: { name: 'again', attempt } }));
    t.like(await exited(daemon, id), { exit_code: 3 });
    t.true(textOf(await logOf(daemon, id)).includes(ip), 'it has the address of the pod');
    await daemon.runtime.RemoveContainer({ container_id: id });
  }
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

ofEach('kill -9 of the daemon: the container lives, its output goes on, its end is known', async (t, { name }) => {
  const pod = await runPod(name);
  const lives = await start(daemon, pod, scripted('i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done'));
  const ends = await start(daemon, pod, scripted('sleep 1; exit 5'));
  const { log_path: path } = await statusOf(daemon, lives);
  await daemon.kill9();
  const said = readFileSync(path, 'utf8').length;
  await until('its output goes on', () => readFileSync(path, 'utf8').length > said);
  await until('the end is written', () => existsSync(join(daemon.state, 'containers', ends, 'exit.json')));
  await daemon.start();
  t.is((await statusOf(daemon, lives)).state, 'CONTAINER_RUNNING');
  t.like(await statusOf(daemon, ends), { state: 'CONTAINER_EXITED', exit_code: 5 });
  t.is((await exec(daemon, lives, 'true')).code, 0);
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

ofEach('kill -9 of the monitor: the containers end, and the runtime keeps nothing of them', async (t, { name }) => {
  const pod = await runPod(name);
  const id = await start(daemon, pod, scripted('sleep 3600 & sleep 3600'));
  const created = await create(daemon, pod, containerConfig());
  const monitor = processesOf(daemon).find(({ kind, what }) => kind === 'monitor' && what.includes(pod.id));
  process.kill(monitor?.pid ?? 0, 'SIGKILL');
  await until('its processes are ended', () => running(id).length + running(created).length === 0);
  await until('it has exited', async () => (await statusOf(daemon, id)).state === 'CONTAINER_EXITED');
  for (const each of [id, created]) await daemon.runtime.RemoveContainer({ container_id: each });
  t.deepEqual(
    namesIn(runtimeRoot(pod)).filter((each) => each.includes(id) || each.includes(created)),
    [],
  );
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

ofEach('commands and attachments have streams and terminals', async (t, { name }) => {
  const pod = await runPod(name);
  const id = await start(daemon, pod, scripted('while read line; do echo got $line; done', { stdin: true }));
  const podwright = (...args: string[]): string[] => [join(dist, 'podwright'), '--socket', daemon.socket, ...args];
  const exec = new Pty(podwright('exec', '-it', id, 'sh'), { columns: 101, rows: 37 });
  t.teardown(() => exec.destroy());
  exec.type('stty size\n');
  await exec.shows('37 101');
  exec.resize(77, 22);
  await untilSeen(
    'the size inside follows',
    () => exec.type('stty size\n'),
    () => exec.output.includes('22 77'),
  );
  exec.type('exit 5\n');
  t.is(await exec.ended(), 5);
  const attach = new Pty(podwright('attach', '-i', id), { columns: 80, rows: 24 });
  t.teardown(() => attach.destroy());
  attach.type('hello\n');
  await attach.shows('got hello');
  attach.destroy();
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING');
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

ofEach(
  'pids are shared where the pod says so',
  async (t, { name }) => {
    const linux = { security_context: { namespace_options: { pid: 'POD' as const } } };
    const pod = await runPod(name, { linux });
    const first = await start(daemon, pod, containerConfig({ command: ['sleep', '4321'], linux }));
    const second = await start(daemon, pod, containerConfig({ linux }));
    t.true((await shell(daemon, second, 'ps')).includes('sleep 4321'));
    t.regex(await shell(daemon, second, 'tr "\\0" " " < /proc/1/cmdline'), /podwright-pause/);
    await daemon.runtime.StopContainer({ container_id: first, timeout: '0' });
    t.is((await statusOf(daemon, second)).state, 'CONTAINER_RUNNING');
    await daemon.removePod(pod.id);
    t.deepEqual(await daemon.leftOfPods(), []);
  },
  ['runsc'],
);

ofEach('the containers of a pod share /dev/shm', async (t, { name }) => {
  const pod = await runPod(name);
  const [one, two] = [await start(daemon, pod, containerConfig()), await start(daemon, pod, containerConfig())];
  await shell(daemon, one, 'echo shared > /dev/shm/note');
  t.is(await shell(daemon, two, 'cat /dev/shm/note'), 'shared');
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

ofEach('a terminal has its output logged as one', async (t, { name }) => {
  const pod = await runPod(name);
  const id = await start(daemon, pod, scripted('[ -t 0 ] && [ -t 1 ] && echo terminal', { tty: true }));
  t.like(await exited(daemon, id), { exit_code: 0 });
  const text = textOf(await logOf(daemon, id));
  t.is(text, 'terminal\r\n');
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

ofEach(
  'the bundle is valid for the runtime, seccomp and limits in it, and what it does not hold is left out',
  async (t, { name }) => {
    const pod = await runPod(name);
    const security_context = { seccomp: { profile_type: 'RuntimeDefault' as const } };
    const id = await start(
      daemon,
      pod,
      containerConfig({ linux: { security_context, resources: { oom_score_adj: '-997' } } }),
    );
    const spec = JSON.parse(readFileSync(join(daemon.state, 'containers', id, 'config.json'), 'utf8')) as {
      readonly mounts: readonly { readonly type: string }[];
      readonly linux: { readonly seccomp?: object };
      readonly annotations: object;
    };
    t.false(spec.mounts.some(({ type }) => type.startsWith('podwright')));
    t.false('podwright.devices' in spec.annotations);
    t.truthy(spec.linux.seccomp);
    t.is(await shell(daemon, id, 'grep Seccomp: /proc/self/status | cut -f2'), '2');
    await daemon.removePod(pod.id);
    t.deepEqual(await daemon.leftOfPods(), []);
  },
  ['runsc'],
);

endsWithoutResidue(test, daemon);
