// Callers that go away in the middle: what they asked for is not there, or is what their retry gets.
import test, { type ExecutionContext } from 'ava';
import { status as grpcStatus, type ServiceError } from '@grpc/grpc-js';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  create,
  exec,
  podConfig,
  pull,
  readLog,
  runPod,
  scripted,
  start,
  statusOf,
  textOf,
} from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);
test.before('an image', () => pull(daemon));

const moments = [0, 1, 2, 4, 7, 11, 16, 25, 40, 80];

/** Makes a call with a signal and fires it after a while, or then. Answers its id when it was answered all the same. */
async function givenUp(
  call: (signal: AbortSignal) => Promise<string>,
  after: number | (() => Promise<unknown>),
): Promise<string | null> {
  const gone = new AbortController();
  const answer = call(gone.signal).catch(() => null);
  await (typeof after === 'number' ? new Promise((resolve) => setTimeout(resolve, after)) : after());
  gone.abort();
  return answer;
}

/** The retry's id; when the first call was answered the retry is told of it. */
async function retried(t: ExecutionContext, first: string | null, retry: () => Promise<string>): Promise<string> {
  try {
    const id = await retry();
    t.is(first, null, 'a delivered success is not given out twice');
    return id;
  } catch (error) {
    const { code, details } = error as ServiceError;
    t.is(grpcStatus[code], 'ALREADY_EXISTS', details);
    const [id = ''] = /[0-9a-f]{64}/.exec(details) ?? [];
    if (first !== null) t.is(id, first);
    return id;
  }
}

test.serial('RunPodSandbox: the retry gets the one that was begun, or a new one; never two', async (t) => {
  for (const after of moments) {
    const config = podConfig(daemon);
    const run = async (signal?: AbortSignal): Promise<string> =>
      (await daemon.runtime.RunPodSandbox({ config }, signal ? { signal } : {})).pod_sandbox_id;
    const first = await givenUp(run, after);
    const id = await retried(t, first, run);
    const { items } = await daemon.runtime.ListPodSandbox({});
    t.deepEqual(
      items.map((item) => [item.id, item.state]),
      [[id, 'SANDBOX_READY']],
      `given up after ${after} ms`,
    );
    await daemon.removePod(id);
  }
  t.deepEqual(await daemon.leftOfPods(), []);
});

test.serial('CreateContainer: the same', async (t) => {
  const pod = await runPod(daemon);
  for (const after of moments) {
    const config = containerConfig();
    const request = { pod_sandbox_id: pod.id, config, sandbox_config: pod.config };
    const run = async (signal?: AbortSignal): Promise<string> =>
      (await daemon.runtime.CreateContainer(request, signal ? { signal } : {})).container_id;
    const id = await retried(t, await givenUp(run, after), run);
    const { containers } = await daemon.runtime.ListContainers({});
    t.deepEqual(
      containers.map((each) => each.id),
      [id],
      `given up after ${after} ms`,
    );
    await daemon.runtime.StartContainer({ container_id: id });
    t.is((await exec(daemon, id, 'true')).code, 0);
    await daemon.runtime.RemoveContainer({ container_id: id });
  }
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

test.serial('StopContainer: the grace goes on, the container ends, and the next stop is at once', async (t) => {
  const pod = await runPod(daemon);
  const id = await start(daemon, pod, scripted('trap "echo asked" TERM; echo ready; while :; do sleep 0.05; done'));
  const { log_path } = await statusOf(daemon, id);
  const says = (line: string): Promise<unknown> =>
    until(`the log has ${line}`, () => textOf(readLog(log_path)).includes(line));
  await says('ready');
  const stop = async (signal: AbortSignal): Promise<string> => {
    await daemon.runtime.StopContainer({ container_id: id, timeout: '10' }, { signal });
    return id;
  };
  t.is(await givenUp(stop, () => says('asked')), null);
  await until('it ends at the end of its grace', async () => (await statusOf(daemon, id)).state === 'CONTAINER_EXITED');
  t.is((await statusOf(daemon, id)).exit_code, 137);
  await daemon.runtime.StopContainer({ container_id: id, timeout: '30' });
  await daemon.removePod(pod.id);
});

test.serial('ExecSync: a command without a timeout of its own ends with its caller', async (t) => {
  const pod = await runPod(daemon);
  const id = await start(daemon, pod, containerConfig());
  const commands = async (): Promise<string> => (await exec(daemon, id, 'ps')).stdout;
  const run = async (signal: AbortSignal): Promise<string> =>
    String(
      (await daemon.runtime.ExecSync({ container_id: id, cmd: ['sh', '-c', 'sleep 4321 & wait'] }, { signal }))
        .exit_code,
    );
  const runs = () => until('it runs', async () => (await commands()).includes('sleep 4321'));
  t.is(await givenUp(run, runs), null);
  await until('it has ended with all it started', async () => !(await commands()).includes('sleep 4321'));
  await daemon.removePod(pod.id);
});

test.serial('RemovePodSandbox: it is done, or the next call does it', async (t) => {
  for (const after of [0, 2, 5, 10, 20, 40]) {
    const pod = await runPod(daemon);
    await start(daemon, pod, containerConfig());
    const remove = async (signal: AbortSignal): Promise<string> => {
      await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: pod.id }, { signal });
      return pod.id;
    };
    await givenUp(remove, after);
    await daemon.removePod(pod.id);
    t.deepEqual((await daemon.runtime.ListPodSandbox({})).items, [], `given up after ${after} ms`);
  }
  t.deepEqual(await daemon.leftOfPods(), []);
});

test.serial('two equal calls at once are one pod, or one pod and a refusal that names it', async (t) => {
  for (let n = 0; n < 5; n += 1) {
    const config = podConfig(daemon);
    const calls = Array.from({ length: 4 }, () => daemon.runtime.RunPodSandbox({ config }));
    const results = await Promise.allSettled(calls);
    const ids = results.map((result) =>
      result.status === 'fulfilled'
        ? result.value.pod_sandbox_id
        : (/[0-9a-f]{64}/.exec((result.reason as ServiceError).details)?.[0] ?? 'none'),
    );
    t.is(new Set(ids).size, 1, ids.join());
    t.is((await daemon.runtime.ListPodSandbox({})).items.length, 1);
    await daemon.removePod(ids[0] ?? '');
  }
});

test.serial('create and remove of one pod at once end with no pod and nothing left', async (t) => {
  for (let n = 0; n < 8; n += 1) {
    const pod = await runPod(daemon);
    const calls = [
      create(daemon, pod, containerConfig()),
      create(daemon, pod, containerConfig()),
      new Promise((resolve) => setTimeout(resolve, n * 2)).then(() => daemon.removePod(pod.id)),
    ];
    const results = await Promise.allSettled(calls);
    t.is(results[2]?.status, 'fulfilled');
    t.deepEqual((await daemon.runtime.ListContainers({})).containers, []);
  }
  t.deepEqual(await daemon.leftOfPods(), []);
});

endsWithoutResidue(test, daemon);
