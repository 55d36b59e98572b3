// The power goes, at random writes: every image that was said to be there is whole, of the records at most the last second
// is missing, nothing torn is taken for whole, and the node goes on. hack/test.sh vm-power runs it where the kernel can.
import { randomInt } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Chance } from '../helpers/chance.ts';
import { TestDaemon } from '../helpers/daemon.ts';
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts';
import { LoggedDisk, type LogEntry, noLoggedDisk } from '../helpers/logged-disk.ts';
import { compare, type Fact, goesOn, inAnotherBoot, now, quarantined, work } from './first-minute.ts';

const why = noLoggedDisk();
const real = why === null ? test.serial : test.serial.skip;
const title = (what: string): string => (why === null ? what : `${what} [${why}]`);

/** How often the power goes; each takes seconds. */
const cuts = Number(process.env['POWER_CUTS'] ?? 24);
/** What the order of chances begins with: a run is repeated by it. */
const seed = Number(process.env['POWER_SEED'] ?? randomInt(2 ** 31));
let disk: LoggedDisk | null = null;
let registry: FakeRegistry | null = null;
test.after.always('the disk goes', async () => {
  disk?.remove();
  await registry?.close();
});

real(title(`the power goes at ${cuts} moments of a node's first pods and pulls`), async (t) => {
  t.timeout(60 * 60_000);
  t.log(`POWER_SEED=${seed}`);
  const chance = new Chance(seed);
  const place = '/tmp/pwt-power-boot';
  mkdirSync(place, { recursive: true });
  registry = await startFakeRegistry();
  const logged = (disk = new LoggedDisk(192, 1024));
  const dir = join(logged.dir, 'n');
  const times = new Map<string, number>();
  /** Leaves the time in the log. */
  const tick = (): void => {
    const name = `t${times.size}`;
    times.set(name, now());
    logged.mark(name);
  };
  const facts: Fact[] = [];
  const before = new TestDaemon({ dir, logFile: join(place, 'before.log') });
  await inAnotherBoot(place, async () => {
    mkdirSync(dir);
    const ticking = setInterval(tick, 100);
    try {
      await before.start();
      await work(before, registry as FakeRegistry, { facts, tick });
      // what follows must not be in time to sync it: the last second is at stake too
      tick();
    } finally {
      clearInterval(ticking);
      await before.destroy();
    }
  });
  logged.end();
  const entries = logged.entries();
  const firstFact = entries.findIndex(({ mark }) => mark !== null && (times.get(mark) ?? 0) >= (facts[0] as Fact).told);
  t.true(firstFact > 0 && facts.length > 20);
  const writes = (from: readonly LogEntry[]): number => from.filter(({ mark }) => mark === null).length;
  t.log(`${entries.length} entries, ${writes(entries)} writes, ${entries.filter(({ flush }) => flush).length} flushes`);
  let worst = 0;
  for (let n = 0; n < cuts; n += 1) {
    // one in four before anything was told: a store that is just being made
    const begin = n % 4 === 0 ? 0 : firstFact;
    const count = begin + chance.below(entries.length - begin);
    const last = entries.slice(0, count).findLast(({ mark }) => mark !== null && times.has(mark));
    const cutAt = last === undefined ? 0 : (times.get(last.mark as string) as number);
    logged.mountAsAfter(entries, count, () => chance.next() < 0.5);
    mkdirSync(dir, { recursive: true });
    const after = new TestDaemon({ dir, logFile: join(place, `after-${n}.log`), after: before });
    try {
      await after.start();
      const torn = quarantined(after);
      const missed = await compare(t, after, { facts, cutAt });
      worst = Math.max(worst, missed);
      await goesOn(t, after);
      t.log(`cut ${n} after ${count} of ${entries.length}: ${Math.round(missed)} ms missed, ${torn} quarantined`);
    } catch (error) {
      t.log(`cut ${n} after ${count} of ${entries.length}\n${after.lastWords()}`);
      throw error;
    } finally {
      await after.destroy();
      logged.unmount();
    }
  }
  t.log(`of records at most the last ${Math.round(worst)} ms were missing`);
  rmSync(place, { recursive: true });
});
