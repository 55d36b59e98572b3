// kill -9 of the daemon under running pods: nothing of them ends, changes or is lost, and what happened meanwhile is known after.
import test from 'ava';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  exec,
  exited,
  pidOf,
  type Pod,
  podIp,
  pull,
  readLog,
  runPod,
  scripted,
  sh,
  shell,
  start,
  statusOf,
  textOf,
} from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';
import { lives, monitorOf, processesIn, sleep } from './processes.ts';

const daemon = useDaemon(test);
let pod: Pod;

test.before('a pod', async () => {
  await pull(daemon);
  pod = await runPod(daemon, { labels: { app: 'kept' } });
});

/** Waits until a container's log has a line. */
const says = (path: string, line: string): Promise<unknown> =>
  until(`the log has ${line}`, () => textOf(readLog(path)).split('\n').includes(line));

/** Says so when it is asked to end, and does not. */
const deaf = 'trap "echo asked" TERM; echo ready; while :; do sleep 0.1; done';

const nanos = (ms: number): bigint => BigInt(Math.trunc(ms)) * 1_000_000n;

test.serial('of a log that is written while the daemon dies five times, no line is lost or doubled', async (t) => {
  const script = 'n=0; while [ ! -e /tmp/stop ]; do n=$((n+1)); echo $n; done; echo end $n';
  const id = await start(daemon, pod, scripted(script));
  const { log_path } = await statusOf(daemon, id);
  const pid = await pidOf(daemon, id);
  for (let n = 0; n < 5; n += 1) {
    const { size } = statSync(log_path);
    await until('the log grows', () => statSync(log_path).size > size + 10_000);
    await daemon.kill9();
    const atDeath = statSync(log_path).size;
    await until('the log grows without a daemon', () => statSync(log_path).size > atDeath + 10_000);
    await daemon.start();
    t.is(await pidOf(daemon, id), pid);
  }
  await shell(daemon, id, 'touch /tmp/stop');
  t.is((await exited(daemon, id)).exit_code, 0);
  const lines = textOf(readLog(log_path)).trim().split('\n');
  const end = lines.pop();
  t.true(lines.length > 2000, String(lines.length));
  t.is(end, `end ${lines.length}`);
  t.is(
    lines.findIndex((line, at) => line !== String(at + 1)),
    -1,
  );
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial(
  'the same objects are there after it, READY at the first answer, with their times, address and processes',
  async (t) => {
    const id = await start(daemon, pod, scripted('sleep 3600', { labels: { a: 'b' } }));
    const over = await start(daemon, pod, scripted('exit 5'));
    await exited(daemon, over);
    const seen = async (): Promise<object> => {
      const { status } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id });
      const { containers } = await daemon.runtime.ListContainers({});
      return {
        sandbox: status,
        sandboxes: (await daemon.runtime.ListPodSandbox({})).items,
        containers: containers.toSorted((a, b) => a.id.localeCompare(b.id)),
        running: await statusOf(daemon, id),
        over: await statusOf(daemon, over),
        pid: await pidOf(daemon, id),
        monitor: monitorOf(daemon, pod.id),
      };
    };
    const before = await seen();
    t.regex(await podIp(daemon, pod), /^10\./);
    for (let n = 0; n < 3; n += 1) {
      await daemon.kill9();
      daemon.spawn();
      const first = await until('a list is answered', () => daemon.runtime.ListPodSandbox({}).catch(() => null));
      t.deepEqual(
        first.items.map(({ id: each, state }) => ({ each, state })),
        [{ each: pod.id, state: 'SANDBOX_READY' }],
      );
      await daemon.ready();
      t.deepEqual(await seen(), before);
      t.is((await exec(daemon, id, 'true')).code, 0);
    }
    t.deepEqual((await daemon.runtime.ListPodSandbox({ filter: { label_selector: { app: 'kept' } } })).items.length, 1);
    for (const each of [id, over]) await daemon.runtime.RemoveContainer({ container_id: each });
  },
);

test.serial('an exit without a daemon is recorded with its code and its own time', async (t) => {
  const config = scripted('trap "exit 42" USR1; echo ready; while :; do sleep 0.02; done');
  const id = await start(daemon, pod, config);
  await says((await statusOf(daemon, id)).log_path, 'ready');
  const before = await statusOf(daemon, id);
  const pid = await pidOf(daemon, id);
  await daemon.kill9();
  const from = nanos(Date.now());
  process.kill(pid, 'SIGUSR1');
  // the monitor may come to it later than the process ends
  await until('the exit is written', () => existsSync(join(daemon.state, 'containers', id, 'exit.json')));
  t.deepEqual(processesIn(id), []);
  const to = nanos(Date.now() + 1);
  await sleep(500);
  await daemon.start();
  const status = await statusOf(daemon, id);
  t.like(status, { state: 'CONTAINER_EXITED', exit_code: 42, reason: 'Error', started_at: before.started_at });
  t.true(BigInt(status.finished_at) >= from && BigInt(status.finished_at) <= to, status.finished_at);
  await daemon.crash();
  t.deepEqual({ ...(await statusOf(daemon, id)) }, { ...status });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('the monitor keeps the grace of a stop whose daemon died', async (t) => {
  const id = await start(daemon, pod, scripted(deaf));
  const { log_path } = await statusOf(daemon, id);
  await says(log_path, 'ready');
  const pid = await pidOf(daemon, id);
  const [from, asked] = [performance.now(), BigInt(Date.now()) * 1_000_000n];
  const stop = daemon.runtime.StopContainer({ container_id: id, timeout: '6' }).then(
    () => 'answered',
    () => 'cut off',
  );
  await says(log_path, 'asked');
  await daemon.kill9();
  t.is(await stop, 'cut off');
  await until('the container is killed', () => !lives(pid));
  const took = performance.now() - from;
  t.true(took > 5800, String(took));
  await daemon.start();
  const status = await statusOf(daemon, id);
  t.like(status, { state: 'CONTAINER_EXITED', exit_code: 137 });
  t.true(BigInt(status.finished_at) - asked > 5_800_000_000n, 'not when the daemon died');
  await daemon.runtime.StopContainer({ container_id: id, timeout: '3' });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('a stop asked again after the daemon died in it has the new grace', async (t) => {
  const id = await start(daemon, pod, scripted(deaf));
  const { log_path } = await statusOf(daemon, id);
  await says(log_path, 'ready');
  const stop = daemon.runtime.StopContainer({ container_id: id, timeout: '600' }).catch(() => undefined);
  await says(log_path, 'asked');
  await daemon.crash();
  await stop;
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING');
  const from = performance.now();
  await daemon.runtime.StopContainer({ container_id: id, timeout: '1' });
  t.true(performance.now() - from < 120_000, 'not what is left of ten minutes');
  t.like(await statusOf(daemon, id), { state: 'CONTAINER_EXITED', exit_code: 137 });
  await daemon.runtime.RemoveContainer({ container_id: id });
});

test.serial('the monitor keeps the deadline of an ExecSync whose daemon died', async (t) => {
  const id = await start(daemon, pod, containerConfig());
  const call = daemon.runtime.ExecSync({ container_id: id, cmd: sh('sleep 1234; true'), timeout: '6' });
  const cut = call.then(
    () => false,
    () => true,
  );
  await until('the command runs', () => processesIn(id).length > 1);
  await daemon.kill9();
  t.true(await cut);
  await until('the command is killed', () => processesIn(id).length === 1);
  await daemon.start();
  t.is((await exec(daemon, id, 'true')).code, 0);
  await daemon.runtime.RemoveContainer({ container_id: id });
});

endsWithoutResidue(test, daemon);
