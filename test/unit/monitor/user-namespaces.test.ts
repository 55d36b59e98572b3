import test from 'ava';
import { exhaustionIn } from '../../../src/lib/exhaustion.ts';
import { failureChain } from '../../../src/lib/failure.ts';
import { userNamespaces, type UserNamespaceTrouble } from '../../../src/monitor/user-namespaces.ts';

type Ended = { readonly code: number; readonly stderr: string };

function probing(...answers: (Ended | Error)[]) {
  const asked: (readonly string[])[] = [];
  const native = {
    spawnMonitor: async ({ argv }: { readonly argv: readonly string[] }) => {
      asked.push(argv);
      const answer = answers[asked.length - 1];
      if (answer instanceof Error) throw answer;
      return answer ?? { code: 2, stderr: 'asked too often' };
    },
  };
  const clock = { ms: 1_000_000 };
  return { asked, clock, ask: userNamespaces({ native, store: '/root', state: '/state', nowMs: () => clock.ms }) };
}

const told = ({ pods, hostNetwork }: UserNamespaceTrouble) => ({
  pods: pods && failureChain(pods),
  hostNetwork: hostNetwork && failureChain(hostNetwork),
});

for (const [ended, expected] of [
  [
    { code: 0, stderr: '' },
    { pods: null, hostNetwork: null },
  ],
  [
    { code: 3, stderr: 'mount /sys' },
    { pods: null, hostNetwork: 'mount /sys' },
  ],
  [
    { code: 1, stderr: 'no idmap' },
    { pods: 'no idmap', hostNetwork: 'no idmap' },
  ],
  [
    { code: 139, stderr: '' },
    { pods: 'the probe ended with code 139', hostNetwork: 'the probe ended with code 139' },
  ],
] as const) {
  test(`a probe that ends with ${ended.code} is asked once`, async (t) => {
    const { asked, ask } = probing(ended);
    const [one, two] = await Promise.all([ask(), ask()]);
    t.deepEqual(told(one), expected);
    t.is(one, two);
    t.deepEqual(asked, [['podwright-monitor', 'probe', '--store', '/root', '--state', '/state']]);
  });
}

test('a probe that cannot be run is run again', async (t) => {
  const { ask } = probing(new Error('out of memory'), { code: 0, stderr: '' });
  t.regex(told(await ask()).pods ?? '', /could not be run: out of memory/);
  t.is((await ask()).pods, null);
});

test('a probe that failed because something had run out is run again, and what it was is told', async (t) => {
  const stderr = 'make namespaces: clone: no space left on device (errno 28)';
  const { asked, ask } = probing({ code: 1, stderr }, { code: 3, stderr }, { code: 0, stderr: '' });
  const first = await ask();
  t.deepEqual(told(first), { pods: stderr, hostNetwork: stderr });
  t.regex(exhaustionIn(first.pods)?.what ?? '', /user\.max_/);
  t.deepEqual(told(await ask()), { pods: null, hostNetwork: stderr });
  t.deepEqual(told(await ask()), { pods: null, hostNetwork: null });
  await ask();
  t.is(asked.length, 3);
});

test('a probe that hangs is not waited for, and its answer counts when it comes', async (t) => {
  const { promise, resolve } = Promise.withResolvers<Ended>();
  const native = { spawnMonitor: () => promise };
  const ask = userNamespaces({ native, store: '/root', state: '/state', nowMs: () => 0, patienceMs: 1 });
  t.regex(told(await ask()).pods ?? '', /has not answered within 1 ms/);
  resolve({ code: 0, stderr: '' });
  t.deepEqual(await ask(), { pods: null, hostNetwork: null });
});

test('who asks often has an answer of the last ten seconds; a good one holds for good', async (t) => {
  const stderr = 'make namespaces: clone: no space left on device (errno 28)';
  const { asked, clock, ask } = probing({ code: 1, stderr }, { code: 1, stderr }, { code: 0, stderr: '' });
  const first = await ask({ often: true });
  clock.ms += 9999;
  t.is(await ask({ often: true }), first);
  t.is(asked.length, 1);
  clock.ms += 1;
  t.deepEqual(told(await ask({ often: true })).pods, stderr);
  t.is(asked.length, 2);
  t.is((await ask()).pods, null, 'a pod that needs them has it looked at now');
  clock.ms += 60_000;
  t.is((await ask({ often: true })).pods, null);
  t.is(asked.length, 3);
});
