import test from 'ava';
import { layoutPath, layoutTags, readDockerManifest } from '../../../src/image/archive.ts';

test('a docker manifest.json', (t) => {
  const text = JSON.stringify([
    { Config: './c.json', RepoTags: ['busybox:1', 'r.io/x/y:z'], Layers: ['a/layer.tar', './b/layer.tar'] },
    { Config: 'd.json', RepoTags: null, Layers: null },
  ]);
  t.deepEqual(readDockerManifest(text, '/a.tar'), [
    { config: 'c.json', layers: ['a/layer.tar', 'b/layer.tar'], tags: ['docker.io/library/busybox:1', 'r.io/x/y:z'] },
    { config: 'd.json', layers: [], tags: [] },
  ]);
});

for (const [name, text, message] of [
  ['no JSON', '{', /not JSON/],
  ['no list', '{}', /lists no image/],
  ['an empty list', '[]', /lists no image/],
  ['no config', '[{}]', /no config/],
  ['layers of numbers', '[{"Config":"c","Layers":[1]}]', /Layers or RepoTags/],
  ['a bad name', '[{"Config":"c","RepoTags":["UPPER"]}]', /not valid/],
] as const) {
  test(`refuses a manifest.json with ${name}`, (t) => {
    t.throws(() => readDockerManifest(text, '/a.tar'), { message });
  });
}

test('names in an OCI layout', (t) => {
  const ref = 'org.opencontainers.image.ref.name';
  t.deepEqual(layoutTags({ 'io.containerd.image.name': 'docker.io/library/a:1', [ref]: '1' }), [
    'docker.io/library/a:1',
  ]);
  t.deepEqual(layoutTags({ [ref]: 'r.io/a:1' }), ['r.io/a:1']);
  t.deepEqual(layoutTags({ [ref]: 'latest' }), []);
  t.deepEqual(layoutTags({}), []);
  t.is(layoutPath('sha256:ab'), 'blobs/sha256/ab');
});
