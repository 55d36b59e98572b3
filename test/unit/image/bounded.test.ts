import test from 'ava';
import { eachBounded } from '../../../src/image/bounded.ts';

const signal = new AbortController().signal;

test('some at a time, results in order', async (t) => {
  let running = 0;
  let most = 0;
  const results = await eachBounded([5, 1, 3, 2, 4], { limit: 2, signal }, async (n) => {
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setTimeout(resolve, n));
    running -= 1;
    return n * 2;
  });
  t.deepEqual(results, [10, 2, 6, 4, 8]);
  t.is(most, 2);
  t.deepEqual(await eachBounded([], { limit: 2, signal }, async () => 1), []);
});

test('the first failure stops the others, is awaited with them, and is thrown', async (t) => {
  const stopped: number[] = [];
  const work = eachBounded([1, 2, 3, 4], { limit: 2, signal }, async (n, own) => {
    if (n === 1) throw new Error('first');
    await new Promise((resolve) => own.addEventListener('abort', resolve, { once: true }));
    stopped.push(n);
    throw new Error('stopped');
  });
  await t.throwsAsync(work, { message: 'first' });
  t.deepEqual(stopped, [2]);
});

test('the caller’s signal stops all', async (t) => {
  const stop = new AbortController();
  const work = eachBounded([1, 2, 3], { limit: 1, signal: stop.signal }, async () => stop.abort(new Error('gone')));
  await t.throwsAsync(work, { message: 'gone' });
});

test('the largest begin first, the results are in order', async (t) => {
  const began: number[] = [];
  const signal = new AbortController().signal;
  const results = await eachBounded(
    [3, 9, 1, 7],
    { limit: 1, signal, first: (n) => n },
    async (n) => began.push(n) && n,
  );
  t.deepEqual(began, [9, 7, 3, 1]);
  t.deepEqual(results, [3, 9, 1, 7]);
});
