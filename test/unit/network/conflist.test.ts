import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { atLeast, parseNetworkConfig } from '../../../src/network/cni/conflist.ts';
import { ConfigDirectory } from '../../../src/network/cni/directory.ts';

const list = (more: Record<string, unknown> = {}): string =>
  JSON.stringify({ cniVersion: '1.0.0', name: 'net', plugins: [{ type: 'bridge' }], ...more });

test('lists and single plugins are read', (t) => {
  t.like(parseNetworkConfig(list({ disableGC: true })), { name: 'net', cniVersion: '1.0.0', disableGc: true });
  t.like(parseNetworkConfig(list({ disableCheck: 'TRUE' })), { disableCheck: true, disableGc: false });
  const single = parseNetworkConfig(
    '{"cniVersion":"0.4.0","name":"one","type":"ptp","capabilities":{"dns":true,"x":1}}',
  );
  t.like(single, { name: 'one', cniVersion: '0.4.0' });
  t.deepEqual(
    single.plugins.map(({ type, capabilities }) => ({ type, capabilities })),
    [{ type: 'ptp', capabilities: { dns: true, x: false } }],
  );
});

test('the newest version that both sides have is spoken', (t) => {
  t.is(parseNetworkConfig(list({ cniVersions: ['0.4.0', '1.1.0', '9.0.0'] })).cniVersion, '1.1.0');
  t.is(parseNetworkConfig(list({ cniVersion: '9.0.0', cniVersions: ['0.3.1'] })).cniVersion, '0.3.1');
  t.deepEqual(parseNetworkConfig(list({ cniVersions: ['0.4.0', '1.1.0', '9.0.0'] })).versions, [
    '1.1.0',
    '1.0.0',
    '0.4.0',
  ]);
  t.true(atLeast({ cniVersion: '1.0.0' }, '0.4.0'));
  t.false(atLeast({ cniVersion: '0.3.1' }, '0.4.0'));
});

for (const [why, text] of [
  ['not JSON', '{'],
  ['not a JSON object', '[]'],
  ['Version', list({ cniVersion: '0.2.0' })],
  ['Version', list({ cniVersion: undefined })],
  ['cniVersions', list({ cniVersions: '1.0.0' })],
  ['disableCheck', list({ disableCheck: 'maybe' })],
  ['name', list({ name: '../up' })],
  ['name', list({ name: undefined })],
  ['not a list', list({ plugins: {} })],
  ['no plugins', list({ plugins: [] })],
  ['type', list({ plugins: [{ type: '../../bin/sh' }] })],
  ['type', list({ plugins: [{}] })],
  ['not an object', list({ plugins: ['bridge'] })],
] as const) {
  test(`refused for its ${why}: ${text}`, (t) =>
    t.throws(() => parseNetworkConfig(text), { message: new RegExp(why) }));
}

function directory(): { dir: string; put: (name: string, text: string) => void; end: () => void } {
  const dir = mkdtempSync(join(tmpdir(), 'pw-conf-'));
  return {
    dir,
    put: (name, text) => writeFileSync(join(dir, name), text),
    end: () => rmSync(dir, { recursive: true }),
  };
}

test('the first valid file by name is used, and changes are seen', async (t) => {
  const { dir, put, end } = directory();
  t.teardown(end);
  const conf = new ConfigDirectory(dir);
  t.is((await conf.current()).config, null);
  put('20-b.conflist', list({ name: 'b' }));
  put('README', 'no configuration');
  t.is((await conf.current()).config?.name, 'b');
  t.is(await conf.current(), await conf.current(), 'nothing is read twice');
  put('10-broken.conf', '{');
  const passed = await conf.current();
  t.is(passed.config?.name, 'b');
  t.regex(passed.problems[0] ?? '', /^10-broken\.conf: not JSON/);
  put('10-broken.conf', list({ name: 'a' }));
  t.is((await conf.current()).config?.name, 'a', 'edited in place');
  rmSync(join(dir, '10-broken.conf'));
  rmSync(join(dir, '20-b.conflist'));
  t.is((await conf.current()).file, null);
});

test('a directory that is not there is empty', async (t) => {
  t.deepEqual(await new ConfigDirectory('/nowhere/net.d').current(), { config: null, file: null, problems: [] });
});

test('a 1.1 list takes plugins from the directory of its name', async (t) => {
  const { dir, put, end } = directory();
  t.teardown(end);
  mkdirSync(join(dir, 'net'));
  put('net/10-more.conf', '{"type":"firewall"}');
  put('10.conflist', list({ cniVersion: '1.1.0' }));
  const conf = new ConfigDirectory(dir);
  const types = async (): Promise<string[]> => (await conf.current()).config?.plugins.map(({ type }) => type) ?? [];
  t.deepEqual(await types(), ['bridge', 'firewall']);
  put('net/20-more.conf', '{"type":"tuning"}');
  utimesSync(join(dir, 'net'), 1, 1);
  t.deepEqual(await types(), ['bridge', 'firewall', 'tuning']);
  put('10.conflist', list({ cniVersion: '1.1.0', loadOnlyInlinedPlugins: true }));
  t.deepEqual(await types(), ['bridge']);
  put('10.conflist', list({ cniVersion: '1.1.0', plugins: undefined }));
  t.deepEqual(await types(), ['firewall', 'tuning'], 'a list may have all of its plugins beside it');
  put('10.conflist', list({ cniVersion: '1.0.0' }));
  t.deepEqual(await types(), ['bridge'], 'before 1.1 there was no such directory');
});
