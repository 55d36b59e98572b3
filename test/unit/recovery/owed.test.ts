// Trying again what is owed: when, how often, and what is told of it.
import test from 'ava';
import { unavailable } from '../../../src/lib/failure.ts';
import { lookMs, type Owed, OwedWork } from '../../../src/recovery/owed.ts';

/** Something owed; `ends` says what its next try comes to. */
interface Thing {
  readonly name: string;
  isBusy: boolean;
  ends: () => Promise<void>;
  readonly triedAtMs: number[];
}

/** A loop over a clock that only `pass` moves. */
function room() {
  let nowMs = 0;
  const things: Thing[] = [];
  const said: string[] = [];
  const note =
    (level: string) =>
    ({ subject, error = '' }: Readonly<Record<string, unknown>>): void =>
      void said.push(`${level} ${String(subject)} ${String(error)}`.trim());
  const owed = ({ name, isBusy, ends, triedAtMs }: Thing): Owed => ({
    key: name,
    subject: name,
    problem: 'it did not end',
    isBusy,
    again: () => {
      triedAtMs.push(nowMs);
      return ends();
    },
  });
  const work = new OwedWork({
    list: () => things.map(owed),
    elapsedMs: () => nowMs,
    log: { info: note('info'), warn: note('warn') },
  });
  return {
    work,
    said,
    add: (name: string, ends: () => Promise<void>): Thing => {
      const thing = { name, isBusy: false, ends, triedAtMs: [] };
      things.push(thing);
      return thing;
    },
    drop: (thing: Thing) => void things.splice(things.indexOf(thing), 1),
    /** Lets time pass, with a look as often as the daemon has one. */
    pass: async (ms: number): Promise<void> => {
      for (const end = nowMs + ms; nowMs < end; nowMs += lookMs) {
        work.look();
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}

const away = (): Promise<void> => Promise.reject(unavailable('the controller is away'));

test('what is owed is tried after some seconds, then further and further apart, five minutes at most', async (t) => {
  const { add, pass } = room();
  const { triedAtMs } = add('a', away);
  await pass(2_000_000);
  t.deepEqual(triedAtMs.slice(0, 4), [5000, 15_000, 35_000, 75_000]);
  const rests = triedAtMs.slice(1).map((at, index) => at - (triedAtMs[index] ?? 0));
  t.deepEqual(rests, [10_000, 20_000, 40_000, 80_000, 160_000, ...rests.slice(5).map(() => 300_000)]);
  t.true(rests.length > 7);
});

test('the same failure is told once, another one again, and so is the end', async (t) => {
  const { add, pass, said, drop } = room();
  const thing = add('a', away);
  await pass(100_000);
  t.deepEqual(said, ['warn a the controller is away']);
  thing.ends = () => Promise.reject(unavailable('the disk is full'));
  await pass(100_000);
  t.deepEqual(said.slice(1), ['warn a the disk is full']);
  thing.ends = async () => drop(thing);
  await pass(1_000_000);
  t.deepEqual(said.slice(2), ['info a']);
});

test('what somebody works on is left to them, and taken up when they have given up', async (t) => {
  const { add, pass } = room();
  const thing = add('a', away);
  thing.isBusy = true;
  await pass(60_000);
  t.deepEqual(thing.triedAtMs, []);
  thing.isBusy = false;
  await pass(10_000);
  t.is(thing.triedAtMs.length, 1);
});

test('what hangs is not begun twice, and keeps neither all others nor more than its share', async (t) => {
  const { add, pass } = room();
  const hanging = Promise.withResolvers<void>();
  const stuck = Array.from({ length: 6 }, (_, at) => add(`stuck ${at}`, () => hanging.promise));
  const other = add('other', away);
  await pass(600_000);
  t.is(stuck.filter(({ triedAtMs }) => triedAtMs.length > 0).length, 4);
  t.true(stuck.every(({ triedAtMs }) => triedAtMs.length <= 1));
  t.deepEqual(other.triedAtMs, []);
  hanging.reject(unavailable('gone'));
  await pass(10_000);
  t.is(other.triedAtMs.length, 1, 'there is room again');
});

test('what has begun is settled when each try is over, however it ends', async (t) => {
  const { add, pass, work } = room();
  await work.settled();
  const [good, bad] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  add('a', () => good.promise);
  add('b', () => bad.promise);
  await pass(10_000);
  let settled = false;
  const over = work.settled().then(() => (settled = true));
  good.resolve();
  await pass(5000);
  t.false(settled);
  bad.reject(unavailable('gone'));
  await over;
  t.true(settled);
});

test('the report has what is owed with what became of it, but not what was begun just now', async (t) => {
  const { add, pass, work, drop } = room();
  const thing = add('a', away);
  const fresh = add('b', away);
  fresh.isBusy = true;
  t.deepEqual(work.report(), [{ subject: 'a', problem: 'it did not end', tries: 0, error: '' }]);
  drop(fresh);
  await pass(20_000);
  t.deepEqual(work.report(), [{ subject: 'a', problem: 'it did not end', tries: 2, error: 'the controller is away' }]);
  drop(thing);
  t.deepEqual(work.report(), []);
});

test('work in progress is no report, however often it was looked at; a try of our own is one', async (t) => {
  const { add, pass, work } = room();
  const thing = add('a', away);
  thing.isBusy = true;
  await pass(60_000);
  t.deepEqual(work.report(), []);
  thing.isBusy = false;
  t.is(work.report().length, 1, 'its caller has failed');
  const hanging = Promise.withResolvers<void>();
  thing.ends = () => {
    thing.isBusy = true;
    return hanging.promise;
  };
  await pass(20_000);
  t.like(work.report(), [{ tries: 0 }]);
  hanging.reject(unavailable('gone'));
  await pass(5000);
  t.like(work.report(), [{ tries: 1 }], 'it is held for the next caller');
});

test('what is owed once more later is left alone at first again', async (t) => {
  const { add, pass, drop } = room();
  const first = add('a', away);
  await pass(100_000);
  drop(first);
  await pass(5000);
  const second = add('a', away);
  await pass(10_000);
  t.is(second.triedAtMs.length, 1);
});
