import test from 'ava';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { observe } from '../../../src/recovery/observe.ts';

const id = (digit: string): string => digit.repeat(64);

test('what has no record is an orphan; what a newer release recorded is not', async (t) => {
  const root = mkdtempSync('/tmp/pw-observe-');
  t.teardown(() => rmSync(root, { recursive: true }));
  for (const dir of ['sockets', 'netns', 'run', 'snapshots']) mkdirSync(join(root, dir));
  writeFileSync(join(root, 'sockets', id('a')), '');
  writeFileSync(join(root, 'sockets', id('e')), '');
  writeFileSync(join(root, 'netns', id('a')), '');
  mkdirSync(join(root, 'run', id('b')));
  writeFileSync(join(root, 'run', 'no id'), '');
  mkdirSync(join(root, 'snapshots', id('c')));
  mkdirSync(join(root, 'snapshots', id('d')));
  const seen = await observe({
    sandboxes: () => [],
    containers: () => [],
    bootId: 'now',
    processStartTime: () => null,
    adopt: async () => [],
    readExit: () => null,
    sandboxIds: () => [id('e')],
    containerIds: () => [id('d')],
    snapshotsDir: join(root, 'snapshots'),
    sandboxDirs: [join(root, 'sockets'), join(root, 'netns'), join(root, 'run'), join(root, 'nothing')],
  });
  t.deepEqual(seen.orphans.toSorted(), [id('a'), id('b')]);
  t.deepEqual(seen.snapshots, [id('c')]);
});
