import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Image } from '../../../src/image/image.ts';
import type { LoadStep } from '../../../src/image/load.ts';
import { Failure, failureChain } from '../../../src/lib/failure.ts';
import { fakeStorageNative } from '../../helpers/fake-storage-native.ts';
import { type ImageRoom, openImageRoom, temporaryRoot } from '../../helpers/image-room.ts';
import { digestOf, makeImage, makeIndex, ociIndex, type TestBlob, type TestImage } from '../../helpers/image-parts.ts';

const image = makeImage([{ base: 'b' }, { app: 'a' }]);
const arm = makeImage([{ arm: 'a' }], { architecture: 'arm64' });
const never = new AbortController().signal;

interface Made extends ImageRoom {
  /** Writes files into a directory that stands for an archive. */
  readonly archive: (files: Readonly<Record<string, string | Buffer>>) => string;
  readonly load: (path: string, reference?: string) => Promise<Image[]>;
  readonly steps: LoadStep[];
}

async function setup(t: ExecutionContext): Promise<Made> {
  const root = temporaryRoot(t);
  const room = await openImageRoom(t, fakeStorageNative(), root);
  const steps: LoadStep[] = [];
  let archives = 0;
  return {
    ...room,
    steps,
    archive(files) {
      const dir = join(root, `archive-${(archives += 1)}`);
      for (const [name, data] of Object.entries(files)) {
        mkdirSync(dirname(join(dir, name)), { recursive: true });
        writeFileSync(join(dir, name), data);
      }
      return dir;
    },
    load: (path, reference = '') =>
      room.images.load({ path, reference, onStep: (step) => void steps.push(step) }, never),
  };
}

async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Failure)) throw new Error(`no failure but ${String(error)}`);
  return `${error.kind}: ${failureChain(error)}`;
}

const dockerFiles = (of: TestImage, tags: readonly string[] | null): Record<string, string | Buffer> => ({
  'manifest.json': JSON.stringify([
    { Config: 'c.json', RepoTags: tags, Layers: of.layers.map((_, at) => `${at}/layer.tar`) },
  ]),
  'c.json': of.config.bytes,
  ...Object.fromEntries(of.layers.map((layer, at) => [`${at}/layer.tar`, layer.tar])),
});

const blobFiles = (blobs: readonly TestBlob[]): Record<string, Buffer> =>
  Object.fromEntries(blobs.map((blob) => [`blobs/sha256/${blob.digest.slice(7)}`, blob.bytes]));

const layoutFiles = (of: readonly TestImage[], index: object): Record<string, string | Buffer> => ({
  'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
  'index.json': JSON.stringify(index),
  ...blobFiles(of.flatMap((one) => [...one.layers, one.config, one.manifest])),
});

const entry = (of: TestBlob & { mediaType: string }, more: object = {}) => ({
  mediaType: of.mediaType,
  digest: of.digest,
  size: of.bytes.length,
  ...more,
});
const named = (name: string) => ({ annotations: { 'io.containerd.image.name': name } });

test('a docker archive', async (t) => {
  const { archive, load, images, steps, storage } = await setup(t);
  const [one, ...more] = await load(archive(dockerFiles(image, ['demo:1', 'r.io/demo:2'])));
  t.is(more.length, 0);
  t.like(one, {
    id: image.config.digest,
    repoTags: ['docker.io/library/demo:1', 'r.io/demo:2'],
    repoDigests: [],
    ref: image.config.digest,
  });
  t.is(images.status('demo:1')?.id, one?.id);
  t.deepEqual(
    one?.layers.map((l) => l.digest as string),
    image.layers.map((l) => digestOf(l.tar)),
  );
  const manifest = await storage.content.read(one!.manifestDigest);
  t.is(digestOf(manifest!), one!.manifestDigest as string);
  t.is((JSON.parse(manifest!.toString()) as { config: { digest: string } }).config.digest, image.config.digest);
  const size = image.layers[0]!.tar.length;
  t.deepEqual(steps[0], { what: `layer ${image.layers[0]!.diffId}`, doneBytes: 0, totalBytes: size });
  t.true(steps.some((s) => s.doneBytes === size));
  t.is((await load(archive(dockerFiles(image, ['demo:1']))))[0]?.id, one?.id, 'again is no error');
});

test('an image without a name gets the one that is given, or none', async (t) => {
  const { archive, load, images } = await setup(t);
  const path = archive(dockerFiles(image, null));
  t.deepEqual((await load(path))[0]?.repoTags, []);
  t.deepEqual((await load(path, 'mine:3'))[0]?.repoTags, ['docker.io/library/mine:3']);
  t.is(images.list('').length, 1);
  t.regex(await refusal(load(path, `mine@${image.config.digest}`)), /invalid-argument.*must have a tag/);
});

test('an OCI layout: names, digests, platforms', async (t) => {
  const { archive, load } = await setup(t);
  const inner = makeIndex([
    { of: arm.manifest, platform: { os: 'linux', architecture: 'arm64' } },
    { of: image.manifest, platform: { os: 'linux', architecture: 'amd64' } },
  ]);
  const index = {
    schemaVersion: 2,
    manifests: [entry(inner, named('r.io/multi:1')), entry(image.manifest, named('docker.io/library/one:1'))],
  };
  const path = archive({ ...layoutFiles([image, arm], index), ...blobFiles([inner]) });
  const loaded = await load(path);
  t.deepEqual(
    loaded.map((one) => [one.id as string, [...one.repoTags], [...one.repoDigests]]),
    [
      [image.config.digest, ['r.io/multi:1'], [`r.io/multi@${inner.digest}`]],
      [
        image.config.digest,
        ['r.io/multi:1', 'docker.io/library/one:1'],
        [`r.io/multi@${inner.digest}`, `docker.io/library/one@${image.manifest.digest}`],
      ],
    ],
  );
});

test('platforms side by side in the index of a layout', async (t) => {
  const { archive, load } = await setup(t);
  const index = {
    mediaType: ociIndex,
    manifests: [
      entry(arm.manifest, { platform: { os: 'linux', architecture: 'arm64' }, ...named('r.io/a:1') }),
      entry(image.manifest, { platform: { os: 'linux', architecture: 'amd64' }, ...named('r.io/a:1') }),
    ],
  };
  const loaded = await load(archive(layoutFiles([image, arm], index)));
  t.deepEqual(
    loaded.map((one) => one.id as string),
    [image.config.digest],
  );
});

test('what newer docker writes: both forms in one', async (t) => {
  const { archive, load } = await setup(t);
  const index = { schemaVersion: 2, manifests: [entry(image.manifest)] };
  const config = `blobs/sha256/${image.config.digest.slice(7)}`;
  const manifest = [
    { Config: config, RepoTags: ['both:1'], Layers: image.layers.map((l) => `blobs/sha256/${l.digest.slice(7)}`) },
  ];
  const loaded = await load(archive({ ...layoutFiles([image], index), 'manifest.json': JSON.stringify(manifest) }));
  t.like(loaded[0], {
    repoTags: ['docker.io/library/both:1'],
    repoDigests: [`docker.io/library/both@${image.manifest.digest}`],
    manifestDigest: image.manifest.digest,
  });
});

test('archives that cannot be used leave nothing', async (t) => {
  const { archive, load, images, names, paths } = await setup(t);
  t.regex(await refusal(load(archive({ hello: 'x' }))), /neither a docker archive nor an OCI layout/);
  const { 'c.json': _, ...headless } = dockerFiles(image, ['a:1']);
  t.regex(await refusal(load(archive(headless))), /failed-precondition.*has no file "c\.json"/);
  const { '1/layer.tar': __, ...holed } = dockerFiles(image, ['a:1']);
  t.regex(await refusal(load(archive(holed))), /has no file "1\/layer\.tar"/);
  t.deepEqual(images.list(''), []);
  t.deepEqual(names(paths.ingestDir), []);
});

test('a layout whose bytes are not what their names say', async (t) => {
  const { archive, load, settled } = await setup(t);
  const index = { schemaVersion: 2, manifests: [entry(image.manifest, named('r.io/a:1'))] };
  const lie = (blob: TestBlob): string =>
    archive({ ...layoutFiles([image], index), ...blobFiles([{ ...blob, bytes: Buffer.from('{}') }]) });
  t.regex(await refusal(load(lie(image.manifest))), /blob sha256:.* has another digest/);
  t.regex(await refusal(load(lie(image.config))), /has another digest/);
  t.regex(await refusal(load(lie(image.layers[1]!))), /the content is not what its digest says/);
  t.true(await settled());
});

test('a layout for other platforms only', async (t) => {
  const { archive, load } = await setup(t);
  const index = {
    manifests: [entry(arm.manifest, { platform: { os: 'linux', architecture: 'arm64' } })],
    mediaType: ociIndex,
  };
  t.regex(await refusal(load(archive(layoutFiles([arm], index)))), /not-found.*has nothing for linux\/amd64/);
});
