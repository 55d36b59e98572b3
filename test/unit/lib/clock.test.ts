import test from 'ava';
import { followingClock, monotonicClock } from '../../../src/lib/clock.ts';

/** A host whose true time and whose steady counter can be moved apart, as a correction of the clock does. */
function host(trueMs: number) {
  const state = { trueMs, elapsedMs: 10 };
  const pass = (ms: number): void => {
    state.trueMs += ms;
    state.elapsedMs += ms;
  };
  const clock = followingClock({
    wallMs: () => Math.floor(state.trueMs),
    elapsedMs: () => state.elapsedMs,
    startMs: state.trueMs,
  });
  return { state, pass, clock };
}

test('steps finer than a millisecond are seen', (t) => {
  const { clock, pass } = host(1000.25);
  t.is(clock(), 1000.25);
  pass(0.5);
  t.is(clock(), 1000.75);
  pass(1.5);
  t.is(clock(), 1002.25);
});

test('a correction of the wall clock is followed, forward and back, to a millisecond', (t) => {
  const { clock, state, pass } = host(1000.25);
  state.trueMs += 60_000;
  t.true(Math.abs(clock() - state.trueMs) <= 1);
  pass(5000);
  t.true(Math.abs(clock() - state.trueMs) <= 1);
  state.trueMs -= 30_000;
  t.true(Math.abs(clock() - state.trueMs) <= 1);
});

test('a slow drift is followed', (t) => {
  const { clock, state } = host(1000);
  for (let second = 0; second < 1000; second += 1) {
    state.trueMs += 1000.2;
    state.elapsedMs += 1000;
    t.true(Math.abs(clock() - state.trueMs) <= 1);
  }
});

test('the time of the daemon still never goes back', (t) => {
  const { clock, state } = host(1000);
  const daemon = monotonicClock(clock);
  const before = daemon.now();
  state.trueMs -= 30_000;
  t.is(daemon.now(), before + 1n);
});
