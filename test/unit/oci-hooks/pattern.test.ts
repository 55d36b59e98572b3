// Patterns in Go's syntax, and what they match here.
import test from 'ava';
import { matchesSoon } from '../../../src/lib/bounded-expression.ts';
import { fromGo } from '../../../src/oci-hooks/pattern.ts';

for (const [pattern, yes, no] of [
  ['^abc$', 'abc', 'abcd'],
  ['(?i)^abc$', 'ABC', 'ab'],
  ['(?s)^a.b$', 'a\nb', 'ab'],
  ['^a.b$', 'axb', 'a\nb'],
  ['\\Aab\\z', 'ab', 'ab\n'],
  ['(?m)^b$', 'a\nb', 'ab'],
  ['^[[:alpha:]_]+$', 'aB_', 'a1'],
  ['^[^[:digit:]]$', 'a', '1'],
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
    t.true(matchesSoon(fromGo(pattern), yes));
    t.false(matchesSoon(fromGo(pattern), no));
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
  '\\p{Nothing}',
  '[b-a]',
])
  test(`${pattern} is no pattern`, (t) => void t.throws(() => fromGo(pattern), { instanceOf: SyntaxError }));
