import test from 'ava';
import { readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import { configPage, configTemplate } from '../../../src/config/docs.ts';
import { flatten, merge } from '../../../src/config/merge.ts';
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

test('the configuration that is shipped changes nothing, and says every default', (t) => {
  const template = configTemplate();
  const none = merge([]);
  t.deepEqual(merge([flatten('shipped', parse(template))]), none);
  const live = template.replaceAll(/^#(?=[a-z_]+ = )/gm, '');
  const layer = flatten('all keys', parse(live));
  t.deepEqual([...layer.values.keys()].toSorted(), entries.map(({ name }) => name).toSorted());
  t.deepEqual(merge([layer]), none);
});
