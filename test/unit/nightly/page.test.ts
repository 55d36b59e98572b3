// The page of last results.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { lastWords, pageAfter, rowsOf } from '../../nightly/page.ts';
import { parts } from '../../nightly/parts.ts';

const root = join(import.meta.dirname, '../../..');
const two = [
  { name: 'one', what: 'the first', command: 'true' },
  { name: 'two', what: 'the second', command: 'true' },
] as const;
const result = {
  name: 'one',
  when: '2026-01-02',
  commit: 'abc1234',
  minutes: 12.4,
  passed: true,
  said: '3 passed, 0 failed',
};

test('who ran has a new row, others keep theirs, and who never ran says so', (t) => {
  const first = pageAfter('', two, [result]);
  t.regex(first, /^\| `one` \| the first \| 2026-01-02 \| abc1234 \| 12 \| 3 passed, 0 failed \|$/m);
  t.regex(first, /^\| `two` .*not by hack\/nightly yet \|$/m);
  const second = pageAfter(first, two, [{ ...result, name: 'two', passed: false, said: 'ended with 1; a | b' }]);
  t.is(rowsOf(second).get('one'), rowsOf(first).get('one'));
  t.regex(second, /^\| `two` .* \*\*failed\*\*: ended with 1; a {3}b \|$/m);
  t.deepEqual([...rowsOf(pageAfter(second, [two[1]], [])).keys()], ['two'], 'a part that is no more goes');
});

test('last words: the count, the complaints of a soak, or the last line', (t) => {
  t.is(lastWords('x\n12 passed, 0 failed, 3 skipped\nmore\n'), '12 passed, 0 failed, 3 skipped');
  t.is(
    lastWords('# Soak\n- Complaints: none; nothing was left on the host.\n\n| a |\n'),
    'Complaints: none; nothing was left on the host.',
  );
  const steps = '24 verbs with 409 steps: daemon killed at 409; left out for want of time: 3';
  t.is(lastWords(`        ${steps}\n9 passed, 0 failed\n`), `9 passed, 0 failed; ${steps}`);
  t.is(lastWords('first\nlast\n\n'), 'last');
  t.is(lastWords(''), 'said nothing');
});

test('each part has a name of its own and a program that is there; suites are those that hack/test.sh names', (t) => {
  t.is(new Set(parts.map(({ name }) => name)).size, parts.length);
  const named = ['hack/run-suites.mjs', 'hack/vm/suites.mjs']
    .map((file) => readFileSync(join(root, file), 'utf8'))
    .join('');
  for (const { name, command } of parts) {
    const [program = '', suite] = command.split(' ');
    t.true(existsSync(join(root, program)), name);
    if (program === 'hack/test.sh') t.regex(named, new RegExp(`^ +'?${suite}'?: \\{|'${suite}'`, 'm'));
  }
});
