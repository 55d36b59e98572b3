// What is between layers and between pulls, over the real addon: attributes through layers, pulls that meet, TLS.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Failure, failureChain } from '../../src/lib/failure.ts';
import type { Digest } from '../../src/lib/id.ts';
import { loadNative } from '../../src/native/load.ts';
import { makeOwnAuthority } from '../helpers/certificates.ts';
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts';
import { makeImage } from '../helpers/image-parts.ts';
import { type ImageRoom, openImageRoom, temporaryRoot } from '../helpers/image-room.ts';
import { addon, cannotRun } from '../helpers/real-addon.ts';

const real = cannotRun === null ? test : test.skip;
const title = (what: string): string => (cannotRun === null ? what : `${what} (${cannotRun})`);

const base = { 'tmp/': '1777', 'opt/': '750', 'opt/app/': '711', 'etc/one': '1' };
const image = makeImage([base, { 'tmp/x': 'x', 'opt/app/new/file': 'f' }, { 'opt/app/more': 'm' }]);
const sibling = makeImage([base, { 'tmp/x': 'x', 'opt/app/new/file': 'f' }, { 'tmp/y': 'y' }]);

interface Made extends ImageRoom {
  readonly server: FakeRegistry;
  readonly ref: string;
}

async function setup(t: ExecutionContext): Promise<Made> {
  const server = await startFakeRegistry();
  t.teardown(() => server.close());
  server.push('app', 'v1', image);
  server.push('app', 'v2', sibling);
  const room = await openImageRoom(t, loadNative(addon), temporaryRoot(t));
  return { ...room, server, ref: `${server.host}/app:v1` };
}

/** Modes of directories in the merged tree, mounted in a mount namespace that ends with the command. */
function mergedModes(room: ImageRoom, ref: string, dirs: readonly string[]): string[] {
  const { storage, images, root } = room;
  const lower = storage.layers.lowerDirs(images.status(ref)!.chain).join(':');
  const at = join(root, 'merged');
  mkdirSync(at, { recursive: true });
  const script = 'mount -t overlay overlay -o "lowerdir=$0" "$1" && cd "$1" && shift && stat -c %a "$@"';
  const out = execFileSync('unshare', ['--mount', 'sh', '-c', script, lower, at, ...dirs], { encoding: 'utf8' });
  return out.trim().split('\n');
}

const dirs = ['tmp', 'opt', 'opt/app'];
const unfinished = ({ paths }: ImageRoom): string[] =>
  readdirSync(paths.layersDir).filter((name) => existsSync(join(paths.layersDir, name, 'implied')));

real(title('a directory that an upper layer only implies keeps its mode'), async (t) => {
  const room = await setup(t);
  const { pull, ref, images, storage } = room;
  await pull(ref);
  t.deepEqual(mergedModes(room, ref, dirs), ['1777', '750', '711']);
  t.deepEqual(mergedModes(room, ref, ['opt/app/new']), ['755'], 'no layer says');
  const { chain } = images.status(ref)!;
  t.is(statSync(join(storage.layers.diffDir(chain[1]!), 'tmp')).mode & 0o7777, 0o1777);
  t.is(statSync(join(storage.layers.diffDir(chain[2]!), 'opt')).mode & 0o7777, 0o750, 'through the layer between');
  t.deepEqual(unfinished(room), [], 'done and noted');
});

real(title('directories of an archive’s layers, and after a crash before the record'), async (t) => {
  const room = await setup(t);
  const { root, images } = room;
  const names = image.layers.map((_, at) => `${at}.tar`);
  const dir = join(root, 'archive');
  mkdirSync(dir);
  image.layers.forEach((layer, at) => writeFileSync(join(dir, names[at]!), layer.tar));
  writeFileSync(join(dir, 'config.json'), image.config.bytes);
  writeFileSync(
    join(dir, 'manifest.json'),
    JSON.stringify([{ Config: 'config.json', RepoTags: ['loaded:1'], Layers: names }]),
  );
  const path = join(root, 'archive.tar');
  execFileSync('tar', ['-cf', path, '-C', dir, '.']);
  const request = { path, reference: '', onStep: () => undefined };
  await images.load(request, new AbortController().signal);
  t.deepEqual(mergedModes(room, 'loaded:1', dirs), ['1777', '750', '711']);

  // the layers as they are between their commit and the image's
  const { chain } = images.status('loaded:1')!;
  const spoilt = join(room.paths.layersDir, chain[1]!.slice(7));
  execFileSync('chmod', ['755', join(spoilt, 'diff/tmp')]);
  writeFileSync(join(spoilt, 'implied'), 'tmp\0opt\0opt/app\0opt/app/new\0');
  const again = await openImageRoom(t, loadNative(addon), root);
  t.deepEqual(mergedModes(again, 'loaded:1', dirs), ['1777', '750', '711']);
  t.deepEqual(unfinished(again), []);
});

real(title('two images with common layers, pulled at once'), async (t) => {
  const room = await setup(t);
  const { pull, ref, server, settings, storage, settled, names, paths } = room;
  settings.keepBlobs = true;
  const refs = [ref, `${server.host}/app:v2`];
  const ids = await Promise.all(refs.map((one) => pull(one)));
  t.deepEqual(ids, [image.config.digest, sibling.config.digest]);
  t.is(names(paths.layersDir).length, 4);
  for (const { digest, bytes } of [...image.layers, ...sibling.layers]) {
    t.deepEqual(readFileSync(storage.content.path(digest as string as Digest)), bytes);
  }
  for (const one of refs) t.deepEqual(mergedModes(room, one, dirs), ['1777', '750', '711']);
  t.deepEqual(unfinished(room), []);
  t.true(await settled());
});

real(title('a pull that is cancelled and at once tried again'), async (t) => {
  const room = await setup(t);
  const { pull, ref, server, settings, storage, settled, names, paths, images } = room;
  settings.keepBlobs = true;
  // in the same turn the retry takes the pull over; later the first is being abandoned
  for (const waits of [0, 1, 20]) {
    const reached = Promise.withResolvers<void>();
    const held: ServerResponse[] = [];
    server.intercept = (request, response) => {
      const layer = image.layers.find((one) => request.url.includes(one.digest));
      if (!layer) return false;
      response.writeHead(200, { 'content-length': layer.bytes.length });
      response.write(layer.bytes.subarray(0, 20));
      held.push(response);
      reached.resolve();
      return true;
    };
    const stop = new AbortController();
    const lost = t.throwsAsync(pull(ref, {}, stop.signal), { message: 'gone' });
    await reached.promise;
    stop.abort(new Failure('cancelled', 'gone'));
    if (waits > 0) await new Promise((done) => setTimeout(done, waits));
    server.intercept = () => false;
    const again = pull(ref);
    for (const response of held) response.destroy();
    t.is(await again, image.config.digest);
    await lost;
    t.true(await settled());
    t.deepEqual(mergedModes(room, ref, dirs), ['1777', '750', '711']);
    for (const { digest, bytes } of image.layers) {
      t.deepEqual(readFileSync(storage.content.path(digest as string as Digest)), bytes);
    }
    await images.remove(ref);
    await images.sweep();
    t.deepEqual(names(paths.layersDir), []);
    t.deepEqual(readdirSync(join(paths.contentDir, 'sha256')), [], 'no part of a blob is left');
  }
});

real(title('a registry whose certificate is its own authority'), async (t) => {
  const { root, pull } = await setup(t);
  const dir = join(root, 'certs.d/own.invalid');
  const made = makeOwnAuthority(dir, 'own');
  makeOwnAuthority(dir, 'other');
  const secure = await startFakeRegistry(made.server);
  t.teardown(() => secure.close());
  secure.push('app', 'v1', image);
  const hosts = (ca: string): void => writeFileSync(join(dir, 'hosts.toml'), `[host."${secure.url}"]\nca = "${ca}"\n`);
  hosts('other.pem');
  const error = await t.throwsAsync(pull('own.invalid/app:v1'), { instanceOf: Failure });
  t.regex(`${error.kind}: ${failureChain(error)}`, /^registry-unavailable: /);
  hosts('own.pem');
  t.is(await pull('own.invalid/app:v1'), image.config.digest);
  t.is(secure.seen('GET', /\/blobs\//).length, 1 + image.layers.length);
});
