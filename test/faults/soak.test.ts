// A short soak: random verbs of several clients while the daemon is killed again and again. hack/soak is the long one.
import test from 'ava';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { soak } from '../soak/soak.ts';

/** Of the choices; the times of kills and of calls that are given up are the machine's all the same. */
const seed = Number(process.env['SOAK_SEED'] ?? 4711);

const daemon = useDaemon(test);

test.serial(
  'eight clients, calls given up, and a daemon that is killed: each has what it was told, and nothing else',
  async (t) => {
    t.timeout(8 * 60_000);
    const { operations, kills, complaints, tries } = await soak(daemon, {
      clients: 8,
      operations: 400,
      limitMs: 90_000,
      killEveryMs: 5000,
      impatience: 60,
      seed,
      progress: () => undefined,
    });
    t.log(`seed ${seed}: ${operations} operations, ${kills} kills, ${tries.cancelled} calls given up`);
    t.deepEqual(complaints, []);
    t.true(operations > 0);
  },
);

endsWithoutResidue(test, daemon);
