// Kept blobs and what is read from them: images by Docker's manifests, archives that are loaded, other platforms, what a
// killed daemon left half saved, repairs with the node's credentials. Over the real addon; skopeo and umoci read the store.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import type { SaveFormat } from '../../src/image/save.ts';
import { loadNative } from '../../src/native/load.ts';
import { parsePlatform } from '../../src/registry/platform.ts';
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts';
import { makeImage, makeIndex, type TestImage } from '../helpers/image-parts.ts';
import { type ImageRoom, openImageRoom, temporaryRoot } from '../helpers/image-room.ts';
import { addon, cannotRun, cannotRunWith, unless } from '../helpers/real-addon.ts';
import { until } from '../helpers/until.ts';

const run = promisify(execFile);
const real = unless(cannotRun);
const read = unless(cannotRunWith('skopeo', 'umoci'));

const never = new AbortController().signal;
const sha256 = (bytes: string | Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const docker = 'application/vnd.docker.distribution.manifest.v2+json';
const layerFiles = [{ 'etc/one': '1', big: 'x'.repeat(200_000) }, { 'etc/two': '2' }];
const dockerImage = makeImage(layerFiles, {
  manifest: (manifest) => ({
    ...manifest,
    mediaType: docker,
    config: { ...(manifest['config'] as object), mediaType: 'application/vnd.docker.container.image.v1+json' },
    layers: (manifest['layers'] as object[]).map((layer) => ({
      ...layer,
      mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
    })),
  }),
});
const ociImage = makeImage(layerFiles);

interface Setup {
  readonly room: ImageRoom;
  readonly fake: FakeRegistry;
  readonly name: string;
  readonly out: string;
}

async function setup(t: ExecutionContext, image: TestImage, keepBlobs: boolean): Promise<Setup> {
  const fake = await startFakeRegistry();
  t.teardown(() => fake.close());
  fake.push('team/app', 'v1', image);
  const room = await openImageRoom(t, loadNative(addon), temporaryRoot(t));
  room.settings.keepBlobs = keepBlobs;
  const name = `${fake.host}/team/app:v1`;
  await room.pull(name);
  return { room, fake, name, out: temporaryRoot(t) };
}

const save = ({ room, name }: Setup, format: SaveFormat, path: string) =>
  room.images.save({ references: [name], path, format, compression: 'gzip', onStep: () => undefined }, never);
const load = ({ room }: Setup, path: string) =>
  room.images.load({ path, reference: '', onStep: () => undefined }, never);
const skopeo = async (...args: string[]): Promise<string> =>
  (await run('skopeo', ['--insecure-policy', ...args])).stdout;

interface Entry {
  readonly digest: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** The entries of the kept layout once it names an image so often. */
const listed = (room: ImageRoom, name: string, times: number): Promise<Entry[]> =>
  until(`the index names ${name} ${times} times`, () => {
    const file = join(room.paths.contentDir, 'index.json');
    if (!existsSync(file)) return undefined;
    const { manifests } = JSON.parse(readFileSync(file, 'utf8')) as { manifests: Entry[] };
    const own = manifests.filter(({ annotations }) => Object.values(annotations).includes(name));
    return own.length === times ? own : undefined;
  });

interface Source {
  readonly source: string;
  /** Where there is room. */
  readonly out: string;
}

/** Config and diff ids as skopeo reads them are those of the image. */
async function isTheImage(t: ExecutionContext, image: TestImage, { source, out }: Source): Promise<void> {
  t.is(sha256(await skopeo('inspect', '--config', '--raw', source)), image.config.digest);
  const dir = join(out, `dir-${readdirSync(out).length}`);
  await skopeo('copy', '--dest-decompress', source, `dir:${dir}`);
  const { layers } = JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8')) as { layers: Entry[] };
  t.deepEqual(
    layers.map(({ digest }) => sha256(readFileSync(join(dir, digest.replace('sha256:', ''))))),
    image.layers.map(({ diffId }) => diffId),
  );
}

read(
  "an image with a manifest of Docker's type is found by name in the store, and in what is saved of it",
  async (t) => {
    const made = await setup(t, dockerImage, true);
    const { room, name, out } = made;
    const content = room.paths.contentDir;
    const [original, twin] = await listed(room, name, 2);
    t.is(original?.digest, dockerImage.manifest.digest);
    t.deepEqual(Object.keys(original?.annotations ?? {}), ['io.containerd.image.name']);
    await isTheImage(t, dockerImage, { source: `oci:${content}:${name}`, out });
    t.is((await run('umoci', ['ls', '--layout', content])).stdout.trim(), name);
    await run('umoci', ['stat', '--image', `${content}:${name}`]);
    await room.images.sweep();
    const blob = join(content, 'blobs/sha256', (twin?.digest ?? '').replace('sha256:', ''));
    t.true(existsSync(blob), 'a sweep leaves what the index names');
    for (const [format, path, transport] of [
      ['oci-dir', join(out, 'saved'), 'oci'],
      ['oci-archive', join(out, 'saved.tar'), 'oci-archive'],
    ] as const) {
      t.like((await save(made, format, path))[0], { sameManifest: true, manifestDigest: dockerImage.manifest.digest });
      await isTheImage(t, dockerImage, { source: `${transport}:${path}:${name}`, out });
    }
    await room.images.remove(name);
    await listed(room, name, 0);
    await until('the twin goes', async () => {
      await room.images.sweep();
      return !existsSync(blob);
    });
    const loaded = await load(made, join(out, 'saved.tar'));
    t.like(loaded, { length: 1 });
    t.like(loaded[0], { id: dockerImage.config.digest, manifestDigest: dockerImage.manifest.digest, blobsKept: true });
  },
);

read('what is loaded is kept as it is in the archive, whether its layers were here or not', async (t) => {
  const made = await setup(t, ociImage, true);
  const { room, name, out } = made;
  const content = room.paths.contentDir;
  const [archive, dir] = [join(out, 'a.tar'), join(out, 'a')];
  await save(made, 'oci-archive', archive);
  await save(made, 'oci-dir', dir);
  const blobs = ociImage.layers.map(({ digest }) => join(content, 'blobs/sha256', digest.replace('sha256:', '')));
  for (const path of [archive, dir]) {
    for (const layersStay of [false, true]) {
      const release = layersStay ? room.images.hold(room.images.status(name)?.chain ?? []) : () => undefined;
      await room.images.remove(name);
      await room.images.sweep();
      t.deepEqual(blobs.filter(existsSync), []);
      const [loaded] = await load(made, path);
      t.like(loaded, { blobsKept: true, manifestDigest: ociImage.manifest.digest });
      for (const [at, blob] of blobs.entries()) t.true(readFileSync(blob).equals(ociImage.layers[at]?.bytes as Buffer));
      release();
      await listed(room, name, 1);
      t.is(sha256(await skopeo('inspect', '--raw', `oci:${content}:${name}`)), ociImage.manifest.digest);
    }
  }
  await save(made, 'docker-archive', join(out, 'd.tar'));
  await room.images.remove(name);
  await room.images.sweep();
  t.like((await load(made, join(out, 'd.tar')))[0], { blobsKept: true });
  await listed(room, name, 1);
  await isTheImage(t, ociImage, { source: `oci:${content}:${name}`, out });
  room.settings.keepBlobs = false;
  await room.images.remove(name);
  await room.images.sweep();
  t.like((await load(made, archive))[0], { blobsKept: false });
  t.deepEqual(blobs.filter(existsSync), []);
});

real('what a daemon that was killed left half saved goes at the next start, and nothing else', async (t) => {
  const made = await setup(t, ociImage, false);
  const { room, name, out } = made;
  const file = join(out, 'image.tar');
  const job = {
    source: { type: 'text', text: 'half' },
    what: 'x',
    compression: 'none',
    onBytes: () => undefined,
  } as const;
  const archive = await room.storage.exports.archive(file);
  await archive.blob(job, never);
  const directory = await room.storage.exports.directory(join(out, 'layout'));
  await directory.blob(job, never);
  const parts = readdirSync(out);
  t.is(parts.length, 2);
  t.true(parts.every((part) => /^\.(image\.tar|layout)\.[0-9a-f-]{36}\.part$/.test(part)));
  // a note that lies, as nobody but root could write it, takes no other file
  const other = join(out, 'other');
  writeFileSync(other, 'as it was');
  writeFileSync(join(room.paths.savesDir, 'lie'), other);
  await room.storage.exports.sweep();
  t.deepEqual(readdirSync(out), ['other']);
  t.deepEqual(readdirSync(room.paths.savesDir), []);
  await directory.discard(); // no daemon was killed: it has descriptors
  await save(made, 'docker-archive', file);
  await save(made, 'oci-dir', join(out, 'layout'));
  t.deepEqual(readdirSync(room.paths.savesDir), [], 'what is whole has no note');
  t.deepEqual(readdirSync(out).sort(), ['image.tar', 'layout', 'other']);
  await t.throwsAsync(
    room.images.save(
      { references: [name], path: join(out, 'no/x'), format: 'oci-dir', compression: 'gzip', onStep: () => undefined },
      never,
    ),
  );
  t.deepEqual(readdirSync(room.paths.savesDir), []);
});

real('an archive whose place was taken while it was written is not written on', async (t) => {
  const { room, out } = await setup(t, ociImage, false);
  const victim = join(out, 'victim');
  writeFileSync(victim, 'as it was');
  const archive = await room.storage.exports.archive(join(out, 'image.tar'));
  const [part = ''] = readdirSync(out).filter((name) => name.endsWith('.part'));
  rmSync(join(out, part));
  symlinkSync(victim, join(out, part));
  const job = {
    source: { type: 'text', text: 'half' },
    what: 'x',
    compression: 'none',
    onBytes: () => undefined,
  } as const;
  await t.throwsAsync(archive.blob(job, never));
  await t.throwsAsync(archive.commit());
  await archive.discard();
  t.is(readFileSync(victim, 'utf8'), 'as it was');
  t.deepEqual(readdirSync(out), ['victim']);
});

real('another platform: it takes the tag, and gives it back', async (t) => {
  const { room, fake } = await setup(t, ociImage, false);
  const arm = makeImage([{ arm: '1' }], { architecture: 'arm64' });
  const linux = (architecture: string) => ({ os: 'linux', architecture });
  fake.push('team/multi', 'amd', ociImage);
  fake.push('team/multi', 'arm', arm);
  const index = makeIndex([
    { of: ociImage.manifest, platform: linux('amd64') },
    { of: arm.manifest, platform: linux('arm64') },
  ]);
  fake.putManifest('team/multi', 'v1', index);
  const repository = `${fake.host}/team/multi`;
  const name = `${repository}:v1`;
  const platform = parsePlatform('linux/arm64');
  t.is(await room.pull(name), ociImage.config.digest);
  t.is(await room.pull(name, { platform }), arm.config.digest);
  t.is(await room.pull(name, { platform }), arm.config.digest, 'again, as it is here');
  t.is(room.images.status(name)?.id, arm.config.digest as never);
  t.is(room.images.status(`${repository}@${index.digest}`)?.id, ociImage.config.digest as never);
  t.is(room.images.status(`${repository}@${arm.manifest.digest}`)?.id, arm.config.digest as never);
  t.is(await room.pull(name), ociImage.config.digest);
  t.is(room.images.status(name)?.id, ociImage.config.digest as never);
  await t.throwsAsync(room.pull(`${repository}:amd`, { platform }), {
    message: /is for linux\/amd64 only, not for linux\/arm64/,
  });
  await t.throwsAsync(room.pull(name, { platform: parsePlatform('linux/s390x') }), {
    message: /has nothing for linux\/s390x/,
  });
  t.throws(() => parsePlatform('arm64'), { message: /not of the form os\/architecture/ });
  t.deepEqual(parsePlatform('Linux/aarch64/V8'), { os: 'linux', architecture: 'arm64', variant: 'v8' });
});

real("a repair proves itself with the node's credentials", async (t) => {
  const { room, fake, name } = await setup(t, ociImage, false);
  fake.auth = { type: 'basic', username: 'node', password: 'its own' };
  const chain = room.images.status(name)?.chain ?? [];
  const hooks = { onStep: () => undefined, onFinding: () => undefined };
  const auth = Buffer.from('node:its own').toString('base64');
  mkdirSync(room.root, { recursive: true });
  writeFileSync(join(room.root, 'auth.json'), JSON.stringify({ auths: { [fake.host]: { auth } } }));
  writeFileSync(join(room.storage.layers.diffDir(chain[1] ?? ''), 'etc/two'), '3');
  fake.requests.length = 0;
  t.deepEqual(await room.images.repair([], hooks, never), [{ image: name, outcome: 'repaired', why: '' }]);
  t.deepEqual(
    fake
      .seen('GET', /\/blobs\//)
      .filter(({ headers }) => headers.authorization !== undefined)
      .map(({ url }) => url.split('/').at(-1))
      .filter((digest) => digest !== ociImage.config.digest),
    [ociImage.layers[1]?.digest],
    'that layer alone',
  );
});
