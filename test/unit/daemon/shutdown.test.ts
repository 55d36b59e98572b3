import test from 'ava';
import { type ShutdownParts, shutdownNode } from '../../../src/daemon/shutdown.ts';
import { unavailable } from '../../../src/lib/failure.ts';
import { KeyedLock } from '../../../src/lib/keyed-lock.ts';
import { sandboxConfig } from '../../helpers/builders.ts';

type Pods = ShutdownParts['pods'];
const bounds = { podMs: 100, abandonMs: 100 };

/** Pods by name; `teardown` and `abandon` say how each ends. */
function node(names: readonly string[], verbs: Partial<Pick<Pods, 'teardownSandbox' | 'abandonSandbox'>>) {
  const done: string[] = [];
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
    run: (steps: string[] = []) => shutdownNode({ pods, network, endPlugins }, bounds, (step) => void steps.push(step)),
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
