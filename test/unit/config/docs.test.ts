import test from 'ava';
import { readFileSync } from 'node:fs';
import { configPage } from '../../../src/config/docs.ts';
import { entries } from '../../../src/config/schema.ts';

test('docs/config.md is what the schema says', (t) => {
  t.is(readFileSync('docs/config.md', 'utf8'), configPage());
});

test('every setting is documented by a sentence and its default is of its own kind', (t) => {
  for (const { name, setting } of entries) {
    t.regex(setting.doc, /^[A-Z`/].*\.$/s, name);
    if (setting.derived === null) t.notThrows(() => setting.kind.show(setting.default), name);
  }
});
