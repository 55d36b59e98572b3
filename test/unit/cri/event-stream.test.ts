// GetContainerEvents over a real connection: several readers, one that stalls, one that leaves, a daemon that stops.
import { type ServiceError, status } from '@grpc/grpc-js';
import test, { type ExecutionContext } from 'ava';
import type { ContainerEvent } from '../../../src/cri/verbs.ts';
import { EventBus } from '../../../src/events/bus.ts';
import { containerOf, sandboxOf } from '../../helpers/builders.ts';
import { criStream } from '../../helpers/cri-client.ts';
import { serveForTest } from '../../helpers/cri-server.ts';
import { until } from '../../helpers/until.ts';

const view = { sandbox: sandboxOf(), state: 'ready' } as const;
const exit = { exitCode: 3, reason: 'Error', message: '', finishedAt: 9n } as const;

const event = (n: number, labelBytes = 0): ContainerEvent => ({
  containerId: `c${n}`,
  type: 'stopped',
  createdAt: BigInt(n) + 1n,
  sandbox: view,
  containers: [
    containerOf({ id: `c${n}`, labels: { large: 'x'.repeat(labelBytes) }, status: { startedAt: 5n, exit } }),
  ],
});

async function serve(t: ExecutionContext) {
  const overflows: object[] = [];
  const bus = new EventBus<ContainerEvent>({
    limits: { events: 50, bytes: 4 * 1024 * 1024 },
    onOverflow: (unread) => void overflows.push(unread),
  });
  const served = await serveForTest(t, {
    runtime: {
      containerEvents: (sizeOf) => bus.subscribe(sizeOf),
      version: async () => ({ runtimeName: 'podwright', runtimeVersion: '1' }),
    },
    recovering: () => new Promise(() => undefined),
  });
  const subscribed = (count: number): Promise<boolean> =>
    until(`${count} subscribers`, () => bus.subscribers === count);
  return { ...served, bus, overflows, subscribed };
}

const failure = async (work: Promise<unknown>): Promise<ServiceError> =>
  work.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error as ServiceError,
  );

test('an event is served while recovering, with everything in it', async (t) => {
  const { socket, bus, subscribed } = await serve(t);
  const stream = criStream(socket, 'GetContainerEvents');
  await subscribed(1);
  bus.publish(event(4));
  const [first] = await stream.take(1);
  stream.close();
  t.like(first, { container_id: 'c4', container_event_type: 'CONTAINER_STOPPED_EVENT', created_at: '5' });
  t.like(first?.pod_sandbox_status, { id: 's1', state: 'SANDBOX_READY', metadata: { uid: 'uid-1' } });
  t.like(first?.containers_statuses[0], { id: 'c4', state: 'CONTAINER_EXITED', exit_code: 3, reason: 'Error' });
  await subscribed(0);
});

test('a stalled reader stops nobody and ends with RESOURCE_EXHAUSTED; a quick one gets everything in order', async (t) => {
  const { socket, bus, overflows, subscribed, client, observed } = await serve(t);
  const stalled = criStream(socket, 'GetContainerEvents');
  const quick = criStream(socket, 'GetContainerEvents');
  await subscribed(2);
  const total = 400;
  bus.publish(event(0));
  // a client of grpc-js that has read nothing yet takes in all there is; one that has read stops at 16 messages
  t.deepEqual([(await stalled.take(1)).length, (await quick.take(1)).length], [1, 1]);
  for (let n = 1; n < total; n += 1) {
    bus.publish(event(n, 200_000));
    const [got] = await quick.take(1);
    t.is(got?.container_id, `c${n}`);
  }
  await client.runtime.Version();
  t.is(overflows.length, 1);
  t.is(bus.subscribers, 1);
  const read: string[] = ['c0'];
  const error = await failure(
    (async () => {
      for await (const { container_id } of stalled) read.push(container_id);
    })(),
  );
  t.is(error.code, status.RESOURCE_EXHAUSTED);
  t.true(read.length > 1 && read.length < total / 2, `${read.length} were read`);
  t.deepEqual(
    read,
    read.map((_, n) => `c${n}`),
  );
  stalled.close();
  quick.close();
  await subscribed(0);
  await until('both ends are told', () => observed.filter((o) => o.method === 'GetContainerEvents').length === 2);
  t.deepEqual(
    observed.filter((o) => o.method === 'GetContainerEvents').map(({ code }) => code),
    ['RESOURCE_EXHAUSTED', 'CANCELLED'],
  );
});

test('when the daemon stops, subscribers are told to come back, at once', async (t) => {
  const { socket, server, subscribed } = await serve(t);
  const stream = criStream(socket, 'GetContainerEvents');
  await subscribed(1);
  const [error] = await Promise.all([failure(stream.all()), server.stop(60_000)]);
  t.is(error.code, status.UNAVAILABLE);
  stream.close();
});
