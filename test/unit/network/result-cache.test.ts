import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { parseNetworkConfig } from '../../../src/network/cni/conflist.ts';
import { decode, ResultCache } from '../../../src/network/cni/result-cache.ts';
import { supportedVersions } from '../../../src/network/cni/versions.ts';

const config = parseNetworkConfig(
  JSON.stringify({ cniVersion: '1.1.0', name: 'net', disableCheck: true, plugins: [{ type: 'x', key: 1 }] }),
  ['{"type":"beside"}'],
);
const runtime = {
  containerId: 'c1',
  interface: 'eth0',
  args: [
    ['IgnoreUnknown', '1'],
    ['K8S_POD_NAME', 'web'],
  ],
  capabilityArgs: { dns: { servers: ['10.0.0.1'] } },
} as const;
const result = { cniVersion: '1.1.0', ips: [{ address: '10.1.0.2/24' }] };

function cache(t: ExecutionContext): { dir: string; cache: ResultCache } {
  const dir = mkdtempSync(join(tmpdir(), 'pw-cache-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  return { dir, cache: new ResultCache(dir) };
}

test('a result is kept as libcni keeps it, and found again by its container', (t) => {
  const { dir, cache: results } = cache(t);
  t.deepEqual(results.of('c1'), [], 'nothing is there yet, not even the directory');
  results.write({ config, runtime }, { netns: '/n', result });
  const file = join(dir, 'results', 'net-c1-eth0');
  t.is(statSync(file).mode & 0o777, 0o600);
  const { config: text, ...rest } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
  t.deepEqual(rest as unknown, {
    kind: 'cniCacheV1',
    containerId: 'c1',
    ifName: 'eth0',
    networkName: 'net',
    netns: '/n',
    cniArgs: runtime.args,
    capabilityArgs: runtime.capabilityArgs,
    result,
  });
  t.deepEqual(JSON.parse(Buffer.from(text ?? '', 'base64').toString()), {
    cniVersion: '1.1.0',
    name: 'net',
    disableCheck: true,
    loadOnlyInlinedPlugins: true,
    plugins: [{ type: 'x', key: 1 }, { type: 'beside' }],
  });
  t.deepEqual(results.of('c1'), [{ config, runtime, result }]);
  results.remove({ config, runtime });
  results.remove({ config, runtime });
  t.deepEqual(readdirSync(join(dir, 'results')), []);
});

test("another container's results, other formats and damaged files are not taken", (t) => {
  const { dir, cache: results } = cache(t);
  mkdirSync(join(dir, 'results'));
  results.write({ config, runtime: { ...runtime, containerId: 'c1-c2' } }, { netns: '/n', result });
  for (const [name, text] of [
    ['net-c1-a', '{"ips":[]}'],
    ['net-c1-b', '{"kind":"cniCacheV1"'],
    ['net-c1-c', '{"kind":"cniCacheV1","containerId":"c1","ifName":"eth0","config":"AAAA"}'],
    ['net-c1-d', '{"kind":"cniCacheV2","containerId":"c1"}'],
  ] as const)
    writeFileSync(join(dir, 'results', name), text);
  t.deepEqual(results.of('c1'), []);
  t.is(decode('[]'), null);
  t.is(results.of('c1-c2').length, 1);
});

test('an answer to VERSION', (t) => {
  t.deepEqual(supportedVersions('{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'), ['0.4.0', '1.0.0']);
  for (const none of ['', 'text', '[]', '{}', '{"supportedVersions":"1.0.0"}', '{"supportedVersions":[]}'])
    t.is(supportedVersions(none), null, none);
});
