import test from 'ava';
import type { TreeUsage } from '../../../src/native/boundary.ts';
import { LayerMeter } from '../../../src/storage/layer-meter.ts';

const second = 1_000_000_000n;
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Layers of given sizes, and a clock. A measure ends when the test says so, with what the layers are then. */
function room(sizes: Record<string, TreeUsage | null | Error>) {
  const clock = { nowNanos: 1000n * second, now: () => clock.nowNanos };
  const batches: string[][] = [];
  const ends: (() => void)[] = [];
  const errors: unknown[] = [];
  const meter = new LayerMeter({
    clock,
    onError: (error) => errors.push(error),
    measure: async (ids) => {
      batches.push([...ids]);
      await new Promise<void>((resolve) => ends.push(resolve));
      return Promise.allSettled(
        ids.map(async (id) => {
          const size = sizes[id] ?? null;
          if (size instanceof Error) throw size;
          return size;
        }),
      );
    },
  });
  const finish = async (): Promise<void> => {
    for (const end of ends.splice(0)) end();
    await settled();
  };
  return { meter, clock, batches, finish, errors };
}

const of = (bytes: number, inodes = 1): TreeUsage => ({ bytes, inodes });

test('what is not known is waited for, in one batch for all who ask', async (t) => {
  const { meter, batches, finish, clock } = room({ a: of(1), b: of(2), c: of(3) });
  const first = meter.usages(['a', 'b']);
  const second_ = meter.usages(['b', 'c']);
  await finish();
  t.deepEqual(batches, [['a', 'b'], ['c']]);
  const at = clock.nowNanos;
  t.deepEqual(await first, [
    { bytes: 1, inodes: 1, at },
    { bytes: 2, inodes: 1, at },
  ]);
  t.like(await second_, [{ bytes: 2 }, { bytes: 3 }]);
  t.deepEqual(meter.sum(), { bytes: 6, inodes: 3 });
});

test('who asks every ten seconds does not wait, and is told the time of the measure', async (t) => {
  const sizes = { a: of(1) };
  const { meter, batches, finish, clock } = room(sizes);
  const first = meter.usages(['a']);
  await finish();
  const at = (await first)[0]?.at;
  clock.nowNanos += 9n * second;
  t.like(await meter.usages(['a']), [{ bytes: 1 }]);
  t.is(batches.length, 1, 'it is fresh');
  sizes.a = of(5);
  clock.nowNanos += 1n * second;
  t.deepEqual(await meter.usages(['a']), [{ bytes: 1, inodes: 1, at: at as bigint }]);
  t.is(batches.length, 2, 'another is made');
  t.like(await meter.usages(['a']), [{ bytes: 1 }]);
  t.is(batches.length, 2, 'one at a time');
  await finish();
  t.deepEqual(await meter.usages(['a']), [{ bytes: 5, inodes: 1, at: clock.nowNanos }]);
});

test('who asks every thirty seconds is told a fresh one, or the old one when that takes long', async (t) => {
  const sizes = { a: of(1) };
  const { meter, finish, clock } = room(sizes);
  const first = meter.usages(['a']);
  await finish();
  await first;
  sizes.a = of(2);
  clock.nowNanos += 30n * second;
  const fresh = meter.usages(['a']);
  await finish();
  t.like(await fresh, [{ bytes: 2, at: clock.nowNanos }]);
  sizes.a = of(3);
  clock.nowNanos += 30n * second;
  t.like(await meter.usages(['a']), [{ bytes: 2 }], 'it is not waited for without end');
  await finish();
  t.like(await meter.usages(['a']), [{ bytes: 3 }]);
});

test('one that is forgotten while another is waited for is told as it was', async (t) => {
  const { meter, finish, clock } = room({ a: of(1), b: of(2) });
  const first = meter.usages(['a']);
  await finish();
  await first;
  clock.nowNanos += 25n * second;
  const second_ = meter.usages(['b']);
  await finish();
  await second_;
  const both = meter.usages(['a', 'b']);
  meter.forget('b');
  await finish();
  t.like(await both, [{ bytes: 1 }, { bytes: 2 }]);
});

test('what is older than a minute is not told', async (t) => {
  const sizes = { a: of(1) };
  const { meter, finish, clock } = room(sizes);
  const first = meter.usages(['a']);
  await finish();
  await first;
  sizes.a = of(2);
  clock.nowNanos += 60n * second;
  const later = meter.usages(['a']);
  await finish();
  t.like(await later, [{ bytes: 2, at: clock.nowNanos }]);
});

test('who wants a fresh one waits for it', async (t) => {
  const sizes = { a: of(1) };
  const { meter, finish, clock, batches } = room(sizes);
  const first = meter.usage('a');
  await finish();
  t.like(await first, { bytes: 1 });
  t.like(await meter.usage('a'), { bytes: 1 });
  t.is(batches.length, 1);
  sizes.a = of(2);
  clock.nowNanos += 10n * second;
  const later = meter.usage('a');
  await finish();
  t.like(await later, { bytes: 2 });
});

test('of those that were never measured a slow one holds up few', async (t) => {
  const ids = Array.from({ length: 100 }, (_, at) => `c${at}`);
  const ends: (() => void)[] = [];
  const slow = Promise.withResolvers<void>();
  let most = 0;
  let running = 0;
  const meter = new LayerMeter({
    clock: { now: () => 1000n * second },
    onError: (error) => t.fail(String(error)),
    async measure(batch) {
      t.true(batch.length <= 8, `${batch.length} together`);
      most = Math.max(most, (running += 1));
      await (batch.includes('c3') ? slow.promise : new Promise<void>((resolve) => ends.push(resolve)));
      running -= 1;
      return batch.map(() => ({ status: 'fulfilled', value: of(1) }));
    },
  });
  const told = ids.map((id) => ({ id, told: false }));
  const all = meter.usages(ids);
  const each = told.map(async (one) => {
    await meter.usages([one.id]);
    one.told = true;
  });
  while (ends.length > 0) {
    for (const end of ends.splice(0)) end();
    await settled();
  }
  t.is(most, 4, 'some batches at once');
  t.deepEqual(
    told.filter((one) => !one.told).map(({ id }) => id),
    ids.slice(0, 8),
    'those of its batch',
  );
  slow.resolve();
  t.is((await all).length, 100);
  await Promise.all(each);
});

test('large trees are measured by themselves, and seldom when that takes long', async (t) => {
  const { meter, batches, finish, clock } = room({ a: of(1), large: of(9, 100_000), b: of(2) });
  const all = ['a', 'large', 'b'];
  const first = meter.usages(all);
  await finish();
  await first;
  t.deepEqual(batches.splice(0), [all]);
  clock.nowNanos += 11n * second;
  await meter.usages(all);
  t.deepEqual(batches.splice(0), [['large'], ['a', 'b']]);
  clock.nowNanos += 3n * second;
  await finish();
  clock.nowNanos += 59n * second;
  const later = meter.usages(all);
  t.deepEqual(batches.splice(0), [['a', 'b']], 'three seconds of walking are a minute of rest');
  await finish();
  t.like(await later, [{ bytes: 1 }, { bytes: 9 }, { bytes: 2 }]);
});

test('a failure is told to who waits for it, and otherwise to the log; nothing is kept of what is gone', async (t) => {
  const sizes: Record<string, TreeUsage | null | Error> = { a: of(1), gone: null };
  const { meter, finish, clock, errors } = room(sizes);
  const first = meter.usages(['a', 'gone']);
  await finish();
  t.like(await first, [{ bytes: 1 }, { bytes: 0, inodes: 0 }]);
  t.deepEqual(meter.sum(), of(1));
  sizes['a'] = new Error('no');
  clock.nowNanos += 10n * second;
  t.like(await meter.usages(['a']), [{ bytes: 1 }]);
  await finish();
  t.is(errors.length, 1);
  meter.forget('a');
  const failing = t.throwsAsync(meter.usages(['a']), { message: 'no' });
  await finish();
  await failing;
  t.deepEqual(meter.sum(), of(0, 0));
});

test('what was being measured of a forgotten layer is not kept', async (t) => {
  const { meter, finish } = room({ a: of(1) });
  const first = meter.usages(['a']);
  meter.forget('a');
  await finish();
  t.like(await first, [{ bytes: 1 }]);
  t.deepEqual(meter.sum(), of(0, 0));
});
