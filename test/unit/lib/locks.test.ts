import test from 'ava';
import { cancelled, Failure, failureChain, internal } from '../../../src/lib/failure.ts';
import { KeyedLock } from '../../../src/lib/keyed-lock.ts';
import { ResultList } from '../../../src/lib/result-list.ts';
import { SingleFlight } from '../../../src/lib/single-flight.ts';
import { monotonicClock } from '../../../src/lib/clock.ts';

const never = new AbortController().signal;
const gate = () => Promise.withResolvers<void>();

test('one holder per key, in order of arrival; other keys go on', async (t) => {
  const locks = new KeyedLock();
  const seen: string[] = [];
  const first = gate();
  const a = locks.run('x', never, async () => {
    await first.promise;
    seen.push('a');
  });
  const b = locks.run('x', never, async () => void seen.push('b'));
  await locks.run('y', never, async () => void seen.push('y'));
  first.resolve();
  await Promise.all([a, b]);
  t.deepEqual(seen, ['y', 'a', 'b']);
  t.false(locks.isHeld('x'));
});

test('a waiter that is cancelled never runs and does not let the next one in early', async (t) => {
  const locks = new KeyedLock();
  const first = gate();
  const seen: string[] = [];
  const a = locks.run('x', never, async () => {
    await first.promise;
    seen.push('a');
  });
  const abort = new AbortController();
  const b = locks.run('x', abort.signal, async () => void seen.push('b'));
  const c = locks.run('x', never, async () => void seen.push('c'));
  abort.abort(cancelled('the caller has gone'));
  await t.throwsAsync(b, { instanceOf: Failure, message: 'the caller has gone' });
  t.deepEqual(seen, []);
  first.resolve();
  await Promise.all([a, c]);
  t.deepEqual(seen, ['a', 'c']);
});

test('a failing holder passes the lock on', async (t) => {
  const locks = new KeyedLock();
  await t.throwsAsync(locks.run('x', never, () => Promise.reject(internal('no'))));
  t.is(await locks.run('x', never, async () => 7), 7);
});

test('calls for the same key share one piece of work', async (t) => {
  const flights = new SingleFlight<number>();
  const hold = gate();
  let runs = 0;
  const work = async () => {
    runs += 1;
    await hold.promise;
    return 5;
  };
  const both = [flights.run('k', never, work), flights.run('k', never, work)];
  hold.resolve();
  t.deepEqual(await Promise.all(both), [5, 5]);
  t.is(runs, 1);
});

test('the work is aborted only when its last caller has gone', async (t) => {
  const flights = new SingleFlight<number>();
  let aborted = false;
  const work = (signal: AbortSignal) =>
    new Promise<number>((_, reject) =>
      signal.addEventListener('abort', () => {
        aborted = true;
        reject(signal.reason as Error);
      }),
    );
  const [one, two] = [new AbortController(), new AbortController()];
  const a = flights.run('k', one.signal, work);
  const b = flights.run('k', two.signal, work);
  one.abort(new Error('first'));
  await t.throwsAsync(a, { message: 'first' });
  t.false(aborted);
  two.abort(new Error('second'));
  await t.throwsAsync(b, { message: 'second' });
  t.true(aborted);
  t.is(await flights.run('k', never, async () => 9), 9, 'abandoned work is not joined');
});

test('a result list goes on after a failure and tells all of them', async (t) => {
  const results = new ResultList();
  const done: string[] = [];
  await results.attempt('one', () => Promise.reject(internal('first broke')));
  await results.attempt('two', () => void done.push('two'));
  await results.attempt('three', () => {
    throw new Error('third broke');
  });
  t.deepEqual(done, ['two']);
  const error = t.throws(() => results.throwIfAny('tear it down'), { instanceOf: Failure });
  t.is(error.message, 'tear it down: one: first broke; three: third broke');
});

test('a chain of causes reads outermost first', (t) => {
  t.is(failureChain(internal('a', new Error('b', { cause: new Error('c') }))), 'a: b: c');
});

test('the clock never repeats, even when the wall clock goes back', (t) => {
  const wall = [5, 5, 3, 6];
  const clock = monotonicClock(() => wall.shift() as number);
  const times = [clock.now(), clock.now(), clock.now(), clock.now()];
  t.deepEqual(times, [5_000_000n, 5_000_001n, 5_000_002n, 6_000_000n]);
});

test('a cancelled waiter takes nothing from the holder: who comes after it waits too', async (t) => {
  const locks = new KeyedLock();
  const first = gate();
  const seen: string[] = [];
  const a = locks.run('x', never, async () => {
    await first.promise;
    seen.push('a');
  });
  const abort = new AbortController();
  const b = locks.run('x', abort.signal, async () => void seen.push('b'));
  abort.abort(cancelled('the caller has gone'));
  await t.throwsAsync(b, { message: 'the caller has gone' });
  await t.throwsAsync(locks.run('x', abort.signal, async () => void seen.push('gone before it came')));
  t.true(locks.isHeld('x'));
  const c = locks.run('x', never, async () => void seen.push('c'));
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(seen, []);
  first.resolve();
  await Promise.all([a, c]);
  t.deepEqual(seen, ['a', 'c']);
  t.false(locks.isHeld('x'));
});

test('a key whose last waiter was cancelled is forgotten with its holder', async (t) => {
  const locks = new KeyedLock();
  const first = gate();
  const a = locks.run('x', never, () => first.promise);
  const abort = new AbortController();
  const b = locks.run('x', abort.signal, async () => undefined);
  abort.abort(cancelled('gone'));
  await t.throwsAsync(b);
  first.resolve();
  await a;
  await new Promise((resolve) => setImmediate(resolve));
  t.false(locks.isHeld('x'));
});
