// Images out of the store and the store itself, over the real addon: the same bytes come back, skopeo and umoci read
// them, damage is found and repaired.
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { zstdDecompressSync } from 'node:zlib';
import type { ExecutionContext } from 'ava';
import type { ContentFinding } from '../../src/image/integrity.ts';
import type { SaveFormat, SaveRequest } from '../../src/image/save.ts';
import type { Failure } from '../../src/lib/failure.ts';
import { loadNative } from '../../src/native/load.ts';
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts';
import { makeImage } from '../helpers/image-parts.ts';
import { type ImageRoom, openImageRoom, temporaryRoot } from '../helpers/image-room.ts';
import { addon, cannotRun, cannotRunWith, unless } from '../helpers/real-addon.ts';
import { until } from '../helpers/until.ts';

const run = promisify(execFile);
const real = unless(cannotRun);
const read = unless(cannotRunWith('skopeo', 'umoci'));

const image = makeImage([
  { 'etc/': '755', 'etc/one': '1', big: 'x'.repeat(300_000) },
  { 'etc/two': '2', 'etc/.wh.one': '' },
  { 'opt/deep/er': 'e' },
]);
const never = new AbortController().signal;
const sha256 = (bytes: string | Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

interface Setup {
  readonly room: ImageRoom;
  readonly fake: FakeRegistry;
  /** The image's name. */
  readonly name: string;
  readonly id: string;
  readonly out: string;
  readonly save: (
    format: SaveFormat,
    path: string,
    more?: Partial<SaveRequest>,
  ) => ReturnType<ImageRoom['images']['save']>;
}

async function setup(t: ExecutionContext, keepBlobs = false): Promise<Setup> {
  const fake = await startFakeRegistry();
  t.teardown(() => fake.close());
  fake.push('team/app', 'v1', image);
  const room = await openImageRoom(t, loadNative(addon), temporaryRoot(t));
  room.settings.keepBlobs = keepBlobs;
  const name = `${fake.host}/team/app:v1`;
  const id = await room.pull(name);
  const out = temporaryRoot(t);
  return {
    room,
    fake,
    name,
    id,
    out,
    save: (format, path, more = {}) =>
      room.images.save(
        { references: [name], path, format, compression: 'gzip', onStep: () => undefined, ...more },
        never,
      ),
  };
}

const skopeo = async (...args: string[]): Promise<string> =>
  (await run('skopeo', ['--insecure-policy', ...args])).stdout;

/** What skopeo reads is this image: its config, and layers that are what it says. */
async function isTheImage(t: ExecutionContext, source: string, out: string): Promise<void> {
  const config = await skopeo('inspect', '--config', '--raw', source);
  t.is(sha256(config), image.config.digest, source);
  const dir = join(out, `dir-${readdirSync(out).length}`);
  await skopeo('copy', '--dest-decompress', source, `dir:${dir}`);
  const { layers } = JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8')) as { layers: { digest: string }[] };
  const unpacked = layers.map(({ digest }) => {
    const bytes = readFileSync(join(dir, digest.slice('sha256:'.length)));
    return sha256(bytes[0] === 0x28 ? zstdDecompressSync(bytes) : bytes);
  });
  t.deepEqual(
    unpacked,
    image.layers.map(({ diffId }) => diffId),
    source,
  );
}

read('archives and layouts are read by skopeo and umoci, and loaded as the same image', async (t) => {
  const { room, name, id, out, save } = await setup(t);
  const docker = join(out, 'docker.tar');
  const [saved] = await save('docker-archive', docker);
  t.like(saved, { id, tags: [name], sameManifest: false });
  await isTheImage(t, `docker-archive:${docker}:${name}`, out);
  for (const compression of ['gzip', 'zstd', 'none'] as const) {
    const [archive, dir] = [join(out, `${compression}.tar`), join(out, compression)];
    t.like((await save('oci-archive', archive, { compression }))[0], { sameManifest: false });
    await save('oci-dir', dir, { compression });
    await isTheImage(t, `oci-archive:${archive}:${name}`, out);
    await isTheImage(t, `oci:${dir}:${name}`, out);
    t.is((await run('umoci', ['ls', '--layout', dir])).stdout.trim(), name);
    for (const path of [archive, dir]) {
      await room.images.remove(name);
      await room.images.sweep();
      const [loaded] = await room.images.load({ path, reference: '', onStep: () => undefined }, never);
      t.like(loaded, { id, repoTags: [name] });
      t.deepEqual(await findings(room), []);
    }
  }
  const again = join(out, 'again.tar');
  await save('docker-archive', again);
  t.true(readFileSync(again).equals(readFileSync(docker)), 'of a loaded image too');
});

read('with kept blobs the store is a layout, and what is saved has the manifest of the registry', async (t) => {
  const { room, name, out, save } = await setup(t, true);
  const content = room.paths.contentDir;
  const listed = (): string => readFileSync(join(content, 'index.json'), 'utf8');
  await until('it is in the index', () => existsSync(join(content, 'index.json')) && listed().includes(name));
  t.is(sha256(await skopeo('inspect', '--raw', `oci:${content}:${name}`)), image.manifest.digest);
  await isTheImage(t, `oci:${content}:${name}`, out);
  t.is((await run('umoci', ['ls', '--layout', content])).stdout.trim(), name);
  const archive = join(out, 'kept.tar');
  t.like((await save('oci-archive', archive))[0], { sameManifest: true, manifestDigest: image.manifest.digest });
  t.is(sha256(await skopeo('inspect', '--raw', `oci-archive:${archive}:${name}`)), image.manifest.digest);
  await isTheImage(t, `oci-archive:${archive}:${name}`, out);
  await room.images.remove(name);
  await until('it leaves the index', () => !listed().includes(name));
});

real('what cannot be saved is said, what was there stays, and nothing is left', async (t) => {
  const { room, id, out, save } = await setup(t);
  const path = join(out, 'old.tar');
  writeFileSync(path, 'as it was');
  const fails = (how: Parameters<typeof save>, message: RegExp): Promise<unknown> =>
    t.throwsAsync(save(...how), { message });
  await fails(['docker-archive', path, { references: ['none:1'] }], /image "none:1" is not here/);
  await fails(['docker-archive', join(out, 'none/x.tar')], /there is no directory/);
  await fails(['docker-archive', out], /is no regular file/);
  await fails(['oci-dir', path], /is no directory/);
  await fails(['oci-dir', out], /is not empty/);
  const file = join(room.storage.layers.diffDir(room.images.status(id)?.chain[0] ?? ''), 'etc/one');
  writeFileSync(file, '0');
  await fails(['oci-archive', path], /the content is not what its digest says/);
  await fails(['oci-dir', join(out, 'new')], /the content is not what its digest says/);
  t.deepEqual(readdirSync(out), ['old.tar']);
  t.is(readFileSync(path, 'utf8'), 'as it was');
  writeFileSync(file, '1');
  await save('oci-archive', path);
  t.true(statSync(path).size > 1000);
});

real('a full disk: the save fails for that reason, leaves nothing, and works when there is room', async (t) => {
  const { save } = await setup(t);
  const small = temporaryRoot(t);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'podwright-test', small]);
  t.teardown(() => void execFileSync('umount', ['-l', small]));
  for (const format of ['docker-archive', 'oci-archive', 'oci-dir'] as const) {
    const path = join(small, format);
    const error = await t.throwsAsync(save(format, path, { compression: 'none' }), { message: /no space left/ });
    t.is((error as Failure).kind, 'resource-exhausted');
    t.deepEqual(readdirSync(small), []);
  }
  execFileSync('mount', ['-o', 'remount,size=8m', small]);
  for (const format of ['docker-archive', 'oci-archive', 'oci-dir'] as const) {
    await save(format, join(small, format), { compression: 'none' });
  }
  t.is(readdirSync(small).length, 3);
});

/** What a verification of everything finds. */
async function findings(room: ImageRoom): Promise<ContentFinding[]> {
  const found: ContentFinding[] = [];
  await room.images.verify([], { onStep: () => undefined, onFinding: (one) => void found.push(one) }, never);
  return found;
}

real('damage is found and named, and the broken layer alone is got again', async (t) => {
  const { room, fake, name, id } = await setup(t);
  t.deepEqual(await findings(room), []);
  const chain = room.images.status(id)?.chain ?? [];
  // a number may come again at once, the time of birth does not
  const inodes = (): bigint[] =>
    chain.map((one) => statSync(room.storage.layers.layerDir(one), { bigint: true }).birthtimeNs);
  const before = inodes();
  writeFileSync(join(room.storage.layers.diffDir(chain[1] ?? ''), 'etc/two'), '3');
  const [found, ...more] = await findings(room);
  t.deepEqual(more, []);
  t.like(found, { kind: 'damaged', item: { what: `layer ${image.layers[1]?.diffId ?? ''}`, images: [id] } });
  const hooks = { onStep: () => undefined, onFinding: () => undefined };
  t.deepEqual(await room.images.repair([name], hooks, never), [{ image: name, outcome: 'repaired', why: '' }]);
  t.deepEqual(await findings(room), []);
  const after = inodes();
  t.deepEqual([after[0], after[2]], [before[0], before[2]]);
  t.not(after[1], before[1]);
  // a container stands on it: it is kept aside, whole
  room.inUse.add(chain[0] ?? '');
  writeFileSync(join(room.storage.layers.diffDir(chain[0] ?? ''), 'etc/one'), '2');
  t.like(await room.images.repair([], hooks, never), [{ outcome: 'repaired' }]);
  const [aside = ''] = readdirSync(room.paths.quarantineDir);
  t.is(readFileSync(join(room.paths.quarantineDir, aside, 'diff/etc/one'), 'utf8'), '2');
  // the config
  writeFileSync(room.storage.content.path(id as never), '{}');
  t.like((await findings(room))[0], { kind: 'damaged', item: { what: `blob ${id}` } });
  t.like(await room.images.repair([], hooks, never), [{ outcome: 'repaired' }]);
  t.deepEqual(await findings(room), []);
  // a layer of an earlier release
  rmSync(join(room.storage.layers.layerDir(chain[2] ?? ''), 'tar-index.zst'));
  t.like(await findings(room), [{ kind: 'unverifiable' }]);
  // the registry is gone
  await fake.close();
  writeFileSync(join(room.storage.layers.diffDir(chain[1] ?? ''), 'etc/two'), '3');
  t.like(await room.images.repair([], hooks, never), [{ outcome: 'removed' }]);
  t.is(room.images.status(name), null);
});

real('the name of a file does not hide that it is damaged', async (t) => {
  const { room, fake } = await setup(t);
  const name = 'it was unpacked without a tar index';
  fake.push('team/named', 'v1', makeImage([{ [name]: 'as it was' }]));
  const id = await room.pull(`${fake.host}/team/named:v1`);
  rmSync(join(room.storage.layers.diffDir(room.images.status(id)?.chain[0] ?? ''), name));
  const [found, ...more] = await findings(room);
  t.deepEqual(more, []);
  t.is(found?.kind, 'damaged');
  t.true(found?.why.includes(name));
});

real('what the store says it takes is what du finds', async (t) => {
  const { room } = await setup(t, true);
  const du = (dir: string, ...flags: string[]): number =>
    Number(spawnSync('du', ['-sx', ...flags, dir], { encoding: 'utf8' }).stdout.split('\t')[0]);
  const below = (dir: string): { bytes: number; inodes: number } =>
    readdirSync(dir)
      .filter((each) => each !== 'empty')
      .map((each) => join(dir, each))
      .map((path) => ({ bytes: du(path, '-B1'), inodes: du(path, '--inodes') }))
      .reduce((sum, one) => ({ bytes: sum.bytes + one.bytes, inodes: sum.inodes + one.inodes }), {
        bytes: 0,
        inodes: 0,
      });
  const { layers, content } = await room.storage.usage();
  t.like(layers, below(room.paths.layersDir));
  t.like(content, below(join(room.paths.contentDir, 'blobs/sha256')));
  const [own] = (await room.images.fsInfo()).images;
  t.is(own?.usedBytes, BigInt(layers.bytes + content.bytes));
  await room.images.remove(room.images.list('')[0]?.id ?? '');
  await room.images.sweep();
  t.like((await room.images.fsInfo()).images[0], { usedBytes: 0n, inodesUsed: 0n });
});

real('pruning takes what nothing stands on, but what is pinned', async (t) => {
  const { room, name, id } = await setup(t);
  t.deepEqual(await room.images.prune(false), [], 'it has a name');
  room.settings.pinned = ['*/app:*'];
  t.deepEqual(await room.images.prune(true), []);
  room.settings.pinned = [];
  for (const one of room.images.status(id)?.chain ?? []) room.inUse.add(one);
  t.deepEqual(await room.images.prune(true), []);
  room.inUse.clear();
  t.like(await room.images.prune(true), [{ id, tags: [name] }]);
  t.is(room.images.status(name), null);
});

real('a damaged manifest or config fails what needs it as damage of the image', async (t) => {
  const { room, id, out, save } = await setup(t);
  const file = (digest: string): string => join(room.paths.contentDir, 'blobs/sha256', digest.replace('sha256:', ''));
  const { manifest } = image;
  for (const bytes of ['{', manifest.bytes.toString().replace('{', '{"annotations": {"x": "y"},')]) {
    writeFileSync(file(manifest.digest), bytes);
    for (const format of ['docker-archive', 'oci-archive'] as const) {
      const error = await t.throwsAsync(save(format, join(out, 'damaged.tar')), {
        message: /lacks an undamaged manifest/,
      });
      t.is((error as Failure).kind, 'failed-precondition');
    }
  }
  writeFileSync(file(id), '{');
  const found = room.images.status(id)!;
  const error = await t.throwsAsync(room.images.statusInfo(found), { message: /has a damaged config: pull it again/ });
  t.is((error as Failure).kind, 'failed-precondition');
});
