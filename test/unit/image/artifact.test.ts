// OCI artifacts: what their files are called, and how they come and go.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { artifactFiles } from '../../../src/image/artifact-files.ts';
import { artifactChain } from '../../../src/image/artifact.ts';
import type { Digest } from '../../../src/lib/id.ts';
import { startFakeRegistry } from '../../helpers/fake-registry.ts';
import { fakeStorageNative, nativeFailure } from '../../helpers/fake-storage-native.ts';
import { makeArtifact } from '../../helpers/image-parts.ts';
import { openImageRoom, temporaryRoot } from '../../helpers/image-room.ts';

const digest = (n: number) => `sha256:${String(n).repeat(64)}` as string as Digest;
const layer = (title: string, n = 1, mediaType = 'application/x') => ({ mediaType, title, digest: digest(n), size: n });

test('files are named by title, or by digest without one; the empty layer is none', (t) => {
  const empty = layer('', 2, 'application/vnd.oci.empty.v1+json');
  const files = artifactFiles([layer('a'), layer('b/c.txt', 3), layer('', 4), empty, layer('a')], 'x');
  t.deepEqual(
    files.map(({ path }) => path),
    ['a', 'b/c.txt', `sha256-${'4'.repeat(64)}`],
  );
  t.deepEqual(artifactFiles([empty], 'x'), []);
});

for (const [what, titles] of [
  ['absolute', ['/etc/passwd']],
  ['above', ['../x']],
  ['above, later', ['a/../../x']],
  ['itself', ['.']],
  ['a directory', ['a/']],
  ['an empty part', ['a//b']],
  ['a NUL', ['a\0b']],
  ['a long part', ['x'.repeat(256)]],
  ['a long path', ['x/'.repeat(2048) + 'x']],
  ['a deep path', ['x/'.repeat(64) + 'x']],
  ['the same name', ['a', 'a']],
  ['a file that is a directory', ['a/b/c', 'a/b']],
  ['a directory that is a file', ['a', 'a/b']],
] as const) {
  test(`refused: ${what}`, (t) => {
    const layers = titles.map((title, at) => layer(title, at + 1));
    t.throws(() => artifactFiles(layers, 'reg/model:1'), { message: /^artifact reg\/model:1 has a file named / });
  });
}

async function setup(t: ExecutionContext) {
  const server = await startFakeRegistry();
  t.teardown(() => server.close());
  const native = fakeStorageNative();
  const room = await openImageRoom(t, native, temporaryRoot(t));
  const artifact = makeArtifact({ 'model.bin': 'weights', 'conf/a.json': '[]' });
  server.push('model', '1', artifact);
  return { server, native, room, artifact, ref: `${server.host}/model:1` };
}

test('a pull makes one layer of files that all may read, and a record whose id is the manifest', async (t) => {
  const { room, server, artifact, ref } = await setup(t);
  const id = await room.pull(ref);
  t.is(id, artifact.manifest.digest);
  const chainId = artifactChain(artifact.manifest.digest as string as Digest);
  t.like(room.images.status(ref), { id, chain: [chainId], layers: [], artifact: { type: 'application/x-test' } });
  t.true((room.images.status(ref)?.sizeBytes ?? 0) > 0);
  const dir = room.storage.layers.diffDir(chainId);
  t.is(readFileSync(join(dir, 'model.bin'), 'utf8'), 'weights');
  t.is(readFileSync(join(dir, 'conf/a.json'), 'utf8'), '[]');
  t.deepEqual(
    [statSync(join(dir, 'model.bin')).mode & 0o777, statSync(join(dir, 'conf')).mode & 0o777],
    [0o644, 0o755],
  );
  t.is(server.seen('GET', new RegExp(artifact.config.digest)).length, 0, 'its config is nobody’s');
  const info = JSON.parse((await room.images.statusInfo(room.images.status(ref)!)).info!) as object;
  t.like(info, { artifactType: 'application/x-test', manifest: { schemaVersion: 2 } });
  const asked = server.requests.length;
  t.is(await room.pull(ref), id, 'the same again');
  t.is(server.requests.length, asked + 1, 'is one HEAD');
  await room.images.remove(ref);
  await room.images.sweep();
  t.false(existsSync(dir));
  t.deepEqual(room.names(join(room.paths.contentDir, 'sha256')), []);
});

test('two artifacts with the same empty config are two, and one whose containers live keeps its files', async (t) => {
  const { room, server, artifact, ref } = await setup(t);
  server.push('model', '2', makeArtifact({ 'model.bin': 'others' }));
  const ids = [await room.pull(ref), await room.pull(`${server.host}/model:2`)];
  t.is(new Set(ids).size, 2);
  const chainId = artifactChain(artifact.manifest.digest as string as Digest);
  room.inUse.add(chainId);
  await room.images.remove(ref);
  await room.images.sweep();
  t.true(room.storage.layers.has(chainId));
  t.is(room.images.list('').length, 1);
});

test('a download that fails leaves nothing, and the next pull succeeds', async (t) => {
  const { room, native, ref } = await setup(t);
  native.failNext('fetchBlob', nativeFailure('digest', 0));
  native.failNext('layerUsage', nativeFailure('rename', 28));
  await t.throwsAsync(room.pull(ref));
  t.true(await room.settled());
  t.deepEqual(room.names(room.paths.layersDir), []);
  await room.pull(ref).catch(() => room.pull(ref));
  t.is(room.images.list('').length, 1);
});

test('a title that leads out fails the pull', async (t) => {
  const { room, server } = await setup(t);
  server.push('bad', '1', makeArtifact({ '../../etc/x': 'x' }));
  await t.throwsAsync(room.pull(`${server.host}/bad:1`), { message: /"\.\.\/\.\.\/etc\/x", which is not a path/ });
  t.deepEqual(room.names(room.paths.layersDir), []);
});
