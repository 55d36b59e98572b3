import test from 'ava';
import { Failure, type FailureKind } from '../../../src/lib/failure.ts';
import { mediaTypes, parseManifest } from '../../../src/registry/manifest.ts';
import { makeImage, makeIndex, ociIndex, ociManifest } from '../../helpers/image-parts.ts';

const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const image = makeImage([{ a: 'a' }]);
const plain = JSON.parse(image.manifest.bytes.toString()) as Record<string, unknown>;

test('manifests of both families', (t) => {
  const oci = parseManifest(image.manifest.bytes, '', 'x');
  t.like(oci, { type: 'manifest', mediaType: ociManifest });
  const layers = [
    { mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', digest: image.layers[0]?.digest, size: 1 },
  ];
  const config = { mediaType: mediaTypes.dockerConfig, digest: image.config.digest, size: 2 };
  const docker = parseManifest(
    bytes({ schemaVersion: 2, config, layers }),
    `${mediaTypes.dockerManifest}; charset=utf-8`,
    'x',
  );
  t.like(docker, { type: 'manifest', mediaType: mediaTypes.dockerManifest });
});

test('the type is told by the document, the header, or the form', (t) => {
  const { mediaType: _, ...untyped } = plain;
  t.is(parseManifest(bytes(untyped), 'application/json', 'x').mediaType, ociManifest);
  t.is(parseManifest(bytes(untyped), '', 'x').type, 'manifest');
  const index = makeIndex([{ of: image.manifest, platform: null }]);
  const { mediaType: __, ...untypedIndex } = JSON.parse(index.bytes.toString()) as Record<string, unknown>;
  t.is(parseManifest(bytes(untypedIndex), 'text/plain', 'x').mediaType, ociIndex);
  t.is(parseManifest(index.bytes, 'application/octet-stream', 'x').type, 'index');
});

test('an artifact is told by its config, and its files by their titles', (t) => {
  const config = (mediaType: string) => ({ mediaType, digest: image.config.digest, size: 2 });
  const annotations = { 'org.opencontainers.image.title': 'a/model.bin', other: 'x' };
  const file = { mediaType: 'application/x-model', digest: image.config.digest, size: 3 };
  const of = (change: object) =>
    parseManifest(bytes({ ...plain, layers: [{ ...file, annotations }, file], ...change }), '', 'x');
  const typed = of({ artifactType: 'application/model', config: config('application/vnd.oci.empty.v1+json') });
  t.like(typed, { type: 'manifest', artifactType: 'application/model' });
  t.deepEqual(typed.type === 'manifest' && typed.layers, [
    { ...file, title: 'a/model.bin' } as never,
    { ...file, title: '' } as never,
  ]);
  const helm = 'application/vnd.cncf.helm.config.v1+json';
  t.like(of({ config: config(helm) }), { artifactType: helm });
  t.like(parseManifest(bytes({ ...plain, artifactType: 'x/y' }), '', 'x'), { artifactType: null });
});

const refused: readonly (readonly [string, FailureKind, unknown, string, RegExp])[] = [
  ['no object', 'failed-precondition', [], '', /not a JSON object/],
  ['schema 1', 'unimplemented', { schemaVersion: 1, fsLayers: [] }, 'application/json', /schema 1/],
  [
    'schema 1 by type',
    'unimplemented',
    { fsLayers: [] },
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
    /schema 1/,
  ],
  [
    'another type',
    'unimplemented',
    { ...plain, mediaType: 'application/x' },
    '',
    /media type application\/x, which is not an image/,
  ],
  ['no type at all', 'unimplemented', {}, 'text/html', /media type text\/html/],
  ['two types', 'failed-precondition', plain, ociIndex, /the registry application\/vnd.oci.image.index/],
  ['a manifest that is an index', 'failed-precondition', { ...plain, manifests: [] }, '', /at once/],
  [
    'an index that is a manifest',
    'failed-precondition',
    { mediaType: ociIndex, manifests: [], layers: [] },
    '',
    /at once/,
  ],
  [
    'a plugin of docker',
    'unimplemented',
    {
      ...plain,
      mediaType: mediaTypes.dockerManifest,
      config: { mediaType: 'application/vnd.docker.plugin.v1+json', digest: image.config.digest, size: 2 },
    },
    '',
    /config of type application\/vnd\.docker\.plugin\.v1\+json, which is not an image's/,
  ],
  [
    'an encrypted layer',
    'unimplemented',
    {
      ...plain,
      layers: [
        { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip+encrypted', digest: image.config.digest, size: 2 },
      ],
    },
    '',
    /encrypted/,
  ],
  [
    'a digest of another kind',
    'failed-precondition',
    { ...plain, config: { mediaType: mediaTypes.ociConfig, digest: 'md5:00', size: 2 } },
    '',
    /no sha256 digest/,
  ],
  [
    'a negative size',
    'failed-precondition',
    { ...plain, config: { mediaType: mediaTypes.ociConfig, digest: image.config.digest, size: -1 } },
    '',
    /no valid size/,
  ],
  [
    'a fractional size',
    'failed-precondition',
    { ...plain, config: { mediaType: mediaTypes.ociConfig, digest: image.config.digest, size: 1.5 } },
    '',
    /no valid size/,
  ],
  ['no layers', 'failed-precondition', { ...plain, layers: null }, '', /no list of layers/],
  [
    'too many layers',
    'failed-precondition',
    { ...plain, layers: Array.from({ length: 501 }, () => (plain.layers as unknown[])[0]) },
    '',
    /more than 500/,
  ],
];

for (const [name, kind, document, declared, message] of refused) {
  test(`refuses ${name}`, (t) => {
    const error = t.throws(() => parseManifest(bytes(document), declared, 'r.io/x:1'), {
      instanceOf: Failure,
      message,
    });
    t.is(error.kind, kind);
    t.regex(error.message, /r\.io\/x:1/);
  });
}

test('refuses what is not JSON, and what is too large', (t) => {
  t.throws(() => parseManifest(Buffer.from('<html>'), '', 'x'), { message: /not JSON/ });
  t.throws(() => parseManifest(Buffer.alloc(4 * 1024 * 1024 + 1, 32), '', 'x'), { message: /larger than/ });
});
