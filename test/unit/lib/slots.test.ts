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
