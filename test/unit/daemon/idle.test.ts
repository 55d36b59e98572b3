import test from 'ava';
import { isTimeToTrim } from '../../../src/daemon/idle.ts';

const mib = 1024 * 1024;
const facts = { nowMs: 100_000, lastWorkMs: 99_000, trimmedMs: 10_000, heldAfterBytes: 50 * mib, heldBytes: 55 * mib };

const cases: readonly (readonly [string, Partial<typeof facts>, boolean])[] = [
  ['quiet for some seconds', { lastWorkMs: 95_000 }, true],
  ['quiet, and done since', { lastWorkMs: 9_000 }, false],
  ['quiet since the trim itself', { lastWorkMs: 10_000 }, false],
  ['never quiet and not grown', {}, false],
  ['never quiet and grown', { heldBytes: 62 * mib }, true],
  ['grown, but trimmed lately', { heldBytes: 200 * mib, trimmedMs: 50_000 }, false],
  ['never trimmed, a minute of work', { trimmedMs: 0, heldAfterBytes: 0 }, true],
  ['never trimmed, begun just now', { nowMs: 5000, lastWorkMs: 4000, trimmedMs: 0, heldAfterBytes: 0 }, false],
  ['nothing was ever done', { lastWorkMs: 0, trimmedMs: 0 }, false],
];

for (const [what, more, wanted] of cases) {
  test(`memory is given back or not: ${what}`, (t) => {
    t.is(isTimeToTrim({ ...facts, ...more }), wanted);
  });
}
