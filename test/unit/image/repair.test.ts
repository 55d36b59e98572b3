// Repairs: what is damage and what is not, what somebody holds, and what is left of images that cannot be got again.
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { ContentFinding } from '../../../src/image/integrity.ts';
import type { RepairedImage } from '../../../src/image/repair.ts';
import { Failure } from '../../../src/lib/failure.ts';
import type { ChainId, Digest } from '../../../src/lib/id.ts';
import { startFakeRegistry } from '../../helpers/fake-registry.ts';
import { fakeStorageNative, nativeFailure } from '../../helpers/fake-storage-native.ts';
import { makeArtifact, makeImage, makeIndex } from '../../helpers/image-parts.ts';
import { openImageRoom, temporaryRoot } from '../../helpers/image-room.ts';

const image = makeImage([{ base: 'b' }, { app: 'a' }]);
const never = new AbortController().signal;
const quiet = { onStep: () => undefined, onFinding: () => undefined };

async function setup(t: ExecutionContext, keepBlobs = false) {
  const server = await startFakeRegistry();
  t.teardown(() => server.close());
  server.push('app', 'v1', image);
  const native = fakeStorageNative();
  const room = await openImageRoom(t, native, temporaryRoot(t));
  room.settings.keepBlobs = keepBlobs;
  const ref = `${server.host}/app:v1`;
  const id = await room.pull(ref);
  const { images, storage } = room;
  const chain = images.status(ref)!.chain;
  return {
    ...room,
    server,
    native,
    ref,
    id: id as string as Digest,
    chain,
    breakLayer: (at: number) => rmSync(join(storage.layers.diffDir(chain[at]!), 'blob')),
    breakBlob: (digest: string) => writeFileSync(storage.content.path(digest as string as Digest), 'broken'),
    repair: (signal = never): Promise<RepairedImage[]> => images.repair([], quiet, signal),
    findings: async (): Promise<ContentFinding[]> => {
      const found: ContentFinding[] = [];
      await images.verify([], { ...quiet, onFinding: (one) => void found.push(one) }, never);
      return found;
    },
  };
}

test('a failure that is no damage ends both verbs and takes nothing', async (t) => {
  const { native, images, repair, findings, storage, chain, ref } = await setup(t);
  const { verifyBlob } = native;
  native.verifyBlob = async () => {
    throw nativeFailure('disk', 24);
  };
  for (const work of [findings, repair]) {
    const error = await t.throwsAsync(work(), { instanceOf: Failure });
    t.is(error.kind, 'resource-exhausted');
  }
  native.verifyBlob = verifyBlob;
  t.truthy(images.status(ref));
  for (const one of chain) t.true(storage.layers.has(one));
  t.deepEqual(await findings(), []);
});

test('what running work holds is left and said', async (t) => {
  const { images, repair, findings, breakLayer, breakBlob, chain, id, storage, ref } = await setup(t);
  for (const [key, broken] of [
    [chain[0]!, () => breakLayer(0)],
    [id, () => breakBlob(id)],
  ] as const) {
    broken();
    const release = images.hold([key]);
    const [kept, ...more] = await repair();
    t.deepEqual(more, []);
    t.like(kept, { image: ref, outcome: 'kept' });
    t.regex(kept!.why, /^running work holds (layer|blob) sha256:\w{64}: repair it later$/);
    t.true(storage.layers.has(chain[0] as ChainId) && storage.content.has(id));
    release();
    t.deepEqual(await repair(), [{ image: ref, outcome: 'repaired', why: '' }]);
    t.deepEqual(await findings(), []);
  }
});

test('a layer on which a container stands by now is set aside, not thrown away', async (t) => {
  const { native, repair, breakLayer, chain, inUse, paths } = await setup(t);
  breakLayer(0);
  breakLayer(1);
  const { removeTree } = native;
  native.removeTree = async (args) => {
    inUse.add(chain[1]!);
    return removeTree(args);
  };
  t.like(await repair(), [{ outcome: 'repaired' }]);
  const aside = readdirSync(paths.quarantineDir);
  t.is(aside.length, 1);
  t.true(aside[0]!.startsWith(`layer-${chain[1]!.slice(7)}-`));
});

test('repairs run one after the other', async (t) => {
  const { repair, breakLayer, ref } = await setup(t);
  breakLayer(1);
  t.deepEqual(await Promise.all([repair(), repair()]), [[{ image: ref, outcome: 'repaired', why: '' }], []]);
});

test('a caller who goes away ends a repair; the image stays unless layers of it are gone', async (t) => {
  for (const breaks of ['document', 'layer'] as const) {
    const { server, repair, breakLayer, breakBlob, id, images, ref, pull, findings } = await setup(t);
    if (breaks === 'layer') breakLayer(0);
    else breakBlob(id);
    const stop = new AbortController();
    server.intercept = () => {
      stop.abort(new Failure('cancelled', 'gone'));
      return true;
    };
    await t.throwsAsync(repair(stop.signal), { message: 'gone' });
    t.is(images.status(ref) === null, breaks === 'layer', breaks);
    server.intercept = () => false;
    await pull(ref);
    t.deepEqual(await findings(), []);
  }
});

test('a caller who goes away does not end the keeping of blobs', async (t) => {
  const { server, repair, breakBlob, records, id, findings } = await setup(t, true);
  breakBlob(image.layers[0]!.digest);
  const stop = new AbortController();
  server.intercept = () => {
    stop.abort(new Failure('cancelled', 'gone'));
    return true;
  };
  await t.throwsAsync(repair(stop.signal), { message: 'gone' });
  t.true(records.get(id)?.blobsKept);
  server.intercept = () => false;
  t.like(await repair(), [{ outcome: 'repaired' }]);
  t.deepEqual(await findings(), []);
});

test('an image that cannot be got again and has its layers stays, without its kept blobs', async (t) => {
  const { server, repair, breakBlob, breakLayer, images, records, ref, id, findings } = await setup(t, true);
  await server.close();
  breakBlob(image.layers[1]!.digest);
  const [kept] = await repair();
  t.like(kept, { image: ref, outcome: 'kept' });
  t.false(records.get(id)?.blobsKept);
  t.deepEqual(await findings(), []);
  breakBlob(id);
  t.like(await repair(), [{ outcome: 'kept' }]);
  t.truthy(images.status(ref));
  breakLayer(0);
  t.like(await repair(), [{ outcome: 'removed' }]);
  t.is(images.status(ref), null);
});

test('kept blobs are got again, also when new ones are not kept any more', async (t) => {
  const { settings, repair, breakBlob, records, id, findings, storage, ref } = await setup(t, true);
  settings.keepBlobs = false;
  const { digest } = image.layers[1]!;
  breakBlob(digest);
  t.deepEqual(await repair(), [{ image: ref, outcome: 'repaired', why: '' }]);
  t.true(records.get(id)?.blobsKept);
  t.true(storage.content.has(digest as string as Digest));
  t.deepEqual(await findings(), []);
});

test('a damaged index is got again', async (t) => {
  const { server, pull, breakBlob, findings, repair, images } = await setup(t);
  const index = makeIndex([{ of: image.manifest, platform: { os: 'linux', architecture: 'amd64' } }]);
  server.putManifest('app', 'index', index);
  await images.remove(`${server.host}/app:v1`);
  await images.sweep();
  await pull(`${server.host}/app:index`);
  breakBlob(index.digest);
  t.like(await repair(), [{ outcome: 'repaired' }]);
  t.deepEqual(await findings(), []);
});

test('a damaged manifest of an artifact hides nothing and is repaired', async (t) => {
  const { server, pull, breakBlob, breakLayer, findings, repair, storage, images } = await setup(t);
  const artifact = makeArtifact({ 'model.bin': 'weights' });
  server.push('model', '1', artifact);
  const model = `${server.host}/model:1`;
  await pull(model);
  breakBlob(artifact.manifest.digest);
  breakLayer(1);
  const told = (await findings()).map(({ item, kind }) => `${kind} ${item.type}`);
  t.deepEqual(told.toSorted(), ['damaged blob', 'damaged layer', 'unverifiable layer']);
  const files = storage.layers.layerDir(images.status(model)!.chain[0]!);
  t.deepEqual(
    (await repair()).map(({ outcome }) => outcome),
    ['repaired', 'repaired'],
  );
  t.true(existsSync(files));
  t.deepEqual(await findings(), []);
});
