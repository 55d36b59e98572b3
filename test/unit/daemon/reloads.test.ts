import test from 'ava';
import type { Container } from '../../../src/container/container.ts';
import { KeyedLock } from '../../../src/lib/keyed-lock.ts';
import { internal, notFound } from '../../../src/lib/failure.ts';
import { keepThroughReloads, type ReloadParts } from '../../../src/daemon/reloads.ts';

const resources = {
  cpuPeriod: null,
  cpuQuota: null,
  cpuShares: null,
  memoryLimitBytes: 4096,
  oomScoreAdj: 0,
  cpusetCpus: '',
  cpusetMems: '',
  hugepageLimits: [],
  unified: { 'memory.oom.group': '1' },
  memorySwapLimitBytes: null,
};
const container = (id: string, status: object) =>
  ({
    identity: { id, cgroupPath: `/${id}` },
    status: { resources, createdAt: 1n, startedAt: 1n, exit: null, ...status },
  }) as never;

/** Reloads that come one by one: null ends it. */
function room(reloads: readonly (Promise<unknown> | null)[], rewrite: (path: string) => Promise<void>) {
  const rest = [...reloads];
  const warned: string[] = [];
  const slept: number[] = [];
  const notes: string[] = [];
  const records = new Map<string, Container>(
    Object.entries({
      a: container('a', {}),
      ended: container('ended', { exit: { finishedAt: 2n, reason: 'Completed' } }),
      free: container('free', { resources: null }),
      b: container('b', {}),
      created: container('created', { startedAt: 0n }),
    }),
  );
  const locks = new KeyedLock();
  const parts: ReloadParts = {
    cgroups: {
      reloaded: () => {
        notes.push('watch');
        return rest.shift() ?? null;
      },
      rewrite: (path, { memoryLimitBytes }) => {
        notes.push(`${path} ${memoryLimitBytes}`);
        return rewrite(path);
      },
    },
    containers: { list: () => [...records.values()], get: (id) => records.get(id) },
    locks,
    log: { warn: (_: object, text: string) => void warned.push(text) },
    sleep: async (ms) => void slept.push(ms),
  };
  return { parts, warned, slept, notes, records, locks };
}

/** What has been begun and waits for nothing is over then. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('limits of containers are written again at the start and after each reload', async (t) => {
  const written: string[] = [];
  const reloads = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
  const { parts, warned } = room(
    reloads.map(({ promise }) => promise),
    async (path) => void written.push(path),
  );
  const kept = keepThroughReloads(parts);
  for (const { resolve } of reloads) {
    await settled();
    resolve();
  }
  await kept;
  await settled();
  t.deepEqual(written, ['/a', '/b', '/created', '/a', '/b', '/created', '/a', '/b', '/created']);
  t.deepEqual(warned, []);
});

test('the next reload is watched for before limits are written again', async (t) => {
  const { parts, notes } = room([Promise.resolve()], async () => undefined);
  await keepThroughReloads(parts);
  await settled();
  const all = ['/a 4096', '/b 4096', '/created 4096'];
  t.deepEqual(notes, ['watch', ...all, 'watch', ...all], 'at the start too: one meanwhile is seen');
});

test('an update under way is waited for, and what is on record then is written', async (t) => {
  const { parts, notes, records, locks } = room([Promise.resolve()], async () => undefined);
  const updated = Promise.withResolvers<void>();
  const update = locks.run('container a', new AbortController().signal, async () => {
    await updated.promise;
    records.set('a', container('a', { resources: { ...resources, memoryLimitBytes: 8192 } }));
  });
  await keepThroughReloads(parts);
  await settled();
  const others = ['/b 4096', '/created 4096'];
  t.deepEqual(notes, ['watch', ...others, 'watch', ...others], 'all others are not waited with');
  updated.resolve();
  await update;
  await settled();
  t.deepEqual(notes.slice(6), ['/a 8192'], 'once, for both times');
});

test('a start that hangs keeps no reload from being seen, and what is gone meanwhile is left alone', async (t) => {
  const reloads = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
  const { parts, notes, records, locks } = room(
    reloads.map(({ promise }) => promise),
    async () => undefined,
  );
  const started = Promise.withResolvers<void>();
  const start = locks.run('container created', new AbortController().signal, () => started.promise);
  const kept = keepThroughReloads(parts);
  for (const { resolve } of reloads) {
    resolve();
    await settled();
  }
  await kept;
  t.is(notes.filter((note) => note === '/a 4096').length, 3, 'at the start, and after each reload');
  records.delete('created');
  started.resolve();
  await start;
  await settled();
  t.false(notes.some((note) => note.startsWith('/created')));
});

test('one that has ended is passed over, and one that fails is told of', async (t) => {
  const { parts, warned, records } = room([Promise.resolve()], async (path) => {
    throw path === '/a' ? notFound('no cgroup') : internal('no');
  });
  records.delete('created');
  await keepThroughReloads(parts);
  await settled();
  const word = 'limits of a container were not written again';
  t.deepEqual(warned, [word, word], 'of b, at the start and after the reload');
});

test('without systemd nothing is done; without its answer it is tried again later', async (t) => {
  const none = room([null], () => Promise.reject(new Error('not asked for')));
  await keepThroughReloads(none.parts);
  t.deepEqual(none.warned, []);
  const away = room([Promise.reject(internal('no socket'))], async () => undefined);
  await keepThroughReloads(away.parts);
  t.deepEqual([away.warned, away.slept], [['systemd cannot be watched for reloads'], [10_000]]);
});
