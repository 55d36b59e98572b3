// A release on its way to the host's disk: whole or not there.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { parseRelease, readRelease, treeFault } from '../../../src/installer/release.ts';
import { putText, stageRelease } from '../../../src/installer/stage.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** A small release tree and an empty prefix. */
function makeTree(t: ExecutionContext, program = '#!/bin/sh\n'): { source: string; seen: string } {
  const dir = mkdtempSync(join(tmpdir(), 'pw-stage-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const source = join(dir, 'release');
  const texts = { 'bin/podwright': program, 'etc/config.toml': '# none\n' };
  for (const [path, text] of Object.entries(texts)) {
    mkdirSync(dirname(join(source, path)), { recursive: true });
    writeFileSync(join(source, path), text);
    chmodSync(join(source, path), path.startsWith('bin/') ? 0o755 : 0o644);
  }
  symlinkSync('podwright', join(source, 'bin/pw'));
  const files = [
    { path: 'bin/podwright', mode: '0755', size: program.length, sha256: sha256(program) },
    { path: 'bin/pw', link: 'podwright' },
    { path: 'etc/config.toml', mode: '0644', size: 7, sha256: sha256('# none\n') },
  ];
  writeFileSync(join(source, 'RELEASE.json'), JSON.stringify({ version: '1.2.3', files }));
  return { source, seen: join(dir, 'prefix') };
}

test('is copied whole, once', async (t) => {
  const { source, seen } = makeTree(t);
  const place = { prefix: '/opt/podwright', seen };
  const first = await stageRelease(source, place);
  t.like(first, { directory: '/opt/podwright/releases/1.2.3', copied: true });
  const at = join(seen, 'releases/1.2.3');
  t.is(statSync(join(at, 'bin/podwright')).mode & 0o777, 0o755);
  t.is(readlinkSync(join(at, 'bin/pw')), 'podwright');
  t.is(await treeFault(at, await readRelease(at)), null);
  t.is((await stageRelease(source, place)).copied, false);
  t.deepEqual(readdirSync(join(seen, 'releases')), ['1.2.3'], 'nothing beside it');
});

test('a torn one is replaced, with what a killed installer left', async (t) => {
  const { source, seen } = makeTree(t);
  const place = { prefix: '/opt/podwright', seen };
  await stageRelease(source, place);
  const program = join(seen, 'releases/1.2.3/bin/podwright');
  writeFileSync(program, '');
  mkdirSync(join(seen, 'releases/.staging-0123/bin'), { recursive: true });
  t.is((await stageRelease(source, place)).copied, true);
  t.is(readFileSync(program, 'utf8'), '#!/bin/sh\n');
  t.deepEqual(readdirSync(join(seen, 'releases')), ['1.2.3']);
});

test('another build of the same version is refused: pods may run from the one that is there', async (t) => {
  const { source, seen } = makeTree(t);
  const place = { prefix: '/opt/podwright', seen };
  await stageRelease(source, place);
  const other = makeTree(t, '#!/bin/sh\nexit 1\n');
  await t.throwsAsync(stageRelease(other.source, place), { message: /another build of it is at \/opt\/podwright/ });
});

test('a source that is not as listed is not staged', async (t) => {
  const { source, seen } = makeTree(t);
  writeFileSync(join(source, 'etc/config.toml'), '# some\n');
  await t.throwsAsync(stageRelease(source, { prefix: '/opt/podwright', seen }), {
    message: 'stage release 1.2.3: etc/config.toml has another content',
  });
  t.false(readdirSync(join(seen, 'releases')).includes('1.2.3'));
});

test('every way in which a tree differs from its list is told', async (t) => {
  const { source } = makeTree(t);
  const release = await readRelease(source);
  const faults: string[] = [];
  const look = async (): Promise<void> => void faults.push(String(await treeFault(source, release)));
  mkdirSync(join(source, 'bin/.compile-cache'));
  writeFileSync(join(source, 'bin/.compile-cache/x'), '');
  t.is(await treeFault(source, release), null, 'what Node keeps beside is no fault');
  chmodSync(join(source, 'bin/podwright'), 0o700);
  await look();
  rmSync(join(source, 'bin/podwright'));
  await look();
  symlinkSync('pw', join(source, 'bin/podwright'));
  await look();
  t.deepEqual(faults, ['bin/podwright has another mode', 'bin/podwright is not there', 'bin/podwright is no file']);
});

test('lists that lead outside, or say too little, are refused', (t) => {
  const parse = (document: unknown) => () => parseRelease(Buffer.from(JSON.stringify(document)), 'R');
  const file = { mode: '0644', sha256: 'x' };
  for (const path of ['../x', '/x', 'a//b', './a', ''])
    t.throws(parse({ version: '1', files: [{ ...file, path }] }), { message: /which is no path in it/ }, path);
  t.throws(parse({ version: '../1', files: [{ ...file, path: 'a' }] }), { message: 'R: has no version' });
  t.throws(parse({ version: '1', files: [] }), { message: 'R: lists no files' });
  t.throws(parse({ version: '1', files: [{ path: 'a', mode: 'x', sha256: 'y' }] }), {
    message: /no mode or no sha256/,
  });
  t.throws(() => parseRelease(Buffer.from('{'), 'R'), { message: 'R: is not JSON' });
});

test('a text is put by rename, and only when it is another', async (t) => {
  const { seen } = makeTree(t);
  const file = join(seen, 'a/b.toml');
  t.true(await putText(file, 'one'));
  t.false(await putText(file, 'one'));
  t.true(await putText(file, 'two'));
  t.is(readFileSync(file, 'utf8'), 'two');
  t.deepEqual(readdirSync(join(seen, 'a')), ['b.toml']);
});
