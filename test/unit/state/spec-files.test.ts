// Directories of files that others write: what is read, and what is said of what cannot be.
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { cdiNames, hookNames, readSpecFiles } from '../../../src/state/spec-files.ts';

const dir = mkdtempSync('/tmp/pwu-spec-files-');
test.after.always(() => rmSync(dir, { recursive: true }));
const [first, second] = [join(dir, 'first'), join(dir, 'second')];

test('files of such names, in the order of the directories; a directory that is not there has none', async (t) => {
  for (const each of [first, second]) mkdirSync(each);
  for (const name of ['b.json', 'a.yaml', '.c.json', 'd.txt']) writeFileSync(join(first, name), name);
  writeFileSync(join(second, 'a.json'), 'second');
  mkdirSync(join(second, 'z.json'));
  const read = async (wanted: RegExp) =>
    (await readSpecFiles([first, join(dir, 'nowhere'), second], wanted)).map(({ path, priority, content }) => [
      path.slice(dir.length + 1),
      priority,
      'text' in content ? content.text : content.why,
    ]);
  const rest = [
    ['second/a.json', 2, 'second'],
    ['second/z.json', 2, 'it is not a file'],
  ];
  t.deepEqual(await read(hookNames), [['first/b.json', 0, 'b.json'], ...rest]);
  t.deepEqual(await read(cdiNames), [
    ['first/.c.json', 0, '.c.json'],
    ['first/a.yaml', 0, 'a.yaml'],
    ['first/b.json', 0, 'b.json'],
    ...rest,
  ]);
});

test('what is too large is told; what is no directory has no files', async (t) => {
  const large = join(dir, 'large');
  mkdirSync(large);
  writeFileSync(join(large, 'a.json'), '');
  truncateSync(join(large, 'a.json'), 5 * 1024 * 1024);
  const [file] = await readSpecFiles([large], hookNames);
  t.deepEqual(file?.content, { why: 'it has 5242880 bytes, more than 4194304' });
  t.deepEqual(await readSpecFiles([join(large, 'a.json')], hookNames), [], 'as if it were not there');
});
