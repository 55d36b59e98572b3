// The power goes while the node works: from some moment on its disk takes nothing any more and says nothing of it
// (dm-flakey). What it was told before that moment is there when it starts again. hack/test.sh vm-power runs it.
import { randomInt } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Chance } from '../helpers/chance.ts';
import { TestDaemon } from '../helpers/daemon.ts';
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts';
import { FlakeyDisk, noFlakeyDisk } from '../helpers/flakey-disk.ts';
import { until } from '../helpers/until.ts';
import { compare, type Cut, type Fact, goesOn, inAnotherBoot, now, quarantined, work } from './first-minute.ts';

const why = noFlakeyDisk();
const real = why === null ? test.serial : test.serial.skip;
const title = (what: string): string => (why === null ? what : `${what} [${why}]`);

/** How often the power goes; each takes the time of a node's first minute. */
const cuts = Number(process.env['FLAKEY_CUTS'] ?? 3);
/** What the order of chances begins with: a run is repeated by it. */
const seed = Number(process.env['POWER_SEED'] ?? randomInt(2 ** 31));

/** Ticks of a first minute after which the power may go: with some left to be told of what is lost. */
const lastTick = 30;
/** Milliseconds after the tick, at most: within what the node does next. */
const longestMs = 1000;
/** What the node is told after the power went, at most. */
const mostAfter = 4;

let disk: FlakeyDisk | null = null;
let registry: FakeRegistry | null = null;
test.after.always('the disk goes', async () => {
  disk?.remove();
  await registry?.close();
});

/** What is synced after the power went: it shows that the disk took nothing. */
const lostFile = ({ dir }: FlakeyDisk): string => join(dir, 'lost');

function writeDurably(path: string): void {
  const fd = openSync(path, 'w');
  try {
    writeSync(fd, 'x');
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

interface Moment {
  /** After how many ticks, and how many milliseconds later. */
  readonly tick: number;
  readonly ms: number;
  /** How many more ticks the node lives on. */
  readonly more: number;
}

/** A node's first minute until it is killed a little after the power went; answers what it was told, and when it went. */
async function firstMinute(daemon: TestDaemon, { tick, ms, more }: Moment): Promise<Cut> {
  const facts: Fact[] = [];
  const cut = { cutAt: 0, cutEnd: 0 };
  let ticks = 0;
  let due: NodeJS.Timeout | null = null;
  let after = 0;
  const over = Promise.withResolvers<void>();
  const goes = (): void => {
    cut.cutAt = now();
    (disk as FlakeyDisk).becomes('drops writes');
    cut.cutEnd = now();
    writeDurably(lostFile(disk as FlakeyDisk));
  };
  const passed = (): void => {
    ticks += 1;
    if (ticks === tick) due = setTimeout(goes, ms);
    if (cut.cutEnd > 0 && (after += 1) >= more) over.resolve();
  };
  try {
    passed();
    const working = daemon.start().then(() => work(daemon, registry as FakeRegistry, { facts, tick: passed }));
    // a minute that is over before sees the power go all the same
    const ended = working.then(() => until('the power goes', () => cut.cutEnd > 0));
    await Promise.race([over.promise, ended]);
    await daemon.kill9();
    await working.catch(() => undefined); // it was killed in the middle
  } finally {
    if (due !== null) clearTimeout(due);
    await daemon.destroy();
  }
  return { facts, ...cut };
}

real(title(`the disk of a node takes nothing any more from ${cuts} moments on, and says nothing of it`), async (t) => {
  t.timeout(60 * 60_000);
  t.log(`POWER_SEED=${seed}`);
  const chance = new Chance(seed);
  const place = mkdtempSync('/tmp/pwt-flakey-');
  t.teardown(() => rmSync(place, { recursive: true }));
  registry = await startFakeRegistry();
  let worst = 0;
  for (let n = 0; n < cuts; n += 1) {
    disk = new FlakeyDisk(192);
    const dir = join(disk.dir, 'n');
    mkdirSync(dir);
    // the first, and each fourth after it, while the first things are made
    const tick = 1 + (n % 4 === 0 ? 0 : 1 + chance.below(lastTick - 1));
    const moment = { tick, ms: chance.below(longestMs), more: 1 + chance.below(mostAfter) };
    const before = new TestDaemon({ dir, logFile: join(place, `before-${n}.log`) });
    let cut: Cut = { facts: [], cutAt: 0 };
    await inAnotherBoot(place, async () => {
      cut = await firstMinute(before, moment);
    });
    await disk.unmount();
    disk.becomes('works');
    disk.mount();
    t.false(existsSync(lostFile(disk)), 'the power went');
    mkdirSync(dir, { recursive: true });
    const after = new TestDaemon({ dir, logFile: join(place, `after-${n}.log`), after: before });
    const lost = cut.facts.filter(({ told }) => told > cut.cutAt).length;
    const what = `cut ${n}, ${moment.ms} ms after tick ${tick}: ${cut.facts.length - lost} told before, ${lost} after`;
    try {
      await after.start();
      const torn = quarantined(after);
      const missed = await compare(t, after, cut);
      worst = Math.max(worst, missed);
      await goesOn(t, after);
      t.log(`${what}; ${Math.round(missed)} ms missed, ${torn} quarantined`);
    } catch (error) {
      t.log(`${what}\n${after.lastWords()}`);
      throw error;
    } finally {
      await after.destroy();
      await disk.unmount();
      disk.remove();
    }
  }
  t.log(`of records at most the last ${Math.round(worst)} ms were missing`);
});
