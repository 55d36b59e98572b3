import test from 'ava';
import { putInForce, vacateOwn } from '../../../src/daemon/own-cgroups.ts';
import { internal, notFound } from '../../../src/lib/failure.ts';

const free = {
  cpuShares: 1012,
  cpuQuota: -1,
  cpuPeriod: 100_000,
  cpusetCpus: '',
  cpusetMems: '',
  memoryLimitBytes: -1,
  memorySwapLimitBytes: -1,
  hugepageLimits: [],
  pidsLimit: -1,
  unified: {},
};

/** A host with cgroup v2 that takes note of what is written there. */
function room({ has = free, fails = null as Error | null, pids = [] as number[] | Error } = {}) {
  const notes: string[] = [];
  const cgroups = {
    version: 'v2' as const,
    read: async () => has,
    update: async () => {
      notes.push('update');
      if (fails) throw fails;
      return has;
    },
    procs: async () => {
      if (pids instanceof Error) throw pids;
      return pids.length > 1 ? pids.splice(0, 1) : pids.filter((pid) => pid > 0);
    },
    vacate: async () => void notes.push('vacate'),
  };
  const log = { warn: (_: object, text: string) => void notes.push(text) };
  return { parts: { cgroups, log }, notes };
}

test('a cgroup without limits of ours is not written to when none are wanted', async (t) => {
  const { parts, notes } = room({ fails: internal('busy') });
  await putInForce(parts, '/own', null);
  t.deepEqual(notes, []);
});

test('limits that cannot be lifted are told of; those that are wanted must be in force', async (t) => {
  const { parts, notes } = room({ has: { ...free, pidsLimit: 5 }, fails: internal('busy') });
  await putInForce(parts, '/own', null);
  t.deepEqual(notes, ['update', 'limits of an earlier configuration may still be in force']);
  await t.throwsAsync(putInForce(parts, '/own', { ...free, pidsLimit: 7 }), { message: 'busy' });
  const gone = room({ has: { ...free, pidsLimit: 5 }, fails: notFound('no cgroup') });
  await putInForce(gone.parts, '/own', { ...free, pidsLimit: 7 });
  t.deepEqual(gone.notes, ['update']);
});

test('a cgroup that others are in is left to them', async (t) => {
  const taken = room({ pids: [7] });
  await vacateOwn(taken.parts, '/own');
  t.deepEqual(taken.notes, ['other processes are in a cgroup of ours: it stays']);
  // a process that is about to be gone is waited for: 0 is nobody
  for (const pids of [[], [8, 0], notFound('no cgroup')]) {
    const empty = room({ pids });
    await vacateOwn(empty.parts, '/own');
    t.deepEqual(empty.notes, ['vacate']);
  }
});
