// GetContainerEvents of a real daemon: order, statuses, slow readers, what happened while it was down.
import { type ServiceError, status as grpcStatus } from '@grpc/grpc-js';
import test from 'ava';
import type { ContainerEventResponse__Output as Event } from '../../src/proto/generated/cri/runtime/v1/ContainerEventResponse.ts';
import { type CriStream, criStream } from '../helpers/cri-client.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { containerConfig, create, fails, type Pod, pull, runPod, scripted, start, statusOf } from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';

const daemon = useDaemon(test);

test.before('an image', () => pull(daemon));

type Events = CriStream<Event>;

/** Subscriptions that are open. */
const open = new Set<Events>();
const areCounted = (): Promise<boolean> =>
  until('the open subscriptions are there', async () => (await metric('podwright_event_subscribers')) === open.size);

/** A subscription; it is there when the daemon's metrics count it, and no more those that were closed before. */
async function subscribe(): Promise<Events> {
  await areCounted();
  const events = criStream(daemon.socket, 'GetContainerEvents');
  open.add(events);
  await areCounted();
  return events;
}

function close(events: Events): void {
  events.close();
  open.delete(events);
}

test.afterEach.always('subscriptions of a failed test', () => open.forEach(close));

async function metric(name: string): Promise<number> {
  const text = await (await fetch(daemon.metricsUrl)).text();
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
}

const short = ({ container_id, container_event_type }: Event, names: Readonly<Record<string, string>>): string =>
  `${names[container_id] ?? '?'} ${/_([A-Z]+)_/.exec(container_event_type)?.[1]?.toLowerCase()}`;

const ended = async (events: Events): Promise<ServiceError> =>
  events.all().then(
    () => {
      throw new Error('the stream ended well');
    },
    (error: unknown) => error as ServiceError,
  );

test.serial('events of a pod come in order, each with the whole pod right after it', async (t) => {
  const events = await subscribe();
  const pod = await runPod(daemon);
  const id = await create(daemon, pod, scripted('exit 3'));
  await daemon.runtime.StartContainer({ container_id: id });
  const got = await events.take(5);
  // STOPPED comes when ContainerStatus says so, not before
  t.is((await statusOf(daemon, id)).state, 'CONTAINER_EXITED');
  await daemon.runtime.RemoveContainer({ container_id: id });
  await daemon.removePod(pod.id);
  got.push(...(await events.take(3)));
  close(events);
  const names = { [pod.id]: 'pod', [id]: 'container' };
  t.deepEqual(
    got.map((event) => short(event, names)),
    [
      'pod created',
      'pod started',
      'container created',
      'container started',
      'container stopped',
      'container deleted',
      'pod stopped',
      'pod deleted',
    ],
  );
  t.true(got.every((event) => event.pod_sandbox_status?.id === pod.id));
  t.true(got.every((event) => event.pod_sandbox_status?.metadata?.uid === pod.config.metadata?.uid));
  t.deepEqual(
    got.map((event) => event.pod_sandbox_status?.state),
    [...Array.from({ length: 6 }, () => 'SANDBOX_READY' as const), 'SANDBOX_NOTREADY', 'SANDBOX_NOTREADY'],
  );
  const states = got.map((event) => event.containers_statuses.map(({ state }) => state).join());
  t.deepEqual([states[2], states[4], states[5]], ['CONTAINER_CREATED', 'CONTAINER_EXITED', '']);
  t.like(got[4]?.containers_statuses[0], { id, exit_code: 3, reason: 'Error' });
  const times = got.map((event) => BigInt(event.created_at));
  t.true(times.every((time, at) => at === 0 || time > (times[at - 1] ?? 0n)));
});

test.serial('a hundred short containers: started before stopped, and stopped says EXITED', async (t) => {
  const pod = await runPod(daemon);
  const events = await subscribe();
  const steps = new Map<string, string[]>();
  const reading = (async () => {
    for await (const event of events) {
      const of = steps.get(event.container_id) ?? [];
      steps.set(event.container_id, [...of, short(event, { [event.container_id]: '' }).trim()]);
      if (event.container_event_type !== 'CONTAINER_STOPPED_EVENT') continue;
      const own = event.containers_statuses.find(({ id }) => id === event.container_id);
      t.is(own?.state, 'CONTAINER_EXITED');
      t.true(BigInt(own?.started_at ?? 0) > 0n, 'the start is in the status');
    }
  })().catch(() => undefined);
  const one = async (): Promise<void> => {
    const id = await start(daemon, pod, scripted('exit 0'));
    await until('it has stopped', () => steps.get(id)?.includes('stopped'));
    await daemon.runtime.RemoveContainer({ container_id: id });
  };
  for (let round = 0; round < 20; round += 1) await Promise.all(Array.from({ length: 5 }, one));
  await until('all are deleted', () => [...steps.values()].every((each) => each.at(-1) === 'deleted'));
  close(events);
  await reading;
  t.is(steps.size, 100);
  for (const each of steps.values()) t.deepEqual(each, ['created', 'started', 'stopped', 'deleted']);
  await daemon.removePod(pod.id);
});

test.serial('events in order with a slow subscriber: it is given up, nobody else notices', async (t) => {
  const annotations = { large: 'x'.repeat(500_000) };
  const pod = await runPod(daemon, { annotations });
  const overflows = await metric('podwright_event_overflows_total');
  const slow = await subscribe();
  const quick = await subscribe();
  const read: string[] = [];
  for (let n = 0; n < 15; n += 1) {
    const id = await start(daemon, pod, containerConfig({ annotations }));
    await daemon.runtime.StopContainer({ container_id: id, timeout: '0' });
    await daemon.runtime.RemoveContainer({ container_id: id });
    const got = await quick.take(4);
    t.deepEqual(
      got.map((event) => short(event, { [id]: '' }).trim()),
      ['created', 'started', 'stopped', 'deleted'],
    );
    read.push(...got.map((event) => event.container_id + event.container_event_type));
    // what reads nothing at all is taken in by the test's own client
    if (n === 0) t.is((await slow.take(1)).length, 1);
  }
  t.is(await metric('podwright_event_overflows_total'), overflows + 1);
  const late: string[] = [];
  const end = await (async () => {
    for await (const event of slow) late.push(event.container_id + event.container_event_type);
  })().then(
    () => null,
    (error: unknown) => error as ServiceError,
  );
  t.is(end?.code, grpcStatus.RESOURCE_EXHAUSTED);
  t.true(late.length < read.length);
  t.deepEqual(late, read.slice(1, late.length + 1));
  close(quick);
  close(slow);
  await daemon.removePod(pod.id);
});

test.serial('a start that fails is a stop with StartError', async (t) => {
  const pod = await runPod(daemon);
  const events = await subscribe();
  const id = await create(daemon, pod, containerConfig({ command: ['/no/such/program'] }));
  await fails(t, daemon.runtime.StartContainer({ container_id: id }), { code: 'INVALID_ARGUMENT' });
  const got = await events.take(2);
  close(events);
  t.deepEqual(
    got.map((event) => short(event, { [id]: 'c' })),
    ['c created', 'c stopped'],
  );
  t.like(got[1]?.containers_statuses[0], { exit_code: 128, reason: 'StartError', state: 'CONTAINER_EXITED' });
  await daemon.removePod(pod.id);
});

test.serial('a pod that is removed as it runs: containers stop and go before it does', async (t) => {
  const pod = await runPod(daemon);
  const id = await start(daemon, pod, containerConfig());
  const events = await subscribe();
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: pod.id });
  const got = await events.take(4);
  close(events);
  t.deepEqual(
    got.map((event) => short(event, { [pod.id]: 'pod', [id]: 'c' })),
    ['c stopped', 'c deleted', 'pod stopped', 'pod deleted'],
  );
});

async function runningPod(script: string): Promise<{ pod: Pod; id: string }> {
  const pod = await runPod(daemon);
  return { pod, id: await start(daemon, pod, scripted(script)) };
}

test.serial('what ended while the daemon was dead is told after its start', async (t) => {
  const { pod, id } = await runningPod('sleep 3600 & wait');
  const pid = Number(
    JSON.parse((await daemon.runtime.ContainerStatus({ container_id: id, verbose: true })).info.info ?? '{}').pid,
  );
  await daemon.kill9();
  process.kill(pid, 'SIGKILL');
  await until('it is gone', () => {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  });
  await daemon.start();
  const events = await subscribe();
  const [first] = await events.take(1);
  t.is(short(first as Event, { [id]: 'c' }), 'c stopped');
  t.like(first?.containers_statuses[0], { id, state: 'CONTAINER_EXITED', exit_code: 137 });
  // live ones follow
  const next = await create(daemon, pod, containerConfig());
  t.is(short((await events.take(1))[0] as Event, { [next]: 'new' }), 'new created');
  close(events);
  await daemon.removePod(pod.id);
});

test.serial('a stopping daemon tells its subscribers to come back', async (t) => {
  const events = await subscribe();
  const [end] = await Promise.all([ended(events), daemon.restart()]);
  t.is(end.code, grpcStatus.UNAVAILABLE);
  close(events);
});

endsWithoutResidue(test, daemon);
