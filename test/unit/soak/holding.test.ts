// What the soak takes for growth: tables.
import test from 'ava';
import { grew, growthOf, type Holding } from '../../soak/holding.ts';

const slack = { fds: 2, threads: 0, rss: 0.3 };
const one = { fds: 10, threads: 2, rss: 1 };
const times = (count: number, held: Partial<Holding> = {}): Holding[] =>
  Array.from({ length: count }, () => ({ ...one, ...held }));

test('the least of each quarter counts', (t) => {
  const seen = [
    ...times(2, { rss: 9 }),
    ...times(1),
    ...times(1, { fds: 50 }),
    ...times(4),
    ...times(1, { threads: 7 }),
  ];
  const growth = growthOf(seen);
  t.deepEqual(growth, { quarters: [{ ...one, rss: 9 }, one, one, one], samples: 9 });
  t.deepEqual(growth && grew(growth, slack), []);
});

test('too few samples say nothing', (t) => {
  t.is(growthOf(times(7)), null);
});

for (const [what, last, told] of [
  ['descriptors', { fds: 15 }, 'descriptors: 10 to 15'],
  ['threads', { threads: 3 }, 'threads: 2 to 3'],
  ['memory', { rss: 1.6 }, 'memory: 1.0 to 1.6 MiB'],
] as const)
  test(`growth of ${what} is told`, (t) => {
    const growth = growthOf([...times(6), ...times(2, last)]);
    t.deepEqual(growth && grew(growth, slack), [told]);
  });

test('what breathes is no growth', (t) => {
  const growth = growthOf([...times(6), ...times(2, { fds: 14, rss: 1.5 })]);
  t.deepEqual(growth && grew(growth, slack), []);
});

test('memory that grows on is told in a long run, one that comes to rest is not', (t) => {
  const long = (...quarters: [number, number, number, number]) => {
    const growth = growthOf(quarters.flatMap((rss) => times(90, { rss })));
    return growth && grew(growth, slack);
  };
  t.deepEqual(long(1, 1.1, 1.15, 1.2), ['memory goes on: 1.1, 1.1, 1.2 MiB']);
  t.deepEqual(long(1, 1.1, 1.2, 1.2), []);
  const short = growthOf([1, 1.1, 1.15, 1.2].flatMap((rss) => times(20, { rss })));
  t.deepEqual(short && grew(short, slack), [], 'a start');
});
