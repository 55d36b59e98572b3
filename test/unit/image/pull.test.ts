import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { chainIds } from '../../../src/image/image.ts';
import { Failure, failureChain } from '../../../src/lib/failure.ts';
import type { Digest } from '../../../src/lib/id.ts';
import { type FakeRegistry, refuse, startFakeRegistry } from '../../helpers/fake-registry.ts';
import { fakeStorageNative, type FakeStorageNative, nativeFailure } from '../../helpers/fake-storage-native.ts';
import { type ImageRoom, openImageRoom, temporaryRoot } from '../../helpers/image-room.ts';
import { makeImage, makeIndex, type TestImage } from '../../helpers/image-parts.ts';

const image = makeImage([{ base: 'b' }, { app: 'a' }], { config: { User: '10:20', Env: ['A=b'], Cmd: ['/app'] } });
const chainOf = (of: TestImage): string[] => chainIds(of.layers.map((l) => l.diffId as string as Digest));

interface Made extends ImageRoom {
  readonly native: FakeStorageNative;
  readonly server: FakeRegistry;
  readonly ref: string;
}

async function setup(t: ExecutionContext): Promise<Made> {
  const server = await startFakeRegistry();
  t.teardown(() => server.close());
  server.push('app', 'v1', image);
  const native = fakeStorageNative();
  const room = await openImageRoom(t, native, temporaryRoot(t));
  return { ...room, native, server, ref: `${server.host}/app:v1` };
}

const fetches = (native: FakeStorageNative): number => native.calls.filter((c) => c.name === 'fetchLayer').length;

async function fails(work: Promise<unknown>): Promise<Failure> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Failure)) throw new Error(`no failure but ${String(error)}`);
  return error;
}

test('a pull makes a whole image', async (t) => {
  const { pull, ref, images, server, storage, paths, names, events, root } = await setup(t);
  const id = await pull(ref, { userSpecifiedImage: 'app', annotations: { a: 'b' } });
  t.is(id, image.config.digest);
  const found = images.status(ref);
  t.like(found, {
    id,
    repoTags: [ref],
    repoDigests: [`${server.host}/app@${image.manifest.digest}`],
    ref: `${server.host}/app@${image.manifest.digest}`,
    chain: chainOf(image),
    user: { uid: 10, username: '' },
    manifestDigest: image.manifest.digest,
    targetDigest: image.manifest.digest,
    userSpecifiedImage: 'app',
    annotations: { a: 'b' },
    pinned: false,
    blobsKept: false,
  });
  t.deepEqual(found?.config.cmd, ['/app']);
  const unpacked = image.layers.reduce((sum, l) => sum + l.bytes.length * 2, 0);
  t.is(found?.sizeBytes, unpacked + image.config.bytes.length);
  const dirs = chainOf(image).map((c) => join(paths.layersDir, c.slice(7)));
  for (const dir of dirs) t.true(existsSync(join(dir, 'diff')) && existsSync(join(dir, 'layer.json')));
  t.deepEqual(storage.layers.lowerDirs(found!.chain), dirs.map((d) => join(d, 'diff')).toReversed());
  t.deepEqual(names(paths.layersDir).length, 2);
  t.deepEqual(names(paths.imagesDir), [`${id.slice(7)}.json`]);
  t.deepEqual(
    names(join(paths.contentDir, 'sha256')).sort(),
    [image.config.digest.slice(7), image.manifest.digest.slice(7)].sort(),
  );
  t.like(events[0], { reference: ref, outcome: 'ok', bytes: image.layers.reduce((sum, l) => sum + l.bytes.length, 0) });
  const info = JSON.parse((await images.statusInfo(found!)).info!) as { imageSpec: { config: object } };
  t.deepEqual(info.imageSpec.config, { User: '10:20', Env: ['A=b'], Cmd: ['/app'] });

  const again = await openImageRoom(t, fakeStorageNative(), root);
  t.deepEqual(again.images.status(ref), found, 'the same after a restart');
});

test('an image that is here is asked for again, with the caller’s credentials', async (t) => {
  const { pull, ref, server, native } = await setup(t);
  server.auth = { type: 'basic', username: 'u', password: 'p' };
  const auth = { username: 'u', password: 'p', auth: '', serverAddress: '', identityToken: '', registryToken: '' };
  await pull(ref, { auth });
  const before = server.requests.length;
  await pull(ref, { auth });
  t.deepEqual(
    server.requests.slice(before).map((r) => r.method),
    ['HEAD', 'HEAD'],
    'challenged and proved, nothing fetched',
  );
  for (const other of [null, { ...auth, password: 'wrong' }]) {
    const failure = await fails(pull(ref, { auth: other }));
    t.is(failure.kind, 'permission-denied');
  }
  t.is(fetches(native), 2);
});

test('a tag that moves: the old image stays without it', async (t) => {
  const { pull, ref, server, images, names, paths } = await setup(t);
  const first = await pull(ref);
  const next = makeImage([{ base: 'b' }, { app: 'newer' }]);
  server.push('app', 'v1', next);
  const second = await pull(ref);
  t.not(first, second);
  t.is(images.status(ref)?.id as string, second);
  t.deepEqual(images.status(first)?.repoTags, []);
  t.deepEqual(images.status(first)?.repoDigests, [`${server.host}/app@${image.manifest.digest}`]);
  t.is(images.list('').length, 2);
  t.is(names(paths.layersDir).length, 3, 'the common layer is there once');
});

test('several names of one image; one removal takes all', async (t) => {
  const { pull, ref, server, images, native } = await setup(t);
  server.push('app', 'v2', image);
  server.push('other', 'x', image);
  const index = makeIndex([{ of: image.manifest, platform: { os: 'linux', architecture: 'amd64' } }]);
  server.putManifest('app', 'multi', index);
  const id = await pull(ref);
  for (const name of ['app:v2', 'other:x', 'app:multi', `app@${image.manifest.digest}`])
    t.is(await pull(`${server.host}/${name}`), id);
  t.is(fetches(native), 2, 'every layer once');
  const found = images.status(id)!;
  t.deepEqual(
    found.repoTags,
    ['app:v1', 'app:v2', 'other:x', 'app:multi'].map((n) => `${server.host}/${n}`),
  );
  t.deepEqual(
    found.repoDigests,
    [`app@${image.manifest.digest}`, `other@${image.manifest.digest}`, `app@${index.digest}`].map(
      (n) => `${server.host}/${n}`,
    ),
  );
  await images.remove(`${server.host}/other:x`);
  t.deepEqual(images.list(''), []);
  t.is(images.status(id), null);
  await images.remove(id);
});

test('removal frees what nothing needs, not what a container stands on', async (t) => {
  const { pull, ref, images, inUse, storage, paths, names } = await setup(t);
  const id = await pull(ref);
  const chain = chainOf(image);
  inUse.add(chain[0]!);
  await images.remove(id);
  t.is(images.status(ref), null);
  await images.sweep();
  t.deepEqual(
    storage.layers.list().map((l) => l.chainId as string),
    [chain[0]],
  );
  t.deepEqual(names(paths.layersDir), [chain[0]!.slice(7)]);
  t.deepEqual(names(join(paths.contentDir, 'sha256')), []);
  inUse.clear();
  const release = images.hold(chain);
  await images.sweep();
  t.is(storage.layers.list().length, 1, 'held');
  release();
  t.deepEqual(await images.sweep(), { layers: 1, blobs: 0 });
  t.deepEqual(names(paths.layersDir), []);
});

test('equal pulls at the same time are one; other credentials ask for themselves', async (t) => {
  const { pull, ref, native, server } = await setup(t);
  const auth = { username: 'u', password: 'p', auth: '', serverAddress: '', identityToken: '', registryToken: '' };
  const ids = await Promise.all([pull(ref), pull(ref), pull(ref, { auth }), pull(ref, { auth })]);
  t.deepEqual(new Set(ids).size, 1);
  t.is(fetches(native), 2);
  t.is(server.seen('GET', /manifests\/v1/).length, 2);
});

test('images with common layers at the same time fetch them once', async (t) => {
  const { pull, ref, native, server, images } = await setup(t);
  server.push('app', 'v2', makeImage([{ base: 'b' }, { app: 'other' }]));
  await Promise.all([pull(ref), pull(`${server.host}/app:v2`)]);
  t.is(fetches(native), 3);
  t.is(images.list('').length, 2);
});

test('one caller that goes away does not end the pull of the other; the last one does', async (t) => {
  const { pull, ref, server, names, paths, native, settled } = await setup(t);
  const hang = async (): Promise<void> => {
    const reached = Promise.withResolvers<void>();
    server.intercept = (request) => {
      if (!request.url.includes('/blobs/') || request.url.includes(image.config.digest)) return false;
      reached.resolve();
      return true;
    };
    await reached.promise;
  };
  const [one, two] = [new AbortController(), new AbortController()];
  const reached = hang();
  const works = [pull(ref, {}, one.signal), pull(ref, {}, two.signal)];
  const ends = works.map((work) => fails(work));
  await reached;
  one.abort(new Failure('cancelled', 'the first caller is gone'));
  t.is((await ends[0]!).message, 'the first caller is gone');
  t.is(native.calls.filter((c) => c.name === 'fetchCancel').length, 0);
  two.abort(new Failure('deadline-exceeded', 'too slow'));
  t.is((await ends[1]!).kind, 'deadline-exceeded');
  t.true(await settled());
  t.true(native.calls.some((c) => c.name === 'fetchCancel'));
  t.deepEqual(names(paths.layersDir), [], 'no staging is left');
  server.intercept = () => false;
  t.is(await pull(ref), image.config.digest, 'the retry is not in the way of the wreck');
});

test('what a layer fails with', async (t) => {
  const { pull, ref, server, native, names, paths, images, events, settled } = await setup(t);
  const digest = image.layers[0]!.digest;
  server.intercept = (request, response) => request.url.includes(digest) && refuse(response, 404, 'BLOB_UNKNOWN');
  const gone = await fails(pull(ref));
  t.is(gone.kind, 'not-found');
  t.is(gone.message, `get blob ${digest} of ${ref} from ${server.host}: not found`);
  server.intercept = () => false;

  native.failNext('fetchLayer', nativeFailure('digest', 0, digest));
  const mismatch = await fails(pull(ref));
  t.is(mismatch.kind, 'failed-precondition');
  t.regex(
    failureChain(mismatch),
    new RegExp(`pull image ${ref}: get layer sha256:.* from ${server.host}: the content is not what its digest says`),
  );

  native.failNext('fetchLayer', nativeFailure('limit', 0, digest));
  t.is((await fails(pull(ref))).kind, 'resource-exhausted');
  native.failNext('fetchLayer', nativeFailure('disk', 28));
  t.regex(failureChain(await fails(pull(ref))), /no space left/);
  native.failNext('fetchLayer', nativeFailure('tar', 0));
  t.regex(failureChain(await fails(pull(ref))), /not a usable archive/);
  native.failNext('commitDir', nativeFailure('rename', 5));
  t.is((await fails(pull(ref))).kind, 'internal');
  t.is(images.status(ref), null);
  t.true(await settled(), 'no staging is left');
  t.deepEqual(names(paths.imagesDir), []);
  t.deepEqual(
    events.map((e) => e.outcome),
    ['not-found', 'failed-precondition', 'resource-exhausted', 'resource-exhausted', 'failed-precondition', 'internal'],
  );
  t.is(await pull(ref), image.config.digest);
});

test('layers that came before a failure are there for the retry', async (t) => {
  const { pull, ref, server, native, images, settings } = await setup(t);
  settings.maxParallelDownloads = 1;
  // the smallest is asked for last
  const digest = image.layers.toSorted((a, b) => a.bytes.length - b.bytes.length)[0]!.digest;
  let failing = true;
  server.intercept = (request, response) => failing && request.url.includes(digest) && refuse(response, 403, 'DENIED');
  t.is((await fails(pull(ref))).kind, 'permission-denied');
  await images.sweep();
  failing = false;
  native.calls.length = 0;
  await pull(ref);
  t.is(fetches(native), 1);
});

test('images that cannot be used', async (t) => {
  const { pull, server, images, names, paths } = await setup(t);
  const tryImage = async (tag: string, made: TestImage): Promise<string> => {
    server.push('bad', tag, made);
    return failureChain(await fails(pull(`${server.host}/bad:${tag}`)));
  };
  const layers = [{ a: 'a' }, { b: 'b' }];
  const noDiffs = makeImage(layers, {
    wholeConfig: (c) => ({ ...c, rootfs: { type: 'layers', diff_ids: [`sha256:${'1'.repeat(64)}`] } }),
  });
  t.regex(await tryImage('diffs', noDiffs), /has 2 layers in its manifest but 1 in its config/);
  t.regex(
    await tryImage('windows', makeImage(layers, { wholeConfig: (c) => ({ ...c, os: 'windows' }) })),
    /is for windows/,
  );
  t.regex(
    await tryImage('schema1', makeImage(layers, { manifest: () => ({ schemaVersion: 1, fsLayers: [] }) })),
    /schema 1/,
  );
  t.regex(failureChain(await fails(pull('UPPER'))), /not valid: the repository must be lower case/);
  t.deepEqual(images.list(''), []);
  t.deepEqual(names(paths.layersDir), []);
});

test('an image without layers', async (t) => {
  const { pull, server, images, storage, paths } = await setup(t);
  server.push('scratch', 'v1', makeImage([]));
  await pull(`${server.host}/scratch:v1`);
  const found = images.status(`${server.host}/scratch:v1`);
  t.deepEqual(storage.layers.lowerDirs(found!.chain), [join(paths.layersDir, 'empty', 'diff')]);
  t.true(found!.sizeBytes > 0);
});

test('blobs are kept on request, also of layers that are here', async (t) => {
  const { pull, ref, settings, images, storage } = await setup(t);
  await pull(ref);
  t.false(images.status(ref)!.blobsKept);
  settings.keepBlobs = true;
  await pull(ref);
  t.true(images.status(ref)!.blobsKept);
  for (const { digest, bytes } of image.layers) {
    t.deepEqual(readFileSync(storage.content.path(digest as string as Digest)), bytes);
  }
  await images.sweep();
  t.true(storage.content.has(image.layers[0]!.digest as string as Digest));
  await images.remove(ref);
  await images.sweep();
  t.deepEqual(storage.content.list(), []);
});

test('progress of a running pull', async (t) => {
  const { pull, ref, server, images } = await setup(t);
  const reached = Promise.withResolvers<void>();
  const held: (() => void)[] = [];
  server.intercept = (request, response) => {
    const layer = image.layers.find((l) => request.url.includes(l.digest));
    if (!layer) return false;
    held.push(() => response.end(layer.bytes));
    if (held.length === 2) reached.resolve();
    return true;
  };
  const work = pull(ref);
  await reached.promise;
  const [one, ...more] = images.progress();
  t.is(more.length, 0);
  t.is(one?.reference, ref);
  t.deepEqual(
    one?.layers.map((l) => [l.digest as string, l.bytes, l.stage]),
    image.layers.map((l) => [l.digest, 7, 'downloading']),
  );
  for (const answer of held) answer();
  await work;
  t.deepEqual(images.progress(), []);
});

test('a crash at any point leaves what a start sweeps', async (t) => {
  const { pull, ref, root, paths, names } = await setup(t);
  await pull(ref);
  mkdirSync(join(paths.layersDir, '.staging-abc-1', 'diff'), { recursive: true });
  mkdirSync(join(paths.layersDir, 'f'.repeat(64), 'diff'), { recursive: true });
  writeFileSync(join(paths.layersDir, 'f'.repeat(64), 'layer.json'), '{"version":1,');
  writeFileSync(join(paths.contentDir, 'sha256', `${'a'.repeat(64)}.tmp-1`), 'x');
  writeFileSync(join(paths.imagesDir, '.x.json.1.1'), 'x');
  writeFileSync(join(paths.imagesDir, `${'b'.repeat(64)}.json`), '{"version":1,"checksum":"0","data":{}}');
  mkdirSync(join(paths.ingestDir, 'load-1'), { recursive: true });
  const again = await openImageRoom(t, fakeStorageNative(), root);
  t.is(names(paths.layersDir).length, 2);
  t.is(names(join(paths.contentDir, 'sha256')).length, 2);
  t.is(names(paths.imagesDir).length, 1);
  t.deepEqual(names(paths.ingestDir), []);
  t.is(names(paths.quarantineDir).length, 1);
  t.truthy(again.images.status(ref));
});

test('an image that lacks a layer is dropped at start, and pulled again', async (t) => {
  const { pull, ref, root, paths } = await setup(t);
  const id = await pull(ref);
  rmSync(join(paths.layersDir, chainOf(image)[1]!.slice(7)), { recursive: true });
  const native = fakeStorageNative();
  const again = await openImageRoom(t, native, root);
  t.is(again.images.status(ref), null);
  t.true(again.log.some((l) => l.level === 'warn' && /lacks layers/.test(l.message)));
  t.is(await again.pull(ref), id);
  t.is(fetches(native), 1);
});

test('a name that two records have after a crash is the later one’s', async (t) => {
  const { pull, ref, root, records, server } = await setup(t);
  const first = await pull(ref);
  server.push('app', 'v1', makeImage([{ n: 'new' }]));
  const second = await pull(ref);
  const old = records.get(first)!;
  await records.put({ ...old, repoTags: [ref], namedAt: old.namedAt });
  const again = await openImageRoom(t, fakeStorageNative(), root);
  t.is(again.images.status(ref)?.id as string, second);
  t.deepEqual(again.images.status(first)?.repoTags, []);
});

test('pins follow the configuration', async (t) => {
  const { pull, ref, settings, images } = await setup(t);
  await pull(ref);
  settings.pinned = ['*/app:v1'];
  t.true(images.status(ref)?.pinned);
  t.true(images.list('')[0]?.pinned);
  await images.remove(ref);
  t.is(images.status(ref), null, 'a pin is no reason to keep what is removed by name');
});

test('room of the stores', async (t) => {
  const { pull, ref, images, storage, paths } = await setup(t);
  t.like((await images.fsInfo()).images[0], { mountpoint: paths.layersDir, usedBytes: 0n, inodesUsed: 0n });
  await pull(ref);
  await storage.snapshots.prepare('c1', null);
  await storage.snapshots.usages(['c1']);
  const { images: own, containers } = await images.fsInfo();
  const { layers, content } = await storage.usage();
  const taken = image.layers.reduce((sum, l) => sum + l.bytes.length * 2 + 4096, 0);
  t.is(layers.bytes, taken);
  t.is(own[0]?.usedBytes, BigInt(layers.bytes + content.bytes));
  t.is(own[0]?.inodesUsed, BigInt((3 + 1) * 2 + 2));
  t.like(containers[0], { mountpoint: paths.layersDir, usedBytes: 4096n, inodesUsed: 0n });
});
