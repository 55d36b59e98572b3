import test from 'ava';
import { endStalled } from '../../../src/streaming/last-words.ts';

/** What is left at each look; whether it was ended, and after how many looks nobody looked any more. */
async function watched(lefts: readonly number[]): Promise<{ ended: boolean; looks: number }> {
  let looks = 0;
  let ended = false;
  const done = Promise.withResolvers<void>();
  const awake = setInterval(() => undefined, 1000); // it does not keep the process itself
  endStalled(
    () => {
      const left = lefts[Math.min(looks, lefts.length - 1)] ?? 0;
      looks += 1;
      if (left === 0) done.resolve();
      return left;
    },
    () => {
      ended = true;
      done.resolve();
    },
    5,
  );
  await done.promise;
  const at = looks;
  await new Promise((resolve) => setTimeout(resolve, 50));
  clearInterval(awake);
  return { ended, looks: looks - at };
}

test('one that takes something is left in peace until nothing is left', async (t) => {
  t.deepEqual(await watched([100, 90, 50, 1, 0]), { ended: false, looks: 0 });
});

test('one that takes nothing is ended, once', async (t) => {
  t.deepEqual(await watched([100, 90, 90]), { ended: true, looks: 0 });
  t.deepEqual(await watched([7]), { ended: true, looks: 0 });
});
