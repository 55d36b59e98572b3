// A short soak: random verbs of several clients while the daemon is killed again and again. hack/soak is the long one.
import { randomInt } from 'node:crypto';
import test from 'ava';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { soak } from '../soak/soak.ts';

const daemon = useDaemon(test);

test.serial(
  'eight clients, calls given up, and a daemon that is killed: each has what it was told, and nothing else',
  async (t) => {
    t.timeout(8 * 60_000);
    const seed = randomInt(1_000_000);
    const { operations, kills, complaints, tries } = await soak(daemon, {
      clients: 8,
      operations: 400,
      limitMs: 120_000,
      killEveryMs: 5000,
      impatience: 60,
      seed,
      progress: () => undefined,
    });
    t.log(`seed ${seed}: ${operations} operations, ${kills} kills, ${tries.cancelled} calls given up`);
    t.deepEqual(complaints, []);
    t.true(operations >= 100, 'some were done');
  },
);

endsWithoutResidue(test, daemon);
