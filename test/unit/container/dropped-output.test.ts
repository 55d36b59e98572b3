import test from 'ava';
import { DroppedOutput } from '../../../src/container/dropped-output.ts';

test('what a container dropped is counted once, however often it is told', (t) => {
  const dropped = new DroppedOutput();
  dropped.soFar('a', 100);
  dropped.soFar('b', 7);
  dropped.soFar('a', 150);
  t.is(dropped.total, 157);
  dropped.inAll('a', 400);
  dropped.inAll('c', 1);
  t.is(dropped.total, 408);
  dropped.soFar('b', 3); // never less than before
  t.is(dropped.total, 408);
});
