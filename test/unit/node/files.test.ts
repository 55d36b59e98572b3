// What a transaction does to files: releases staged, put in place and taken away, the journal, the lock.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { readEndpoint } from '../../../src/node/kubelet-pointer.ts';
import { filesBelow } from '../../../src/node/files.ts';
import { pointKubelet } from '../../../src/node/kubelet.ts';
import { type Journal, newJournal, type Settings, type Side } from '../../../src/node/journal.ts';
import { journalStore } from '../../../src/node/journal-file.ts';
import { place } from '../../../src/node/place.ts';
import { placeRelease } from '../../../src/node/release-files.ts';

const work = mkdtempSync('/tmp/pwu-node-');
test.after.always(() => rmSync(work, { recursive: true }));

let serial = 0;
const room = (): string => {
  const dir = join(work, String((serial += 1)));
  mkdirSync(dir);
  return dir;
};

const never = new AbortController().signal;

function settingsIn(dir: string): Settings {
  return {
    prefix: join(dir, 'opt'),
    configDir: join(dir, 'etc'),
    configFile: join(dir, 'etc/conf.d/50-helm.toml'),
    linkDir: join(dir, 'bin'),
    daemon: { by: 'systemd', unit: 'podwrightd.service', unitDir: join(dir, 'units') },
    kubelet: null,
    kubernetes: null,
    graceMs: 1,
    timeoutMs: 1,
    freeBytes: 0,
  };
}

/** A release tree with a unit and a configuration. */
function tree(dir: string, version: string, unit = 'unit'): string {
  const formats = { records: { oldest: 1, newest: 1 }, monitorProtocol: { oldest: 1, newest: 1 } };
  mkdirSync(join(dir, 'lib/systemd/system'), { recursive: true });
  mkdirSync(join(dir, 'etc/podwright'), { recursive: true });
  const config = '# all defaults\n';
  const files = Object.entries({
    'lib/systemd/system/podwrightd.service': unit,
    'etc/podwright/config.toml': config,
  }).map(([path, text]) => {
    writeFileSync(join(dir, path), text);
    chmodSync(join(dir, path), 0o644);
    return { path, mode: '0644', sha256: createHash('sha256').update(text).digest('hex') };
  });
  writeFileSync(join(dir, 'RELEASE.json'), JSON.stringify({ version, arch: 'amd64', ...formats, files }));
  return dir;
}

const sideOf = (release: string, version: string, config: string | null): Side => ({
  type: 'podwright',
  release,
  version,
  endpoint: 'unix:///s',
  config,
});

test('a release is staged once, and another build of its version is refused', async (t) => {
  const dir = room();
  const prefix = join(dir, 'opt');
  const to = await placeRelease(tree(join(dir, 'a'), '1.0.0'), prefix);
  t.is(to, join(prefix, 'releases/1.0.0'));
  t.is(await placeRelease(join(dir, 'a'), prefix), to);
  t.is(await placeRelease(to, prefix), to, 'where it lies already');
  const other = tree(join(dir, 'b'), '1.0.0', 'another');
  await t.throwsAsync(placeRelease(other, prefix), { message: /stage release 1\.0\.0: another build of it is at/ });
  await t.throwsAsync(placeRelease(dir, prefix), { message: /there is no RELEASE\.json/ });
});

test('a release is put in place and taken away, with the settings that were there before', async (t) => {
  const dir = room();
  const settings = settingsIn(dir);
  const release = await placeRelease(tree(join(dir, 'a'), '1.0.0'), settings.prefix);
  const ran: string[] = [];
  const run = async (argv: readonly string[]): Promise<string> => {
    ran.push(argv.join(' '));
    return '';
  };
  mkdirSync(join(dir, 'bin'));
  writeFileSync(join(dir, 'bin/podwright'), 'not ours');
  mkdirSync(join(dir, 'etc/conf.d'), { recursive: true });
  writeFileSync(settings.configFile, 'before');
  const from: Side = { type: 'none' };
  const to = sideOf(release, '1.0.0', 'after');
  const journal: Journal = {
    ...newJournal({ id: 'x', kind: 'install', from, to, settings, bootId: 'b', now: 'n', previous: null }),
    configBefore: 'before',
  };
  for (let twice = 0; twice < 2; twice += 1) await place(run, journal, { side: to, signal: never });
  t.is(readlinkSync(join(settings.prefix, 'current')), 'releases/1.0.0');
  t.is(readlinkSync(join(dir, 'bin/podwrightd')), join(settings.prefix, 'current/bin/podwrightd'));
  t.is(readFileSync(join(dir, 'bin/podwright'), 'utf8'), 'not ours');
  t.is(readFileSync(settings.configFile, 'utf8'), 'after');
  t.is(readFileSync(join(dir, 'etc/config.toml'), 'utf8'), '# all defaults\n');
  t.is(readFileSync(join(dir, 'units/podwrightd.service'), 'utf8'), 'unit');
  t.deepEqual(ran, ['systemctl daemon-reload'], 'once: the second time nothing has changed');
  const back: Journal = { ...journal, direction: 'back' };
  for (let twice = 0; twice < 2; twice += 1) await place(run, back, { side: from, signal: never });
  t.false(existsSync(join(settings.prefix, 'current')));
  t.false(existsSync(join(dir, 'bin/podwrightd')));
  t.true(existsSync(join(dir, 'bin/podwright')));
  t.false(existsSync(join(dir, 'units/podwrightd.service')));
  t.is(readFileSync(settings.configFile, 'utf8'), 'before');
});

test('settings that an upgrade brought are taken back where there were none', async (t) => {
  const dir = room();
  const settings: Settings = { ...settingsIn(dir), daemon: { by: 'self', log: join(dir, 'log') } };
  const from = sideOf(await placeRelease(tree(join(dir, 'a'), '1.0.0'), settings.prefix), '1.0.0', null);
  const to = sideOf(await placeRelease(tree(join(dir, 'b'), '1.1.0'), settings.prefix), '1.1.0', 'new');
  const run = async (): Promise<string> => '';
  const journal = newJournal({ id: 'x', kind: 'upgrade', from, to, settings, bootId: 'b', now: 'n', previous: null });
  await place(run, journal, { side: to, signal: never });
  t.is(readFileSync(settings.configFile, 'utf8'), 'new');
  await place(run, { ...journal, direction: 'back' }, { side: from, signal: never });
  t.false(existsSync(settings.configFile));
  t.is(readlinkSync(join(settings.prefix, 'current')), 'releases/1.0.0');
});

test('a directory in the place of the link is refused', async (t) => {
  const dir = room();
  const settings: Settings = { ...settingsIn(dir), daemon: { by: 'self', log: join(dir, 'log') } };
  const to = sideOf(await placeRelease(tree(join(dir, 'a'), '1.0.0'), settings.prefix), '1.0.0', null);
  mkdirSync(join(settings.prefix, 'current'));
  const from: Side = { type: 'none' };
  const journal = newJournal({ id: 'x', kind: 'install', from, to, settings, bootId: 'b', now: 'n', previous: null });
  await t.throwsAsync(
    place(async () => '', journal, { side: to, signal: never }),
    { message: /is no symbolic link/ },
  );
});

test("the kubelet's file keeps its mode and everything else", (t) => {
  const dir = room();
  const file = join(dir, 'config.yaml');
  writeFileSync(file, 'kind: KubeletConfiguration\n', { mode: 0o600 });
  const to: Side = { type: 'podwright', release: '/r', version: '1', endpoint: 'unix:///s', config: null };
  const from: Side = { type: 'runtime', endpoint: 'unix:///c', name: 'c', version: '2', pointer: null };
  pointKubelet({ form: 'config', file }, { from, to, side: to });
  t.is(readEndpoint('config', readFileSync(file, 'utf8')), 'unix:///s');
  pointKubelet({ form: 'config', file }, { from, to, side: from });
  t.is(readFileSync(file, 'utf8'), 'kind: KubeletConfiguration\n');
  t.is(statSync(file).mode & 0o777, 0o600);
  const absent = join(dir, 'kubelet.env');
  pointKubelet({ form: 'env', file: absent }, { from, to, side: to });
  t.true(existsSync(absent));
  pointKubelet({ form: 'env', file: absent }, { from, to, side: { ...from, pointerText: null } });
  t.false(existsSync(absent), 'what was not there is not left there');
});

test('a journal is read as it was written; one that is damaged is not taken for none', (t) => {
  const dir = join(room(), 'node');
  const store = journalStore(dir);
  t.is(store.read(), null);
  const side: Side = { type: 'none' };
  const settings = settingsIn(dir);
  const journal = newJournal({
    id: 'x',
    kind: 'install',
    from: side,
    to: side,
    settings,
    bootId: 'b',
    now: 'n',
    previous: null,
  });
  store.write(journal);
  store.write({ ...journal, step: 'place' });
  t.deepEqual(journalStore(dir).read(), { ...journal, step: 'place' });
  writeFileSync(join(dir, 'journal.json'), '{"version":1');
  t.throws(() => journalStore(dir).read(), { message: /is damaged/ });
});

test('files below a directory are found as a walk by name finds them', (t) => {
  const dir = room();
  t.deepEqual(filesBelow(join(dir, 'absent')), []);
  for (const name of ['b', 'a.d', 'a.d/below']) mkdirSync(join(dir, name));
  for (const name of ['c', 'a.d/z', 'a.d/below/y', 'a.c']) writeFileSync(join(dir, name), '');
  t.deepEqual(
    filesBelow(dir).map((file) => file.slice(dir.length + 1)),
    ['a.c', 'a.d/below/y', 'a.d/z', 'c'],
  );
});
