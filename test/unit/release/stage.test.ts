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
import { putText } from '../../../src/installer/put-text.ts';
import type { Release } from '../../../src/release/release.ts';
import { type Place, stageRelease, sweepReleases } from '../../../src/release/stage.ts';
import { readRelease, treeFaults } from '../../../src/release/tree.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const range = { oldest: 1, newest: 1 };
const placeAt = (seen: string, torn: Place['torn'] = 'replaced'): Place => ({
  releases: join(seen, 'releases'),
  called: '/opt/podwright/releases',
  torn,
});
const treeFault = async (tree: string, release: Release) => (await treeFaults(tree, release, 1))[0] ?? null;

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
  writeFileSync(
    join(source, 'RELEASE.json'),
    JSON.stringify({ version: '1.2.3', arch: 'amd64', records: range, monitorProtocol: range, files }),
  );
  return { source, seen: join(dir, 'prefix') };
}

test('is copied whole, once', async (t) => {
  const { source, seen } = makeTree(t);
  const place = placeAt(seen);
  const first = await stageRelease(source, place);
  t.like(first, { release: { version: '1.2.3' }, copied: true });
  const at = join(seen, 'releases/1.2.3');
  t.is(statSync(join(at, 'bin/podwright')).mode & 0o777, 0o755);
  t.is(readlinkSync(join(at, 'bin/pw')), 'podwright');
  t.is(await treeFault(at, await readRelease(at)), null);
  t.is((await stageRelease(source, place)).copied, false);
  t.deepEqual(readdirSync(join(seen, 'releases')), ['1.2.3'], 'nothing beside it');
});

test('a torn one is replaced, with what a killed installer left', async (t) => {
  const { source, seen } = makeTree(t);
  const place = placeAt(seen);
  await stageRelease(source, place);
  const program = join(seen, 'releases/1.2.3/bin/podwright');
  writeFileSync(program, '');
  mkdirSync(join(seen, 'releases/.staging-0123/bin'), { recursive: true });
  t.is((await stageRelease(source, place)).copied, true);
  await sweepReleases(place.releases);
  t.is(readFileSync(program, 'utf8'), '#!/bin/sh\n');
  t.deepEqual(readdirSync(join(seen, 'releases')), ['1.2.3']);
});

test('another build of the same version is refused: pods may run from the one that is there', async (t) => {
  const { source, seen } = makeTree(t);
  const place = placeAt(seen);
  await stageRelease(source, place);
  const other = makeTree(t, '#!/bin/sh\nexit 1\n');
  await t.throwsAsync(stageRelease(other.source, place), {
    message: /another build of it is at \/opt\/podwright\/releases\/1\.2\.3: give each build/,
  });
});

test('a source that is not as listed is not staged', async (t) => {
  const { source, seen } = makeTree(t);
  writeFileSync(join(source, 'etc/config.toml'), '# some\n');
  await t.throwsAsync(stageRelease(source, placeAt(seen)), {
    message: 'stage release 1.2.3: etc/config.toml has another content',
  });
  t.deepEqual(readdirSync(join(seen, 'releases')), [], 'nothing is left of it');
});

test('a copy that fails on the way leaves nothing behind, and what was there stays', async (t) => {
  const { source, seen } = makeTree(t);
  const place = placeAt(seen);
  rmSync(join(source, 'etc/config.toml'));
  for (let twice = 0; twice < 2; twice += 1) await t.throwsAsync(stageRelease(source, place), { code: 'ENOENT' });
  t.deepEqual(readdirSync(join(seen, 'releases')), []);
  mkdirSync(join(seen, 'releases/1.2.3'));
  await t.throwsAsync(stageRelease(source, place), { code: 'ENOENT' });
  t.deepEqual(readdirSync(join(seen, 'releases')), ['1.2.3']);
});

test('there may be nothing to sweep', async (t) => {
  const { seen } = makeTree(t);
  await t.notThrowsAsync(sweepReleases(join(seen, 'releases')));
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

test('a torn one is left where that is asked for; one that does not say what it is, is refused', async (t) => {
  const { source, seen } = makeTree(t);
  const place = placeAt(seen, 'left');
  await stageRelease(source, place);
  const at = join(seen, 'releases/1.2.3');
  writeFileSync(join(at, 'bin/podwright'), '');
  t.is((await stageRelease(source, place)).copied, false);
  t.deepEqual(await treeFaults(at, await readRelease(at), 5), ['bin/podwright has another content']);
  for (const spoil of [
    () => writeFileSync(join(at, 'RELEASE.json'), '{'),
    () => rmSync(join(at, 'RELEASE.json')),
    () => {
      rmSync(at, { recursive: true });
      writeFileSync(at, 'of somebody else');
    },
  ]) {
    spoil();
    await t.throwsAsync(stageRelease(source, place), {
      message:
        'stage release 1.2.3: /opt/podwright/releases/1.2.3 is there and its RELEASE.json cannot be read: see to it by hand',
    });
    t.deepEqual(readdirSync(join(seen, 'releases')), ['1.2.3'], 'it is where it was, and nothing is beside it');
  }
  t.is((await stageRelease(source, placeAt(seen))).copied, true, 'who alone stages there replaces it');
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
