import test from 'ava';
import { Slots } from '../../../src/lib/slots.ts';

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('so many at once, the others in the order in which they came, failures too', async (t) => {
  const slots = new Slots(2);
  const begun: string[] = [];
  const work = (name: string) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const run = slots.run(() => {
      begun.push(name);
      return promise;
    });
    return { run, end: () => resolve(name), fail: () => reject(new Error(name)) };
  };
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(work) as [ReturnType<typeof work>, ...ReturnType<typeof work>[]];
  t.deepEqual(begun, ['a', 'b'], 'those with a slot begin at once');
  b?.fail();
  await t.throwsAsync(b?.run ?? Promise.resolve(), { message: 'b' });
  await settled();
  t.deepEqual(begun, ['a', 'b', 'c']);
  a.end();
  c?.end();
  t.is(await a.run, 'a');
  t.is(await c?.run, 'c');
  await settled();
  t.deepEqual(begun, ['a', 'b', 'c', 'd']);
  const late = work('e');
  t.is(begun.at(-1), 'e', 'a slot that is free again');
  d?.end();
  late.end();
  t.deepEqual(await Promise.all([d?.run, late.run]), ['d', 'e']);
});

test('a queue that is full takes no more, and who gives up leaves it', async (t) => {
  const slots = new Slots(1, { mostWaiting: 2, whenFull: 'too many' });
  const { promise, resolve } = Promise.withResolvers<void>();
  const begun: string[] = [];
  const note = (name: string) => () => {
    begun.push(name);
    return Promise.resolve(name);
  };
  const first = slots.run(() => promise);
  const gone = new AbortController();
  const second = slots.run(note('second'), gone.signal);
  const third = slots.run(note('third'), new AbortController().signal);
  await t.throwsAsync(slots.run(note('one too many')), { message: 'too many' });
  gone.abort(new Error('gave up'));
  await t.throwsAsync(second, { message: 'gave up' });
  const fourth = slots.run(note('fourth'));
  resolve();
  await first;
  t.deepEqual(await Promise.all([third, fourth]), ['third', 'fourth']);
  t.deepEqual(begun, ['third', 'fourth']);
  t.is(await slots.run(note('fifth')), 'fifth');
});
