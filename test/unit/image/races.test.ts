// Pulls, removals and sweeps that meet.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Failure } from '../../../src/lib/failure.ts';
import type { Digest } from '../../../src/lib/id.ts';
import { type FakeRegistry, type SeenRequest, startFakeRegistry } from '../../helpers/fake-registry.ts';
import { fakeStorageNative, type FakeStorageNative, nativeFailure } from '../../helpers/fake-storage-native.ts';
import { type ImageRoom, openImageRoom, temporaryRoot } from '../../helpers/image-room.ts';
import { makeImage } from '../../helpers/image-parts.ts';
import { until } from '../../helpers/until.ts';

const image = makeImage([{ base: 'b' }, { app: 'a' }]);
const next = makeImage([{ base: 'b' }, { app: 'next' }]);

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

/** Holds the answers to some requests until they are let go; `reached` when the first came. */
function hold(
  server: FakeRegistry,
  which: (request: SeenRequest) => boolean,
): { reached: Promise<void>; go: () => void } {
  const { promise: reached, resolve } = Promise.withResolvers<void>();
  const waiting: (() => void)[] = [];
  server.intercept = (request, response) => {
    if (!which(request)) return false;
    waiting.push(() => {
      const digest = request.url.split('/').at(-1);
      const blob = [...image.layers, ...next.layers].find((layer) => layer.digest === digest);
      const headers = { 'docker-content-digest': image.manifest.digest, 'content-type': image.manifest.mediaType };
      response.writeHead(200, blob ? {} : headers);
      response.end(blob?.bytes);
    });
    resolve();
    return true;
  };
  return {
    reached,
    go: () => {
      server.intercept = () => false;
      for (const answer of waiting) answer();
    },
  };
}

/** The image is whole: its record, its layers and its documents are there. */
function isWhole(t: ExecutionContext, { images, storage, paths }: Made, ref: string): void {
  const found = images.status(ref);
  t.truthy(found, ref);
  for (const id of found!.chain) {
    t.true(storage.layers.has(id));
    t.true(existsSync(join(paths.layersDir, id.slice(7), 'diff', 'blob')));
  }
  t.true(storage.content.has(found!.manifestDigest));
  t.true(storage.content.has(found!.id as string as Digest));
}

test('an image removed while it is asked for again is whole or pulled again, never half', async (t) => {
  const made = await setup(t);
  const { pull, ref, server, images, native } = made;
  const id = await pull(ref);
  for (const sweeps of [false, true]) {
    native.calls.length = 0;
    const head = hold(server, (request) => request.method === 'HEAD');
    const work = pull(ref);
    await head.reached;
    await images.remove(ref);
    if (sweeps) await images.sweep();
    head.go();
    t.is(await work, id);
    await images.sweep();
    isWhole(t, made, ref);
    const fetched = native.calls.filter((call) => call.name === 'fetchLayer').length;
    if (sweeps) t.is(fetched, 2);
  }
});

test('an image removed while another with a layer of it is pulled', async (t) => {
  const made = await setup(t);
  const { pull, ref, server, images, native, paths, names } = made;
  await pull(ref);
  server.push('app', 'v2', next);
  native.calls.length = 0;
  const layer = hold(server, (request) => request.url.includes(next.layers[1]!.digest));
  const work = pull(`${server.host}/app:v2`);
  await layer.reached;
  await images.remove(ref);
  await images.sweep();
  t.is(images.status(ref), null);
  layer.go();
  t.is(await work, next.config.digest);
  await images.sweep();
  isWhole(t, made, `${server.host}/app:v2`);
  t.is(native.calls.filter((call) => call.name === 'fetchLayer').length, 1, 'the common layer stayed');
  t.is(names(paths.layersDir).length, 2, 'the other went');
});

test('a removal of what is being pulled for the first time removes nothing', async (t) => {
  const made = await setup(t);
  const { pull, ref, server, images } = made;
  const layer = hold(server, (request) => request.url.includes(image.layers[0]!.digest));
  const work = pull(ref);
  await layer.reached;
  await images.remove(ref);
  await images.sweep();
  layer.go();
  t.is(await work, image.config.digest);
  await images.sweep();
  isWhole(t, made, ref);
});

test('a pull that is cancelled and at once tried again', async (t) => {
  const made = await setup(t);
  const { pull, ref, server, settings, settled, names, paths } = made;
  settings.keepBlobs = true;
  // in the same turn the retry takes the pull over; later the first is being abandoned
  for (const waits of [false, true, true]) {
    const layer = hold(
      server,
      (request) => request.url.includes('/blobs/') && !request.url.includes(image.config.digest),
    );
    const stop = new AbortController();
    const lost = t.throwsAsync(pull(ref, {}, stop.signal), { message: 'gone' });
    await layer.reached;
    stop.abort(new Failure('cancelled', 'gone'));
    if (waits) await lost;
    const again = pull(ref);
    layer.go();
    t.is(await again, image.config.digest);
    await lost;
    t.true(await settled(), 'nothing of the first is left');
    isWhole(t, made, ref);
    t.is(names(paths.layersDir).length, 2);
    for (const { digest } of image.layers) t.true(made.storage.content.has(digest as string as Digest));
    await made.images.remove(ref);
    await made.images.sweep();
    t.deepEqual(names(paths.layersDir), []);
    t.deepEqual(readdirSync(join(paths.contentDir, 'sha256')), []);
  }
});

test('an image removed while somebody holds its layers: they go when nobody does, without being told', async (t) => {
  const { pull, ref, images, names, paths, log } = await setup(t);
  await pull(ref);
  const release = images.hold(images.status(ref)!.chain);
  await images.remove(ref);
  await until('a sweep took the documents', () => log.some(({ message }) => message === 'image content swept'));
  t.is(names(paths.layersDir).length, 2, 'what is held stays');
  release();
  await until('the layers are gone', () => names(paths.layersDir).length === 0);
});

test('kept blobs of a pull that fails or is cancelled do not stay uncounted', async (t) => {
  const { pull, ref, native, settings, paths, storage } = await setup(t);
  settings.keepBlobs = true;
  const blobs = (): string[] => readdirSync(join(paths.contentDir, 'blobs/sha256'));
  const { fetchLayer } = native;
  for (const cancels of [false, true]) {
    const stop = new AbortController();
    const { promise: left, resolve: leave } = Promise.withResolvers<void>();
    native.fetchLayer = async (request) => {
      await fetchLayer(request);
      rmSync(request.destination.stagingDir, { recursive: true });
      if (cancels) {
        // the caller has left before the addon has ended
        stop.abort(new Failure('cancelled', 'gone'));
        await left;
      }
      throw nativeFailure(cancels ? 'cancel' : 'tar', 0);
    };
    await t.throwsAsync(pull(ref, {}, stop.signal));
    t.true(!cancels || blobs().length > 0);
    leave();
    await until('the blobs are gone', () => blobs().length === 0);
  }
  native.fetchLayer = fetchLayer;
  await pull(ref);
  t.is(blobs().length, 4);
  t.is(storage.content.list().length, 4);
});
