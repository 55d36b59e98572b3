// Events on their way to an API server that is well, helpless or hostile.
import test from 'ava';
import type { Kube } from '../../src/kube/kube.ts';
import { type Asked, type Handler, refusal } from '../helpers/fake-api.ts';
import { failedPull, type KubeRoom, shopPod, withRoom } from '../helpers/kube-room.ts';
import { until } from '../helpers/until.ts';

const taken: Handler = ({ method }) => ({ status: method === 'POST' ? 201 : 200, body: { kind: 'Event' } });
const bodyOf = (asked: Asked | undefined): Record<string, unknown> => (asked?.body ?? {}) as Record<string, unknown>;
const told = (room: KubeRoom, count: number): Promise<unknown> =>
  until(`${count} events came to an end`, () => room.fates.length >= count);

test('an event is made as the kubelet makes its own, and the same again is counted on it', (t) =>
  withRoom(async (room) => {
    room.api.handler = taken;
    const kube = room.start({ events: true });
    kube.tell({ type: 'disk-full', pod: shopPod, container: 'main', usedBytes: 1024, limitBytes: 1024 });
    await told(room, 1);
    room.nowMs += 60_000;
    kube.tell({ type: 'disk-full', pod: shopPod, container: 'main', usedBytes: 1024, limitBytes: 1024 });
    await told(room, 2);
    const [made, counted] = room.api.asked;
    t.is(made?.method, 'POST');
    t.is(made?.path, '/api/v1/namespaces/shop/events');
    const { metadata, ...event } = bodyOf(made);
    t.deepEqual(event, {
      apiVersion: 'v1',
      kind: 'Event',
      involvedObject: { apiVersion: 'v1', kind: 'Pod', ...shopPod, fieldPath: 'spec.containers{main}' },
      type: 'Warning',
      reason: 'DiskQuotaReached',
      message: 'the writable layer of container main holds 1Ki, its limit is 1Ki: writes fail',
      firstTimestamp: '2026-03-01T10:00:00Z',
      lastTimestamp: '2026-03-01T10:00:00Z',
      count: 1,
      source: { component: 'podwrightd', host: 'n-1' },
      reportingComponent: 'podwrightd',
      reportingInstance: 'n-1',
    });
    const { name, namespace } = metadata as { name: string; namespace: string };
    t.regex(name, /^web\.[0-9a-f]{16}$/);
    t.is(namespace, 'shop');
    t.is(counted?.method, 'PATCH');
    t.is(counted?.path, `/api/v1/namespaces/shop/events/${name}`);
    t.is(counted?.type, 'application/merge-patch+json');
    t.like(bodyOf(counted), { count: 2, lastTimestamp: '2026-03-01T10:01:00Z' });
    t.deepEqual(room.fates, ['created', 'counted']);
  }));

test('news of the node is in the default namespace, under the name that kubectl looks for', (t) =>
  withRoom(async (room) => {
    room.api.handler = taken;
    room.start({ events: true }).tell({ type: 'swept', what: ['a'] });
    await told(room, 1);
    t.is(room.api.asked[0]?.path, '/api/v1/namespaces/default/events');
    t.like(bodyOf(room.api.asked[0]), { involvedObject: { kind: 'Node', name: 'n-1', uid: 'n-1' }, type: 'Normal' });
  }));

test('an object whose time is over is made anew', (t) =>
  withRoom(async (room) => {
    room.api.handler = taken;
    const kube = room.start({ events: true });
    kube.tell(failedPull('a'));
    await told(room, 1);
    room.api.handler = (asked, response) => (asked.method === 'PATCH' ? refusal(404) : taken(asked, response));
    kube.tell(failedPull('a'));
    await told(room, 2);
    t.deepEqual(
      room.api.asked.map(({ method }) => method),
      ['POST', 'PATCH', 'POST'],
    );
    t.is(bodyOf(room.api.asked[2])['count'], 1);
  }));

const passing: readonly (readonly [title: string, handler: Handler])[] = [
  ['fails', () => refusal(500)],
  ['is a web page', (_, response) => (response.end('<html>'), null)],
  ['hangs up', (_, response) => (response.destroy(), null)],
  ['ends in the middle', (_, response) => (response.write('{'), setImmediate(() => response.destroy()), null)],
  ['says too much', (_, response) => (response.end(`"${'x'.repeat(200_000)}"`), null)],
  ['sends headers without end', (_, response) => (response.setHeader('x', 'x'.repeat(60_000)), response.end(), null)],
  ['does not know us yet', () => refusal(401)],
];
for (const [title, handler] of passing) {
  test(`an event is sent again after the API server ${title}`, (t) =>
    withRoom(async (room) => {
      room.api.handler = handler;
      room.start({ events: true }).tell(failedPull('a'));
      await until('it is tried again', () => room.api.asked.length >= 3);
      t.deepEqual(room.fates, []);
      room.api.handler = taken;
      await told(room, 1);
      t.deepEqual(room.fates, ['created']);
      t.deepEqual(room.rests.slice(0, 2), [1000, 2000], 'each time twice as long');
      t.is(room.lines.filter((line) => line.startsWith('could not send events')).length, 1, 'and told once');
      t.false(room.lines.some((line) => line.includes('secret')));
      if (title.includes('know')) t.true(room.lines.includes('credentials are read anew'));
    }));
}

test('an API server that has too much to do says for how long to wait', (t) =>
  withRoom(async (room) => {
    room.api.handler = () => ({ ...refusal(429), headers: { 'retry-after': '77' } });
    room.start({ events: true }).tell(failedPull('a'));
    await until('it waits', () => room.rests.length > 0);
    room.api.handler = taken;
    await told(room, 1);
    t.is(room.rests[0], 77_000);
  }));

for (const status of [400, 403, 409, 422]) {
  test(`an event that is refused with ${status} is not sent again, and holds up no other`, (t) =>
    withRoom(async (room) => {
      room.api.handler = (asked, response) =>
        bodyOf(asked)['message'] === undefined || String(bodyOf(asked)['message']).endsWith('bad')
          ? refusal(status)
          : taken(asked, response);
      const kube = room.start({ events: true });
      kube.tell(failedPull('bad'));
      kube.tell(failedPull('good'));
      await told(room, 2);
      t.deepEqual(room.fates, ['refused', 'created']);
      t.is(room.api.asked.length, 2);
    }));
}

test('an event that could not be sent for long is given up', (t) =>
  withRoom(async (room) => {
    room.api.handler = () => refusal(503);
    const kube = room.start({ events: true });
    kube.tell(failedPull('a'));
    await until('it is tried', () => room.api.asked.length > 0);
    room.nowMs += 601_000;
    await told(room, 1);
    t.deepEqual(room.fates, ['expired']);
  }));

/** Tells so much at once as would flood any queue. */
function flood(kube: Kube): number {
  const count = 2000;
  for (let i = 0; i < count; i += 1) kube.tell(failedPull('a', { ...shopPod, name: `p-${i}`, uid: `u-${i}` }));
  return count;
}

test('an API server that never answers costs a bounded queue, and no time', (t) =>
  withRoom(async (room) => {
    room.api.handler = () => null;
    const kube = room.start({ events: true, condition: true, handlers: ['podwright'] });
    const count = flood(kube);
    const overflowed = room.fates.filter((fate) => fate === 'overflow').length;
    t.is(overflowed, count - 256);
    await until('it is asked', () => room.api.asked.length >= 2);
    await kube.stop();
    t.deepEqual(
      room.fates.filter((fate) => fate !== 'overflow'),
      [],
    );
  }));

test('a storm is held back for the API server', (t) =>
  withRoom(async (room) => {
    room.api.handler = taken;
    flood(room.start({ events: true }));
    await told(room, 2000);
    const counts = Object.groupBy(room.fates, (fate) => fate);
    t.is(counts['created']?.length, 50);
    t.is(counts['limited']?.length, 256 - 50);
    t.is(room.api.asked.length, 50);
  }));
