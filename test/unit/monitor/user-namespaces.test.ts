import test from 'ava';
import { userNamespaces } from '../../../src/monitor/user-namespaces.ts';

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
  return { asked, ask: userNamespaces({ native, store: '/root', state: '/state' }) };
}

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
    t.deepEqual(one, expected);
    t.is(one, two);
    t.deepEqual(asked, [['podwright-monitor', 'probe', '--store', '/root', '--state', '/state']]);
  });
}

test('a probe that cannot be run is run again', async (t) => {
  const { ask } = probing(new Error('out of memory'), { code: 0, stderr: '' });
  t.regex((await ask()).pods ?? '', /could not be run: out of memory/);
  t.is((await ask()).pods, null);
});

test('a probe that hangs is not waited for, and its answer counts when it comes', async (t) => {
  const { promise, resolve } = Promise.withResolvers<Ended>();
  const native = { spawnMonitor: () => promise };
  const ask = userNamespaces({ native, store: '/root', state: '/state', patienceMs: 1 });
  t.regex((await ask()).pods ?? '', /has not answered within 1 ms/);
  resolve({ code: 0, stderr: '' });
  t.deepEqual(await ask(), { pods: null, hostNetwork: null });
});
