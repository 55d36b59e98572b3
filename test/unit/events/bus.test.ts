import test from 'ava';
import { EventBus } from '../../../src/events/bus.ts';
import { LifeSteps, stepsAfter } from '../../../src/events/steps.ts';
import type { Failure } from '../../../src/lib/failure.ts';

const one = (): number => 1;

function bus(limits = { events: 3, bytes: 100 }) {
  const overflows: object[] = [];
  return { bus: new EventBus<number>({ limits, onOverflow: (unread) => void overflows.push(unread) }), overflows };
}

const take = async (events: AsyncIterator<number, undefined>, count: number): Promise<(number | undefined)[]> => {
  const taken: (number | undefined)[] = [];
  while (taken.length < count) taken.push((await events.next()).value);
  return taken;
};

test('every subscriber gets every event in order, from when it came', async (t) => {
  const { bus: events } = bus();
  t.false(events.heard);
  const early = events.subscribe(one);
  events.publish(1);
  const late = events.subscribe(one);
  events.publish(2);
  events.publish(3);
  t.deepEqual(await take(early, 3), [1, 2, 3]);
  t.deepEqual(await take(late, 2), [2, 3]);
  t.is(events.subscribers, 2);
});

test('an event wakes a reader that waits', async (t) => {
  const { bus: events } = bus();
  const reader = events.subscribe(one);
  const next = reader.next();
  events.publish(7);
  t.deepEqual(await next, { done: false, value: 7 });
});

test('a slow subscriber loses its subscription, and no other', async (t) => {
  const { bus: events, overflows } = bus();
  const slow = events.subscribe(one);
  const quick = events.subscribe(one);
  for (let n = 0; n < 10; n += 1) {
    events.publish(n);
    t.deepEqual(await quick.next(), { done: false, value: n });
  }
  t.deepEqual(overflows, [{ events: 3, bytes: 3 }]);
  t.is(events.subscribers, 1);
  const error = (await t.throwsAsync(() => slow.next())) as Failure;
  t.is(error.kind, 'resource-exhausted');
  t.deepEqual(await slow.next(), { done: true, value: undefined });
});

test('unread events are bounded by bytes too; a single large one passes', async (t) => {
  const { bus: events, overflows } = bus({ events: 100, bytes: 10 });
  const reader = events.subscribe((size) => size);
  events.publish(50);
  t.is(overflows.length, 0);
  t.deepEqual(await take(reader, 1), [50]);
  events.publish(5);
  events.publish(5);
  t.is(overflows.length, 0);
  events.publish(1);
  t.deepEqual(overflows, [{ events: 2, bytes: 10 }]);
  await t.throwsAsync(() => reader.next());
});

test('what was read makes room again', async (t) => {
  const { bus: events, overflows } = bus();
  const reader = events.subscribe(one);
  for (let n = 0; n < 50; n += 1) {
    events.publish(n);
    events.publish(n);
    t.deepEqual(await take(reader, 2), [n, n]);
  }
  t.is(overflows.length, 0);
});

test('a reader that leaves is woken and forgotten', async (t) => {
  const { bus: events } = bus();
  const reader = events.subscribe(one);
  const next = reader.next();
  await reader.return?.();
  t.deepEqual(await next, { done: true, value: undefined });
  t.is(events.subscribers, 0);
  events.publish(1);
  t.deepEqual(await reader.next(), { done: true, value: undefined });
});

test('kept events come first for who subscribes later, the newest of too many', async (t) => {
  const { bus: events } = bus();
  events.publish(0);
  events.keep();
  t.true(events.heard);
  for (const n of [1, 2, 3, 4]) events.publish(n);
  const during = events.subscribe(one);
  t.deepEqual(await take(during, 3), [2, 3, 4]);
  events.stopKeeping(60_000);
  events.publish(5);
  t.deepEqual(await take(during, 1), [5]);
  const after = events.subscribe(one);
  t.deepEqual(await take(after, 3), [2, 3, 4]);
  events.publish(6);
  t.deepEqual(await take(after, 1), [6]);
});

test('kept events are forgotten', async (t) => {
  const { bus: events } = bus();
  events.keep();
  events.publish(1);
  events.stopKeeping(0);
  await new Promise((resolve) => setTimeout(resolve, 5));
  const late = events.subscribe(one);
  events.publish(2);
  t.deepEqual(await take(late, 1), [2]);
});

const facts = (made: boolean, ...[started = false, ended = false, gone = false]: readonly boolean[]) => ({
  made,
  started,
  ended,
  gone,
});

test('steps follow the facts, each once and in order', (t) => {
  t.deepEqual(stepsAfter(null, facts(false)), []);
  t.deepEqual(stepsAfter(null, facts(true)), ['created']);
  t.deepEqual(stepsAfter(null, facts(true, true)), ['created', 'started']);
  t.deepEqual(stepsAfter('created', facts(true)), []);
  t.deepEqual(stepsAfter('created', facts(true, true, true)), ['started', 'stopped']);
  t.deepEqual(stepsAfter('created', facts(true, false, true)), ['stopped'], 'a failed start');
  t.deepEqual(stepsAfter('stopped', facts(true, true, true)), [], 'a start that is known after the end');
  t.deepEqual(stepsAfter('created', facts(false, false, false, true)), ['deleted']);
  t.deepEqual(stepsAfter('started', facts(false, true, true, true)), ['stopped', 'deleted']);
  t.deepEqual(stepsAfter(null, facts(false, false, false, true)), [], 'a creation that failed');
});

test('a life that is over is forgotten', (t) => {
  const lives = new LifeSteps();
  t.deepEqual(lives.advance('a', facts(true)), ['created']);
  t.deepEqual(lives.advance('a', facts(true)), []);
  t.deepEqual(lives.advance('a', facts(false, false, false, true)), ['deleted']);
  t.deepEqual(lives.advance('a', facts(false, false, false, true)), []);
});
