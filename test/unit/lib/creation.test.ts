import test from 'ava';
import { buildOrClearAway } from '../../../src/lib/creation.ts';
import { type Failure, failureChain, invalidArgument, unavailable } from '../../../src/lib/failure.ts';

const first = invalidArgument('set sysctl x', new Error('no such file'));

test('a creation that fails is cleared away and tells its own failure', async (t) => {
  let cleared = 0;
  const failure = await t.throwsAsync(
    buildOrClearAway('sandbox 1', { build: () => Promise.reject(first), teardown: async () => void (cleared += 1) }),
  );
  t.is(failure, first);
  t.is(cleared, 1);
  t.is(await buildOrClearAway('sandbox 1', { build: async () => 7, teardown: () => Promise.reject(first) }), 7);
});

test('when clearing away fails too both are told, each of them once, under the first one’s kind', async (t) => {
  const failure = (await t.throwsAsync(
    buildOrClearAway('sandbox 1', {
      build: () => Promise.reject(first),
      teardown: () => Promise.reject(unavailable('end the monitor')),
    }),
  )) as Failure;
  t.is(failure.kind, 'invalid-argument');
  t.is(failureChain(failure), 'set sysctl x: no such file; and clearing sandbox 1 away failed: end the monitor');
  t.is(failure.stack, first.stack);
});
