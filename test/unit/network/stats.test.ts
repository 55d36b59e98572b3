import test from 'ava';
import { InterfaceStats, type InterfaceCounters, type StatsNative } from '../../../src/network/stats.ts';

const none = { rxPackets: 0, rxErrors: 0, rxDropped: 0, txBytes: 0, txPackets: 0, txErrors: 0, txDropped: 0 };
const counters = (name: string, rxBytes = 0): InterfaceCounters => ({ name, rxBytes, ...none });
const pod = (name: string, hostInterface: string | null = null) => ({
  hostInterface,
  interface: 'eth0',
  netns: `/netns/${name}`,
});

/** A native side that answers when it is told to. */
function native(answers: readonly (readonly InterfaceCounters[])[] = []) {
  const calls: string[] = [];
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const side: StatsNative = {
    async networkInterfaceStats({ pods }) {
      calls.push(`ask ${pods.map(({ hostInterface, netns }) => hostInterface ?? netns).join(' ')}`);
      await held;
      calls.push('answer');
      return pods.map((_, at) => answers[at] ?? null);
    },
    async networkForgetStats({ netns }) {
      calls.push(`forget ${netns}`);
      return null;
    },
  };
  return { stats: new InterfaceStats(side), calls, release };
}

test("what is asked at once is one call; a pod's own interface comes first", async (t) => {
  const { stats, calls, release } = native([[counters('net1', 1), counters('eth0', 2)], [counters('eth0', 3)]]);
  release();
  const [one, two, three] = await Promise.all([stats.of(pod('a')), stats.of(pod('b', 'pwb')), stats.of(pod('c'))]);
  t.deepEqual(
    one?.map(({ name }) => name),
    ['eth0', 'net1'],
  );
  t.is(two?.[0]?.rxBytes, 3);
  t.deepEqual(three, [], 'no network any more');
  t.deepEqual(calls, ['ask /netns/a pwb /netns/c', 'answer']);
});

test('a namespace is let go after the reading that may have opened it', async (t) => {
  const { stats, calls, release } = native();
  const asked = stats.of(pod('a'));
  await new Promise((resolve) => setImmediate(resolve));
  const forgotten = stats.forget('/netns/a');
  release();
  await Promise.all([asked, forgotten]);
  t.deepEqual(calls, ['ask /netns/a', 'answer', 'forget /netns/a']);
});

test('a question that waits while its namespace is let go opens nothing', async (t) => {
  const { stats, calls, release } = native([[counters('eth0')]]);
  release();
  const [gone, other] = [stats.of(pod('a')), stats.of(pod('b'))];
  await stats.forget('/netns/a');
  t.deepEqual(await gone, []);
  t.is((await other).length, 1);
  t.deepEqual(calls.toSorted(), ['answer', 'ask /netns/b', 'forget /netns/a']);
});

test('nothing is let go of that was never looked into', async (t) => {
  const { stats, calls, release } = native([[counters('eth0')]]);
  release();
  await stats.of(pod('a', 'pwa'));
  await stats.forget('/netns/a');
  t.deepEqual(calls, ['ask pwa', 'answer']);
});

test('a failure is told to all who asked', async (t) => {
  const failing = new InterfaceStats({
    networkInterfaceStats: () => Promise.reject(new Error('no netlink')),
    networkForgetStats: async () => null,
  });
  const answers = await Promise.allSettled([failing.of(pod('a')), failing.of(pod('b'))]);
  t.deepEqual(
    answers.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
});
