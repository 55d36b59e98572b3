import test from 'ava';
import { readFileSync } from 'node:fs';
import { cargoChecksums, type Component, licencePage, npmComponents } from '../../../hack/release/components.ts';
import type { ReleaseFacts } from '../../../hack/release/facts.ts';
import { billOfMaterials } from '../../../hack/release/sbom.ts';

const facts: ReleaseFacts = {
  version: '1.2.3',
  commit: 'c'.repeat(40),
  arch: 'amd64',
  rustArch: 'x86_64',
  epoch: 86_400,
  records: { oldest: 1, newest: 1, writes: 1 },
  monitorProtocol: { oldest: 1, newest: 1 },
};

const component = (ecosystem: Component['ecosystem'], name: string, more: Partial<Component> = {}): Component => ({
  ecosystem,
  name,
  version: '1.0.0',
  licence: 'MIT',
  hash: null,
  directory: '/nonexistent',
  needs: [],
  ...more,
});

const components = [
  component('node', 'node', { version: '24.0.0' }),
  component('npm', '@a/b', { needs: ['c@1.0.0', 'gone@1.0.0'], licence: 'MIT OR Apache-2.0' }),
  component('npm', 'c', { hash: { alg: 'SHA-512', content: 'ab'.repeat(64) }, licence: '' }),
  component('cargo', 'c', { licence: 'SEE LICENSE IN x' }),
];

interface Bom {
  readonly [key: string]: unknown;
  readonly components: readonly Readonly<Record<string, unknown>>[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

const bom = (): Bom => JSON.parse(billOfMaterials(facts, components)) as Bom;

test('the bill of materials is a CycloneDX document whose references lead somewhere', (t) => {
  const document = bom();
  t.deepEqual([document['bomFormat'], document['specVersion'], document['version']], ['CycloneDX', '1.6', 1]);
  t.regex(
    String(document['serialNumber']),
    /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/,
  );
  const refs = document.components.map((one) => one['bom-ref']);
  t.deepEqual(refs, ['pkg:generic/node@24.0.0', 'pkg:npm/%40a/b@1.0.0', 'pkg:npm/c@1.0.0', 'pkg:cargo/c@1.0.0']);
  t.deepEqual(document.dependencies, [
    { ref: 'pkg:generic/podwright@1.2.3?arch=amd64', dependsOn: refs as string[] },
    { ref: 'pkg:generic/node@24.0.0', dependsOn: [] },
    { ref: 'pkg:npm/%40a/b@1.0.0', dependsOn: ['pkg:npm/c@1.0.0'] },
    { ref: 'pkg:npm/c@1.0.0', dependsOn: [] },
    { ref: 'pkg:cargo/c@1.0.0', dependsOn: [] },
  ]);
  const licences = document.components.map((one) => one['licenses']);
  t.deepEqual(licences, [
    [{ license: { id: 'MIT' } }],
    [{ expression: 'MIT OR Apache-2.0' }],
    undefined,
    [{ license: { name: 'SEE LICENSE IN x' } }],
  ]);
  t.deepEqual(bom(), document, 'the same release has the same number');
});

test('npm packages: those that are shipped, each with what it needs, from the nearest place', (t) => {
  const found = npmComponents();
  const names = found.map(({ name, version }) => `${name}@${version}`);
  t.is(new Set(names).size, names.length);
  for (const name of ['@grpc/grpc-js', 'pino', 'commander'])
    t.true(
      found.some((one) => one.name === name),
      name,
    );
  for (const name of ['ava', 'esbuild', 'typescript'])
    t.false(
      found.some((one) => one.name === name),
      name,
    );
  for (const { name, needs, hash } of found) {
    for (const need of needs) t.true(names.includes(need), `${name} needs ${need}`);
    t.regex(hash?.content ?? '', /^[0-9a-f]{128}$/, name);
  }
});

test('checksums of a Cargo.lock', (t) => {
  const sums = cargoChecksums(readFileSync('native/Cargo.lock', 'utf8'));
  t.true(sums.size > 50);
  for (const [name, sum] of sums) t.regex(sum, /^[0-9a-f]{64}$/, name);
});

test('equal licence texts are there once', (t) => {
  const page = licencePage([
    component('node', 'node', { directory: 'hack/release/licences/node' }),
    component('npm', 'again', { directory: 'hack/release/licences/node' }),
    component('npm', 'none', { licence: '' }),
  ]);
  t.regex(page, /node node 1\.0\.0: MIT \[1\]\nnpm again 1\.0\.0: MIT \[1\]\nnpm none 1\.0\.0: see text\n/);
  t.is(page.split('\n[1]\n').length, 2);
  t.regex(page, /Node\.js is licensed for use as follows/);
});
