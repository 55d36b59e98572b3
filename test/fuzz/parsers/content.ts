// Parsers of what names an image and of what it consists of.
import * as fc from 'fast-check';
import { parseImageConfig } from '../../../src/image/image-config.ts';
import { formatReference, parseImageQuery, parseReference, repoTag } from '../../../src/image/reference.ts';
import { parseManifest } from '../../../src/registry/manifest.ts';
import { choosePlatform } from '../../../src/registry/platform.ts';
import { bytesOf, complain, digest, only } from './check.ts';
import { documents, texts } from './texts.ts';

const references = texts({
  pieces: [
    'docker.io',
    'r.io',
    '[::1]',
    '[',
    ']',
    ':',
    ':5000',
    ':99999',
    '/',
    '@',
    digest,
    'sha256:',
    'a',
    'A',
    '0',
    '.',
    '-',
    '_',
    '__',
    '--',
    'library/',
    'localhost',
    'latest',
    'busybox',
    'é',
  ],
  samples: [
    'busybox',
    'r.io:5000/team/app:v1',
    `r.io/team/app:v1@${digest}`,
    '[::1]:5000/a/b-c_d.e:x',
    digest,
    '0123abcd',
  ],
});

export const referenceTarget = fc.property(references, (text) => {
  const parsed = only(['invalid-argument'], () => parseReference(text));
  only(['invalid-argument'], () => parseImageQuery(text));
  if (parsed === null) return;
  const again = parseReference(formatReference(parsed));
  if (JSON.stringify(again) !== JSON.stringify(parsed))
    complain(`${formatReference(parsed)} is read otherwise than it was written`);
  const tag = repoTag(parsed);
  if (tag !== null && formatReference(parseReference(tag)) !== tag) complain(`${tag} is no name`);
});

const manifestKeys = [
  'schemaVersion',
  'mediaType',
  'artifactType',
  'config',
  'layers',
  'manifests',
  'fsLayers',
  'digest',
  'size',
  'platform',
  'os',
  'architecture',
  'variant',
  'annotations',
  'org.opencontainers.image.title',
  'subject',
  'urls',
];
const manifestWords = [
  digest,
  'sha512:00',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
  'application/vnd.oci.image.layer.v1.tar+gzip',
  'linux',
  'amd64',
];
const descriptor = fc.record(
  {
    mediaType: fc.constantFrom<unknown>(...manifestWords, 7),
    digest: fc.constantFrom<unknown>(digest, 'sha256:x', null),
    size: fc.constantFrom<unknown>(1, 0, -1, 2 ** 60, '5'),
    platform: fc.oneof(
      fc.constant(null),
      fc.dictionary(
        fc.constantFrom('os', 'architecture', 'variant'),
        fc.constantFrom<unknown>('linux', 'amd64', 'arm64', 'v8', 5),
      ),
    ),
    annotations: fc.oneof(
      fc.constant(5),
      fc.dictionary(fc.constantFrom(...manifestKeys), fc.constantFrom<unknown>('a', 1, null)),
    ),
  },
  { requiredKeys: [] },
);
const manifests = fc.oneof(
  documents(manifestKeys, manifestWords).map((value) => JSON.stringify(value) ?? ''),
  fc
    .record(
      {
        schemaVersion: fc.constantFrom(1, 2),
        mediaType: fc.constantFrom(...manifestWords),
        config: descriptor,
        layers: fc.array(descriptor, { maxLength: 3 }),
        manifests: fc.array(descriptor, { maxLength: 3 }),
        annotations: documents(manifestKeys, manifestWords),
      },
      { requiredKeys: [] },
    )
    .map((value) => JSON.stringify(value)),
  texts({
    pieces: ['{', '}', '[', ']', ',', ':', '"', ...manifestKeys.map((key) => `"${key}"`), '2', digest],
    samples: [`{"schemaVersion":2,"manifests":[{"digest":"${digest}","size":5}]}`],
  }),
);

export const manifestTarget = fc.property(
  manifests,
  fc.constantFrom('', ...manifestWords, 'text/html; charset=x'),
  (text, declared) => {
    const parsed = only(['failed-precondition', 'unimplemented'], () =>
      parseManifest(bytesOf(text), declared, 'r.io/a:1'),
    );
    if (parsed === null) return;
    const descriptors = parsed.type === 'index' ? parsed.manifests : [parsed.config, ...parsed.layers];
    for (const one of descriptors)
      if (one.digest !== digest || one.size < 0) complain(`a descriptor that is none: ${JSON.stringify(one)}`);
    if (parsed.type !== 'index') return;
    choosePlatform({ os: 'linux', architecture: 'amd64', variant: '' }, parsed.manifests);
    for (const { annotations } of parsed.manifests)
      if (Object.values(annotations).some((v) => typeof v !== 'string')) complain('an annotation that is no text');
  },
);

const configKeys = [
  'architecture',
  'os',
  'variant',
  'rootfs',
  'type',
  'diff_ids',
  'config',
  'Env',
  'Entrypoint',
  'Cmd',
  'User',
  'WorkingDir',
  'Volumes',
  'Labels',
  'ExposedPorts',
  'StopSignal',
  'history',
];
const configs = fc.oneof(
  documents(configKeys, [digest, 'layers', 'linux', 'PATH=/bin']),
  fc.record({
    rootfs: fc.record({ type: fc.constant('layers'), diff_ids: fc.array(fc.constantFrom<unknown>(digest, digest, 5)) }),
    config: documents(configKeys, [digest, 'PATH=/bin']),
    os: fc.constantFrom<unknown>('linux', 7),
  }),
);
export const configTarget = fc.property(configs, (value) => {
  const text = JSON.stringify(value) ?? '';
  const parsed = only(['failed-precondition'], () => parseImageConfig(bytesOf(text), 'r.io/a:1'));
  if (parsed && parsed.diffIds.some((id) => id !== digest)) complain('a diff id that is none');
});
