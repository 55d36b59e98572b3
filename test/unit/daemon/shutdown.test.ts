import test from 'ava';
import { type ShutdownParts, shutdownNode } from '../../../src/daemon/shutdown.ts';
import { unavailable } from '../../../src/lib/failure.ts';
import { KeyedLock } from '../../../src/lib/keyed-lock.ts';
import { sandboxConfig } from '../../helpers/builders.ts';

type Pods = ShutdownParts['pods'];
const bounds = { owedMs: 60_000, podMs: 100, abandonMs: 100 };

/** Pods by name; `teardown` and `abandon` say how each ends, `settled` what is being tried again. */
function node(
  names: readonly string[],
  verbs: Partial<Pick<Pods, 'teardownSandbox' | 'abandonSandbox'>>,
  settled: (done: string[]) => Promise<void> = async () => undefined,
) {
  const done: string[] = [];
  let stopped = false;
  const owed = {
    stop: () => void (stopped = true),
    settled: () => (stopped ? settled(done) : Promise.reject(new Error('more would begin'))),
  };
  const list = names.map((name) => ({
    identity: {
      id: name.repeat(64),
      config: sandboxConfig({ metadata: { name, namespace: 'n', uid: 'u', attempt: 0 } }),
    },
  }));
  const pods = {
    sandboxes: { list: () => list },
    locks: new KeyedLock(),
    teardownSandbox: async (id: string) => void done.push(`remove ${id[0]}`),
    abandonSandbox: async (id: string) => void done.push(`abandon ${id[0]}`),
    removeOwnCgroups: async () => void done.push('cgroups'),
    ...verbs,
  } as unknown as Pods;
  const network = { shutdown: async () => void done.push('network') };
  const endPlugins = async (): Promise<void> => void done.push('plugins');
  return {
    done,
    run: (steps: string[] = [], owedMs = bounds.owedMs) =>
      shutdownNode({ pods, network, owed, endPlugins }, { ...bounds, owedMs }, (step) => void steps.push(step)),
  };
}

test('all pods end, then the network and the cgroups', async (t) => {
  const { done, run } = node(['a', 'b'], {});
  const steps: string[] = [];
  await run(steps);
  t.deepEqual(done, ['remove a', 'remove b', 'network', 'plugins', 'cgroups']);
  t.is(steps.length, 3);
});

test('a pod whose network cannot be released goes without it; all else goes too, and what stays is told', async (t) => {
  const del = unavailable('CNI plugin calico DEL failed');
  const { done, run } = node(['a', 'b'], {
    teardownSandbox: async (id) => (id[0] === 'a' ? Promise.reject(del) : undefined),
  });
  const steps: string[] = [];
  await t.throwsAsync(run(steps), { message: /pod n\/a .*its record stays: CNI plugin calico DEL failed/ });
  t.deepEqual(done, ['abandon a', 'network', 'plugins', 'cgroups']);
  t.true(steps.some((step) => step.includes('n/b')));
});

test('a pod that never ends is given up at its bound', async (t) => {
  const hangs = (): Promise<never> => new Promise(() => undefined);
  const { done, run } = node(['a', 'b'], {
    teardownSandbox: (id) => (id[0] === 'a' ? hangs() : Promise.resolve()),
    abandonSandbox: hangs,
  });
  await t.throwsAsync(run(), { message: /pod n\/a .*did not end within 100 ms/ });
  t.deepEqual(done, ['network', 'plugins', 'cgroups']);
});

test('what is being tried again comes to its end before the time of pods begins', async (t) => {
  const tried = Promise.withResolvers<void>();
  const { done, run } = node(['a'], {}, async (notes) => {
    await tried.promise;
    notes.push('tried');
  });
  const over = run();
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(done, []);
  tried.resolve();
  await over;
  t.deepEqual(done, ['tried', 'remove a', 'network', 'plugins', 'cgroups']);
});

test('where that hangs pods are ended all the same', async (t) => {
  const { done, run } = node(['a'], {}, () => new Promise(() => undefined));
  await run([], 20);
  t.deepEqual(done, ['remove a', 'network', 'plugins', 'cgroups']);
});
