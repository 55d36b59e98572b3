// The monitor of a pod dies while there is no daemon, or in the middle of a call: what it wrote counts, the rest is ended.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { PodSandboxConfig } from '../../src/proto/generated/cri/runtime/v1/PodSandboxConfig.ts';
import { endsWithoutResidue, settle, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  create,
  exec,
  exited,
  pidOf,
  type Pod,
  pull,
  readLog,
  runPod,
  scripted,
  start,
  statusOf,
  textOf,
} from '../helpers/pods.ts';
import { podResidue } from '../helpers/residue.ts';
import { until } from '../helpers/until.ts';
import { killed, monitorOf, processesIn } from './processes.ts';

const daemon = useDaemon(test);
/** Another pod, which must not notice. */
let other: Pod;
let witness: string;

test.before('an image and a witness', async () => {
  await pull(daemon);
  other = await runPod(daemon);
  witness = await start(daemon, other, containerConfig());
});

const stateOf = async (id: string): Promise<string | undefined> =>
  (await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: id })).status?.state;

const shapes: readonly { readonly title: string; readonly options: object }[] = [
  { title: 'pid namespaces of their own', options: {} },
  { title: 'a shared pid namespace', options: { pid: 'POD' } },
  { title: "the host's network", options: { network: 'NODE' } },
];

for (const { title, options } of shapes) {
  test.serial(`with ${title}: NOTREADY, EXITED with 255 Unknown, no process, and all is freed`, async (t) => {
    const linux: NonNullable<PodSandboxConfig['linux']> = { security_context: { namespace_options: options } };
    const pod = await runPod(daemon, { linux });
    const busy = scripted('setsid sleep 3600 & while :; do sleep 0.1; done', { linux });
    const running = [
      await start(daemon, pod, busy),
      await start(daemon, pod, { ...busy, metadata: { name: 'second', attempt: 0 } }),
    ];
    const over = await start(daemon, pod, scripted('exit 3', { linux }));
    const created = await create(daemon, pod, containerConfig({ linux }));
    const ended = await exited(daemon, over);
    const before = await Promise.all(running.map((id) => statusOf(daemon, id)));
    const monitor = monitorOf(daemon, pod.id);
    await daemon.kill9();
    await killed(monitor);
    await daemon.start();
    t.is(await stateOf(pod.id), 'SANDBOX_NOTREADY');
    for (const [at, id] of running.entries()) {
      const status = await exited(daemon, id);
      const { created_at = '', started_at = '' } = before[at] ?? {};
      t.like(status, { exit_code: 255, reason: 'Unknown', created_at, started_at });
      t.true(BigInt(status.finished_at) > BigInt(status.started_at));
    }
    t.deepEqual({ ...(await statusOf(daemon, over)) }, { ...ended }, 'an exit that was seen stands');
    await until('its processes are gone', () => processesIn(...running, over, created).length === 0);
    t.is((await exec(daemon, witness, 'true')).code, 0);
    await daemon.runtime.StopPodSandbox({ pod_sandbox_id: pod.id });
    await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: pod.id });
    const own = [pod.id, ...running, over, created];
    const left = async (): Promise<string[]> =>
      (await podResidue(daemon)).filter((each) => own.some((id) => each.includes(id)));
    t.deepEqual(await settle(left), [], 'nothing bears its name');
  });
}

test.serial('an exit that the monitor wrote before it died is known, though no daemon saw either', async (t) => {
  const pod = await runPod(daemon);
  const id = await start(daemon, pod, scripted('trap "exit 42" USR1; touch /tmp/ready; while :; do sleep 0.02; done'));
  await until('the handler is set', async () => (await exec(daemon, id, 'test', '-e', '/tmp/ready')).code === 0);
  const [pid, monitor] = [await pidOf(daemon, id), monitorOf(daemon, pod.id)];
  await daemon.kill9();
  process.kill(pid, 'SIGUSR1');
  await until('the exit is written', () => existsSync(join(daemon.state, 'containers', id, 'exit.json')));
  await killed(monitor);
  await daemon.start();
  t.like(await statusOf(daemon, id), { state: 'CONTAINER_EXITED', exit_code: 42, reason: 'Error' });
  t.is(await stateOf(pod.id), 'SANDBOX_NOTREADY');
  await daemon.removePod(pod.id);
});

test.serial('killed while a container is being stopped: the call ends, and so do the containers', async (t) => {
  const pod = await runPod(daemon);
  const deaf = scripted('trap "echo asked" TERM; echo ready; while :; do sleep 0.1; done');
  const one = await start(daemon, pod, deaf);
  const two = await start(daemon, pod, { ...deaf, metadata: { name: 'two', attempt: 0 }, log_path: 'two.log' });
  const { log_path } = await statusOf(daemon, one);
  const says = (line: string): Promise<unknown> =>
    until(`the log has ${line}`, () => textOf(readLog(log_path)).includes(line));
  await says('ready');
  const stopping = daemon.runtime.StopContainer({ container_id: one, timeout: '600' }).catch(() => undefined);
  await says('asked');
  await killed(monitorOf(daemon, pod.id));
  await stopping;
  for (const id of [one, two]) t.like(await exited(daemon, id), { exit_code: 255, reason: 'Unknown' });
  await daemon.runtime.StopContainer({ container_id: one, timeout: '600' });
  await daemon.runtime.RemoveContainer({ container_id: two });
  await until('their processes are gone', () => processesIn(one, two).length === 0);
  await daemon.removePod(pod.id);
});

endsWithoutResidue(test, daemon);
