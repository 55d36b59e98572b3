import test from 'ava';
import { outputFile } from '../../../src/cli/command-line.ts';
import {
  dockerManifest,
  dockerRepositories,
  layoutIndex,
  newManifest,
  ociLayerType,
  type SavedBlob,
} from '../../../src/image/save-format.ts';
import type { Digest } from '../../../src/lib/id.ts';

const digest = (digit: string): Digest => `sha256:${digit.repeat(64)}` as string as Digest;
const blob = (digit: string, mediaType = 'm'): SavedBlob => ({ mediaType, digest: digest(digit), size: 7 });

test('a new manifest is an OCI one, with the annotations of the old', (t) => {
  const made = newManifest(blob('c', 'docker'), [blob('1')], '{"annotations":{"a":"b"},"layers":[]}');
  t.deepEqual(JSON.parse(made), {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digest('c'), size: 7 },
    layers: [{ mediaType: 'm', digest: digest('1'), size: 7 }],
    annotations: { a: 'b' },
  });
  t.false(newManifest(blob('c'), [], '{}').includes('annotations'));
});

test('types of layers, by whatever name they came', (t) => {
  const base = 'application/vnd.oci.image.layer.v1.tar';
  t.is(ociLayerType('application/vnd.docker.image.rootfs.diff.tar.gzip'), `${base}+gzip`);
  t.is(ociLayerType('application/vnd.oci.image.layer.nondistributable.v1.tar+zstd'), `${base}+zstd`);
  t.is(ociLayerType('application/vnd.docker.image.rootfs.diff.tar'), base);
});

test('an index has one entry for each name, and one for an image without', (t) => {
  const { manifests } = JSON.parse(
    layoutIndex([
      { manifest: blob('a'), tags: ['r/x:1', 'r/x:2'], twin: null },
      { manifest: blob('b'), tags: [], twin: null },
    ]),
  ) as { manifests: { digest: string; annotations?: Record<string, string> }[] };
  t.deepEqual(
    manifests.map((one) => one.annotations?.['org.opencontainers.image.ref.name']),
    ['r/x:1', 'r/x:2', undefined],
  );
});

test("a manifest of Docker's type is named for containerd, its twin for those who know OCI only", (t) => {
  const { manifests } = JSON.parse(layoutIndex([{ manifest: blob('a'), tags: ['r/x:1'], twin: blob('b') }])) as {
    manifests: { digest: string; annotations: Record<string, string> }[];
  };
  t.deepEqual(
    manifests.map((one) => [one.digest, one.annotations]),
    [
      [digest('a'), { 'io.containerd.image.name': 'r/x:1' }],
      [digest('b'), { 'org.opencontainers.image.ref.name': 'r/x:1' }],
    ],
  );
});

test("docker's documents", (t) => {
  const image = {
    config: blob('c'),
    layers: [blob('1'), blob('2')],
    manifest: blob('m'),
    tags: ['h:5000/r/x:1'],
    twin: null,
  };
  t.deepEqual(JSON.parse(dockerManifest([image])), [
    {
      Config: `blobs/sha256/${'c'.repeat(64)}`,
      RepoTags: ['h:5000/r/x:1'],
      Layers: [`blobs/sha256/${'1'.repeat(64)}`, `blobs/sha256/${'2'.repeat(64)}`],
    },
  ]);
  t.deepEqual(JSON.parse(dockerRepositories([image])), { 'h:5000/r/x': { '1': '2'.repeat(64) } });
  t.is(dockerRepositories([{ ...image, layers: [] }]), '{}');
});

for (const [line, becomes] of [
  ['save -o f i', 'save --file f i'],
  ['--socket s -o json save -o f i', '--socket s -o json save --file f i'],
  ['save --output=f i', 'save --file=f i'],
  ['save -of i', 'save --file=f i'],
  ['images -o json', 'images -o json'],
  ['exec x save -o f', 'exec x save -o f'],
] as const) {
  test(`-o is the file behind save: ${line}`, (t) => {
    t.is(outputFile(line.split(' ')).join(' '), becomes);
  });
}
