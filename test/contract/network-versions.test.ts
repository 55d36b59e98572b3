// What plugins say of their versions, and what is remembered of it: programs that are really executed.
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { parseNetworkConfig } from '../../src/network/cni/conflist.ts';
import { PluginVersions } from '../../src/network/cni/versions.ts';

const patientMs = 60_000;
const answer = '{"cniVersion":"1.0.0","supportedVersions":["0.4.0"]}';
const config = parseNetworkConfig(
  JSON.stringify({ cniVersion: '1.0.0', cniVersions: ['0.4.0', '1.0.0'], name: 'net', plugins: [{ type: 'plugin' }] }),
);

/** A plugin by its lines after "#!<interpreter>", and how it is asked. */
function plugin(t: ExecutionContext, lines: readonly string[], interpreter = '/bin/sh') {
  const dir = mkdtempSync(join(tmpdir(), 'pw-versions-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const file = join(dir, 'plugin');
  writeFileSync(file, [`#!${interpreter.replace('DIR', dir)}`, 'cd "$CNI_PATH"', ...lines, ''].join('\n'));
  chmodSync(file, 0o755);
  const options = { binDirs: [dir], timeoutMs: patientMs };
  const versions = new PluginVersions(options);
  const spoken = async (): Promise<string> => (await versions.negotiate(config)).cniVersion;
  return { dir, options, spoken };
}

test('a plugin that did not answer in time is asked again', async (t) => {
  const { dir, options, spoken } = plugin(t, ['[ -e answers ] || sleep 60', `echo '${answer}'`]);
  options.timeoutMs = 200;
  t.is(await spoken(), '1.0.0', 'nothing is known of it');
  writeFileSync(join(dir, 'answers'), '');
  options.timeoutMs = patientMs;
  t.is(await spoken(), '0.4.0');
});

test('a plugin that could not be started is asked again', async (t) => {
  const { dir, spoken } = plugin(t, [`echo '${answer}'`], 'DIR/interpreter');
  t.is(await spoken(), '1.0.0');
  symlinkSync('/bin/sh', join(dir, 'interpreter'));
  t.is(await spoken(), '0.4.0');
});

for (const [how, line] of Object.entries({
  'nothing of use': 'echo hello',
  'an error': 'exit 3',
  "an error in the specification's words": `echo '{"code":4,"msg":"VERSION?"}'; exit 1`,
})) {
  test(`a plugin that answered ${how} is not asked again`, async (t) => {
    const { dir, spoken } = plugin(t, ['echo asked >> asked', line]);
    t.is(await spoken(), '1.0.0');
    t.is(await spoken(), '1.0.0');
    t.is(readFileSync(join(dir, 'asked'), 'utf8'), 'asked\n');
  });
}
