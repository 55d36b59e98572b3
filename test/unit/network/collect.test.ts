// GC of a chain of plugins.
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { NetworkConfig } from '../../../src/network/cni/conflist.ts';
import { collectByPlugins } from '../../../src/network/cni/plugins.ts';

type How = 'fine' | 'refuses' | 'hangs';

/** Plugins that note that they were asked, in order; those that refuse say why. */
function chain(
  t: { teardown: (then: () => void) => void },
  plugins: Readonly<Record<string, How>>,
  timeoutMs = 20_000,
) {
  const dir = mkdtempSync('/tmp/pw-collect-');
  t.teardown(() => rmSync(dir, { recursive: true }));
  for (const [type, how] of Object.entries(plugins)) {
    const ends = { fine: '', refuses: `echo '{"code":11,"msg":"${type} is away"}'; exit 1`, hangs: 'exec sleep 600' };
    const script = `#!/bin/sh\ncat > /dev/null\necho "$CNI_COMMAND ${type}" >> ${dir}/asked\n${ends[how]}\n`;
    writeFileSync(join(dir, type), script);
    chmodSync(join(dir, type), 0o755);
  }
  const config: NetworkConfig = {
    name: 'net',
    cniVersion: '1.1.0',
    versions: ['1.1.0'],
    disableCheck: false,
    disableGc: false,
    plugins: Object.keys(plugins).map((type) => ({ type, capabilities: {}, raw: { type } })),
  };
  const asked = (): string[] =>
    existsSync(join(dir, 'asked')) ? readFileSync(join(dir, 'asked'), 'utf8').trim().split('\n') : [];
  return { asked, collect: () => collectByPlugins({ binDirs: [dir], timeoutMs }, config, ['a'.repeat(64)]) };
}

test('every plugin of a chain collects, also after one that fails; all failures are told', async (t) => {
  const { asked, collect } = chain(t, { first: 'refuses', second: 'fine', third: 'refuses', fourth: 'fine' });
  const error = await t.throwsAsync(collect());
  t.deepEqual(asked(), ['GC first', 'GC second', 'GC third', 'GC fourth']);
  t.regex(error?.message ?? '', /collect network net: first: .*first is away.*; third: .*third is away/);
});

test('a chain that collects without a failure says nothing', async (t) => {
  const { asked, collect } = chain(t, { first: 'fine', second: 'fine' });
  await t.notThrowsAsync(collect());
  t.deepEqual(asked(), ['GC first', 'GC second']);
});

test('plugins that hang hold pods no longer than one may', async (t) => {
  const { collect } = chain(t, { first: 'hangs', second: 'hangs', third: 'hangs' }, 300);
  const error = await t.throwsAsync(collect());
  const given = [...(error?.message ?? '').matchAll(/(\w+) GC did not end within (\d+) ms/g)];
  t.deepEqual(
    given.map(([, type]) => type),
    ['first', 'second', 'third'],
  );
  t.true(given.reduce((sum, [, , ms]) => sum + Number(ms), 0) <= 300);
});

test('one that hangs leaves time to those after it', async (t) => {
  const { asked, collect } = chain(t, { first: 'hangs', second: 'fine' }, 4000);
  const error = await t.throwsAsync(collect());
  const ms = Number(/first GC did not end within (\d+) ms/.exec(error.message)?.[1]);
  t.true(ms > 1000 && ms <= 2000, error.message);
  t.deepEqual(asked(), ['GC first', 'GC second']);
});
