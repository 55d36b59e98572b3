// What the daemon owes, by the records and the network, and which verb ends it.
import test from 'ava';
import { owedOf, type OwedParts } from '../../../src/daemon/owed.ts';
import { KeyedLock } from '../../../src/lib/keyed-lock.ts';

const id = (digit: string): string => digit.repeat(64);

/** Records by the first digit of their ids; each verb notes what it was asked for, and whether it held the lock. */
function node(
  sandboxes: Readonly<Record<string, { phase: string; stopRequestedAt?: bigint }>>,
  containers: Readonly<Record<string, { phase: string; of: string }>> = {},
  releases: readonly string[] = [],
) {
  const done: string[] = [];
  const locks = new KeyedLock();
  const pods = Object.entries(sandboxes).map(([digit, { phase, stopRequestedAt = 0n }]) => ({
    identity: { id: id(digit), config: { security: { namespaces: { network: 'node', pid: 'container' } } } },
    status: { phase, stopRequestedAt },
  }));
  const all = Object.entries(containers).map(([digit, { phase, of }]) => ({
    identity: { id: id(digit), sandboxId: id(of) },
    status: { phase },
  }));
  const under = (key: string, what: string): void => void done.push(locks.isHeld(key) ? what : `${what} without lock`);
  const find = (wanted: string) => pods.find(({ identity }) => identity.id === wanted);
  const releasePorts = {
    records: {
      find,
      get: find,
      update: (each: string, { phase }: { phase: string }) => under(`sandbox ${each}`, `${phase} ${each[0]}`),
    },
    monitors: { endWithoutSocket: async () => undefined, shutdown: async () => undefined, isAlive: () => false },
    cgroups: { kill: async () => undefined, remove: async () => undefined },
    files: { hasNetnsPin: () => false, removeSandboxFiles: async () => undefined },
    netnsPin: (each: string) => each,
    containersOf: () => [],
    pauseCgroupOf: (path: string) => path,
  };
  const parts = {
    pods: {
      sandboxes: { list: () => pods, get: find },
      containers: { list: () => all },
      locks,
      releasePorts,
      runPorts: { now: () => 1n },
      teardownSandbox: async (each: string) => under(`sandbox ${each}`, `remove ${each[0]}`),
      teardownContainer: async (each: string) => under(`container ${each}`, `remove container ${each[0]}`),
    },
    network: {
      owed: () => releases.map(id),
      releaseAgain: async (each: string) => void done.push(`release ${each[0]}`),
    },
    recovery: { owed: () => [], done: Promise.resolve() },
    log: {},
  } as unknown as OwedParts;
  return { parts, done, locks };
}

const tryAll = (parts: OwedParts): Promise<void[]> => Promise.all(owedOf(parts).map(({ again }) => again()));

test('removals and stops that did not end, and networks of what is gone: each by its verb, under its lock', async (t) => {
  const { parts, done } = node(
    {
      a: { phase: 'removing' },
      b: { phase: 'ready', stopRequestedAt: 1n },
      c: { phase: 'ready' },
      d: { phase: 'stopped', stopRequestedAt: 1n },
      e: { phase: 'creating' },
    },
    { '1': { phase: 'removing', of: 'c' }, '2': { phase: 'created', of: 'c' }, '3': { phase: 'removing', of: 'f' } },
    ['a', '9'],
  );
  t.deepEqual(
    owedOf(parts).map(({ subject, problem }) => `${subject}: ${problem}`),
    [
      'sandbox aaaaaaaaaaaaa: its removal did not end',
      'sandbox bbbbbbbbbbbbb: its stop did not end',
      'container 1111111111111: its removal did not end',
      'container 3333333333333: its removal did not end',
      'sandbox 9999999999999: it is gone, and its network was not released',
    ],
  );
  await tryAll(parts);
  t.deepEqual(done.toSorted(), ['release 9', 'remove a', 'remove container 1', 'remove container 3', 'stopped b']);
});

test('a container goes with its sandbox', (t) => {
  const { parts } = node({ a: { phase: 'removing' } }, { '1': { phase: 'removing', of: 'a' } });
  t.deepEqual(
    owedOf(parts).map(({ key }) => key),
    [`sandbox ${id('a')}`],
  );
});

test('what a caller has its hands on is busy', async (t) => {
  const { parts, locks } = node({ a: { phase: 'removing' } }, { '1': { phase: 'removing', of: 'f' } });
  const held = Promise.withResolvers<void>();
  const busy = (): boolean[] => owedOf(parts).map(({ isBusy }) => isBusy);
  const calls = [`sandbox ${id('a')}`, `container ${id('1')}`].map((key) =>
    locks.run(key, new AbortController().signal, () => held.promise),
  );
  t.deepEqual(busy(), [true, true]);
  held.resolve();
  await Promise.all(calls);
  t.deepEqual(busy(), [false, false]);
});
