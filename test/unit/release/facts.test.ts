// What a release for another architecture is made from.
import test from 'ava';
import { readFileSync } from 'node:fs';
import { nativeParts, releaseFacts } from '../../../hack/release/facts.ts';

const [own, other] = process.arch === 'arm64' ? ['arm64', 'amd64'] : ['amd64', 'arm64'];

test('a release is for this machine unless another architecture is named', (t) => {
  const env = { PODWRIGHT_COMMIT: 'c', SOURCE_DATE_EPOCH: '86400' };
  t.is(releaseFacts(undefined, env).arch, own);
  t.like(releaseFacts('arm64', env), { arch: 'arm64', rustArch: 'aarch64', epoch: 86_400 });
  t.like(releaseFacts('amd64', env), { arch: 'amd64', rustArch: 'x86_64' });
  t.throws(() => releaseFacts('riscv64', env), { message: 'no release is made for riscv64' });
});

test('what is native comes from dist/, or for another architecture from a place of its own, Node too', (t) => {
  const monitor = 'podwright-monitor';
  const node = 'node_modules/node/bin/node';
  t.deepEqual(nativeParts(own), { addon: 'dist/addon.node', monitor: `dist/${monitor}`, node });
  const dist = `dist-${other}`;
  t.deepEqual(nativeParts(other), {
    addon: `${dist}/addon.node`,
    monitor: `${dist}/${monitor}`,
    node: `${dist}/node`,
  });
});

test('the Node runtimes of other architectures have the version of this one', (t) => {
  const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    devDependencies: Readonly<Record<string, string>>;
  };
  const lines = readFileSync('hack/release/node-packages', 'utf8').split('\n');
  const packages = lines.filter((line) => !/^(#|$)/.test(line)).map((line) => line.split(' '));
  t.deepEqual(
    packages.map(([arch, name]) => `${arch} ${name}`),
    ['x64', 'arm64'].map((arch, i) => `${['amd64', 'arm64'][i]} node-linux-${arch}@${devDependencies['node']}`),
  );
  for (const [, , digest] of packages) t.regex(digest ?? '', /^[0-9a-f]{128}$/);
});
