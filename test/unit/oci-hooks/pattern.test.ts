// Patterns in Go's syntax, and what they match here.
import test from 'ava';
import { type Expression, matchesWithin } from '../../../src/lib/bounded-expression.ts';
import { fromGo } from '../../../src/oci-hooks/pattern.ts';

const matches = (expression: Expression, text: string) => matchesWithin(2000)([expression], [[text]]);

for (const [pattern, yes, no] of [
  ['^abc$', 'abc', 'abcd'],
  ['(?i)^abc$', 'ABC', 'ab'],
  ['(?s)^a.b$', 'a\nb', 'ab'],
  ['^a.b$', 'axb', 'a\nb'],
  ['\\Aab\\z', 'ab', 'ab\n'],
  ['(?m)^b$', 'a\nb', 'ab'],
  ['^[[:alpha:]_]+$', 'aB_', 'a1'],
  ['^[^[:digit:]]$', 'a', '1'],
  ['^[[:^digit:]]$', 'a', '1'],
  ['^[^[:^digit:]]$', '1', 'a'],
  ['^[[:^word:]x]+$', 'x-é😀', '_'],
  ['^[[:blank:]-z]+$', '\t -z', 'a'],
  ['^[[:space:]]$', '\v', '\u00a0'],
  ['^[[:print:]]+[[:cntrl:]]$', 'a \u007f', 'ab'],
  ['^[[:punct:]]{4}$', '!:[~', '!a[~'],
  ['^[\\w-.]+$', 'a-b.c', 'a/b'],
  ['^[\\d-x]+$', '1-x', 'y'],
  ['^[\\pL-.]+$', 'é-.', '1'],
  ['^[\\w-]+$', 'a-', '.'],
  ['^[]a]+$', ']a', 'b'],
  ['^[\\]\\-x]+$', ']-x', 'y'],
  ['^[a\\-z]$', '-', 'b'],
  ['^oci\\-x\\.y\\/z\\_$', 'oci-x.y/z_', 'oci-x-y/z_'],
  ['^(?P<name>a|b)+$', 'ab', 'c'],
  ['^(?:a)(b)$', 'ab', 'a'],
  ['^a{2,3}$', 'aaa', 'a'],
  ['^{x}]$', '{x}]', 'x'],
  ['^\\x{1F600}\\x41$', '😀A', 'A'],
  ['^.$', '😀', 'ab'],
  ['^\\pL\\p{Lu}\\P{L}$', 'aB1', 'ab1'],
  ['^\\p{Greek}+$', 'αβ', 'ab'],
  ['\\bfoo\\b', 'a foo b', 'food'],
  ['^a+?b*?$', 'aab', 'c'],
  ['^(?i:a)b$', 'Ab', 'AB'],
] as const)
  test(`${pattern} matches ${JSON.stringify(yes)} and not ${JSON.stringify(no)}`, (t) => {
    t.true(matches(fromGo(pattern), yes));
    t.false(matches(fromGo(pattern), no));
  });

for (const pattern of [
  '(',
  ')',
  '[a',
  '*',
  '(?=a)',
  '(?!a)',
  '(?<=a)',
  '(?<!a)',
  '(a)\\1',
  '\\C',
  '\\Qa\\E',
  '\\q',
  '\\',
  'a(?i)b',
  '[[:no:]]',
  '[[:^no:]]',
  '\\p{Nothing}',
  '[b-a]',
])
  test(`${pattern} is no pattern`, (t) => void t.throws(() => fromGo(pattern), { instanceOf: SyntaxError }));

test('all texts of one count together, and a trap is given up', (t) => {
  const trap = fromGo('^(a+)+$');
  const text = `${'a'.repeat(64)}b`;
  const within = matchesWithin(100);
  t.true(
    within(
      [trap, fromGo('b')],
      [
        ['b', 'a'],
        ['aa', 'b'],
      ],
    ),
  );
  t.is(within([trap], [[text], ['aa']]), null);
  t.is(within([fromGo('a')], [['a']]), null, 'nothing is left of the limit');
  t.true(matchesWithin(2000)([fromGo('a')], [['a']]), 'the next has one of its own');
});
