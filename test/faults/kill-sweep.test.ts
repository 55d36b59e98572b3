// kill -9 in the middle of each verb, at many moments: the same call again converges, and nothing is left.
import test, { type ExecutionContext } from 'ava';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { status as grpcStatus, type ServiceError } from '@grpc/grpc-js';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import {
  containerConfig,
  create,
  exec,
  output,
  podConfig,
  pull,
  runPod,
  scripted,
  start,
  statusOf,
} from '../helpers/pods.ts';
import { ref } from '../helpers/registry.ts';

const daemon = useDaemon(test);
const moments = 12;

test.before('an image', () => pull(daemon));

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** How long a call takes, in milliseconds. */
async function timeOf(call: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await call();
  return performance.now() - from;
}

/** Starts a call, kills the daemon after a while, starts it again. Answers whether the caller got its answer. */
async function killedDuring(call: () => Promise<unknown>, afterMs: number): Promise<boolean> {
  const answered = call().then(
    () => true,
    () => false,
  );
  await wait(afterMs);
  await daemon.kill9();
  const delivered = await answered;
  await daemon.start();
  return delivered;
}

/** The retry's id: of its success, or of the ALREADY_EXISTS that an earlier answer brings. */
async function idOf(t: ExecutionContext, delivered: boolean, retry: () => Promise<string>): Promise<string> {
  try {
    return await retry();
  } catch (error) {
    const { code, details } = error as ServiceError;
    t.is(grpcStatus[code], 'ALREADY_EXISTS', details);
    // the answer may have been written to a socket whose reader we had not run yet
    t.true(delivered || code === grpcStatus.ALREADY_EXISTS);
    const [id = ''] = /[0-9a-f]{64}/.exec(details) ?? [];
    return id;
  }
}

/** Moments from right after the call to well after it would have ended. */
const spread = (durationMs: number): number[] =>
  Array.from({ length: moments }, (_, n) => (durationMs * 1.3 * n) / (moments - 1));

test.serial('RunPodSandbox', async (t) => {
  const typical = await timeOf(() => runPod(daemon));
  await daemon.removeAllPods();
  for (const after of spread(typical)) {
    const config = podConfig(daemon);
    const call = async (): Promise<string> => (await daemon.runtime.RunPodSandbox({ config })).pod_sandbox_id;
    const delivered = await killedDuring(call, after);
    const id = await idOf(t, delivered, call);
    const { items } = await daemon.runtime.ListPodSandbox({});
    t.deepEqual(
      items.map((item) => [item.id, item.state]),
      [[id, 'SANDBOX_READY']],
      `killed after ${after} ms`,
    );
    const container = await start(daemon, { id, config }, containerConfig());
    t.is((await exec(daemon, container, 'true')).code, 0);
    await daemon.removePod(id);
    t.deepEqual(await daemon.leftOfPods(), [], `killed after ${after} ms`);
  }
});

test.serial('CreateContainer', async (t) => {
  const pod = await runPod(daemon);
  const typical = await timeOf(() => create(daemon, pod, containerConfig()));
  for (const after of spread(typical)) {
    const config = containerConfig();
    const call = (): Promise<string> => create(daemon, pod, config);
    const delivered = await killedDuring(call, after);
    const id = await idOf(t, delivered, call);
    const { containers } = await daemon.runtime.ListContainers({ filter: { label_selector: {} } });
    t.is(
      containers.filter(({ metadata }) => metadata?.name === config.metadata?.name).length,
      1,
      `killed after ${after} ms`,
    );
    await daemon.runtime.StartContainer({ container_id: id });
    t.is((await exec(daemon, id, 'true')).code, 0, `killed after ${after} ms`);
    await daemon.runtime.RemoveContainer({ container_id: id });
  }
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

test.serial('StartContainer', async (t) => {
  const pod = await runPod(daemon);
  const first = await create(daemon, pod, containerConfig());
  const typical = await timeOf(() => daemon.runtime.StartContainer({ container_id: first }));
  await daemon.runtime.RemoveContainer({ container_id: first });
  for (const after of spread(typical)) {
    const id = await create(daemon, pod, containerConfig());
    await killedDuring(() => daemon.runtime.StartContainer({ container_id: id }), after);
    const { state } = await statusOf(daemon, id);
    if (state === 'CONTAINER_CREATED') await daemon.runtime.StartContainer({ container_id: id });
    t.is((await statusOf(daemon, id)).state, 'CONTAINER_RUNNING', `killed after ${after} ms`);
    t.true(BigInt((await statusOf(daemon, id)).started_at) > 0n);
    t.is((await exec(daemon, id, 'true')).code, 0);
    await daemon.runtime.RemoveContainer({ container_id: id });
  }
  await daemon.removePod(pod.id);
  t.deepEqual(await daemon.leftOfPods(), []);
});

test.serial('StopPodSandbox and RemovePodSandbox', async (t) => {
  const make = async (): Promise<string> => {
    const pod = await runPod(daemon, { port_mappings: [{ container_port: 80, host_port: 38123 }] });
    await start(daemon, pod, containerConfig());
    return pod.id;
  };
  const typical = await timeOf(async () => daemon.removePod(await make()));
  for (const after of spread(typical)) {
    const id = await make();
    await killedDuring(() => daemon.removePod(id), after);
    await daemon.removePod(id);
    t.deepEqual((await daemon.runtime.ListPodSandbox({})).items, []);
    t.deepEqual(await daemon.leftOfPods(), [], `killed after ${after} ms`);
  }
});

test.serial('PullImage', async (t) => {
  const image = ref('test/many');
  const typical = await timeOf(() => pull(daemon, image));
  const pod = await runPod(daemon);
  for (const after of spread(typical)) {
    await daemon.image.RemoveImage({ image: { image } });
    await killedDuring(() => pull(daemon, image), after);
    const id = await pull(daemon, image);
    const { images } = await daemon.image.ListImages({ filter: { image: { image } } });
    t.deepEqual(
      images.map((each) => each.id),
      [id],
      `killed after ${after} ms`,
    );
    t.deepEqual(readdirSync(join(daemon.root, 'ingest')), []);
    t.deepEqual(
      readdirSync(join(daemon.root, 'layers')).filter((name) => name.startsWith('.')),
      [],
      `killed after ${after} ms`,
    );
    const { stdout } = await output(daemon, pod, scripted('cat /many/* | wc -l', { image: { image } }));
    t.is(stdout.trim(), '120', `killed after ${after} ms`);
  }
  await daemon.removePod(pod.id);
});

test.serial('a retry after a kill with another config is a new creation or told apart, never a wreck', async (t) => {
  const config = podConfig(daemon);
  await killedDuring(() => daemon.runtime.RunPodSandbox({ config }), 10);
  const other = { ...config, hostname: 'another' };
  const retried = await daemon.runtime.RunPodSandbox({ config: other }).catch((error: ServiceError) => error);
  if (retried instanceof Error) t.is(grpcStatus[retried.code], 'ALREADY_EXISTS', retried.details);
  await daemon.removeAllPods();
  t.deepEqual(await daemon.leftOfPods(), []);
});

endsWithoutResidue(test, daemon);
