// Images out of the store: archives that skopeo and umoci read and that come back by load, with the same digests.
import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { dist, endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { pull } from '../helpers/pods.ts';
import { kitImage, ref } from '../helpers/registry.ts';

const run = promisify(execFile);
const daemon = useDaemon(test);
const out = mkdtempSync('/tmp/pwt-save-');
let serial = 0;
const place = (name: string): string => join(out, `${(serial += 1)}-${name}`);

test.after.always('archives go', () => rmSync(out, { recursive: true, force: true }));

const absent = ['skopeo', 'umoci'].filter((name) => spawnSync(name, ['--version']).error !== undefined);
const withTools = absent.length === 0 ? test.serial : test.serial.skip;
const title = (what: string): string =>
  absent.length === 0 ? what : `${what} [no ${absent.join(' or ')} here: apt-get install ${absent.join(' ')}]`;

const skopeo = async (...args: string[]): Promise<string> =>
  (await run('skopeo', ['--insecure-policy', ...args], { maxBuffer: 64 * 2 ** 20 })).stdout;
const sha256 = (bytes: string | Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** All layers of a source that skopeo can read, uncompressed, have the digests that its config says; its config's digest. */
async function configOf(t: ExecutionContext, source: string): Promise<string> {
  const config = await skopeo('inspect', '--config', '--raw', source);
  const diffIds = (JSON.parse(config) as { rootfs: { diff_ids: string[] } }).rootfs.diff_ids;
  const dir = place('dir');
  await skopeo('copy', '--dest-decompress', source, `dir:${dir}`);
  const { layers } = JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8')) as { layers: { digest: string }[] };
  const found = layers.map(({ digest }) => {
    const bytes = readFileSync(join(dir, digest.replace('sha256:', '')));
    const zstd = bytes.subarray(0, 4).equals(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]));
    return sha256(zstd ? execFileSync('zstd', ['-dc'], { input: bytes, maxBuffer: 2 ** 30 }) : bytes);
  });
  t.deepEqual(found, diffIds, source);
  return sha256(config);
}

const images = ['test/mixed', 'test/layers', 'test/strict', 'test/many', 'test/empty', 'test/docker'];

for (const name of images) {
  withTools(title(`${name} is saved as docker saves it, read by skopeo, and loaded as the same image`), async (t) => {
    const { config_digest: id } = await kitImage(name);
    t.is(await pull(daemon, ref(name)), id);
    const file = place('docker.tar');
    t.regex(await daemon.podwright('save', '-o', file, ref(name)), /a new manifest: a docker archive has layers un/);
    t.is(await configOf(t, `docker-archive:${file}:${ref(name)}`), id);
    await daemon.image.RemoveImage({ image: { image: ref(name) } });
    await daemon.image.RemoveImage({ image: { image: id } });
    t.regex(await daemon.podwright('load', file), new RegExp(`^${ref(name)} ${id}$`, 'm'));
    const again = place('docker.tar');
    await daemon.podwright('save', '-o', again, ref(name));
    t.true(readFileSync(again).equals(readFileSync(file)), 'a loaded image is saved as the same bytes');
    t.regex(
      await daemon.podwright('images', 'verify', ref(name)),
      /^1 images: \d+ layers and \d+ blobs, .* verified$/m,
    );
  });
}

for (const compression of ['gzip', 'zstd', 'none']) {
  withTools(title(`OCI layouts with ${compression}: archive and directory, by skopeo and umoci`), async (t) => {
    const { config_digest: id } = await kitImage('test/mixed');
    await pull(daemon, ref('test/mixed'));
    const [file, dir] = [place('oci.tar'), place('oci')];
    const how = ['--compression', compression];
    t.regex(
      await daemon.podwright('save', '--format', 'oci-archive', ...how, '-o', file, ref('test/mixed')),
      /a new manifest: its blobs were not kept/,
    );
    await daemon.podwright('save', '--format', 'oci-dir', ...how, '-o', dir, ref('test/mixed'));
    t.is(await configOf(t, `oci-archive:${file}:${ref('test/mixed')}`), id);
    t.is(await configOf(t, `oci:${dir}:${ref('test/mixed')}`), id);
    t.regex(await daemon.podwright('load', '--name', 'loaded/dir:1', dir), new RegExp(id));
    const { stdout } = await run('umoci', ['ls', '--layout', dir]);
    t.is(stdout.trim(), ref('test/mixed'));
    if (compression === 'zstd') return; // Debian's umoci knows no zstd
    const bundle = place('bundle');
    await skopeo('copy', `oci:${dir}:${ref('test/mixed')}`, `oci:${dir}-short:short`);
    await run('umoci', ['unpack', '--image', `${dir}-short:short`, bundle]);
    t.true(existsSync(join(bundle, 'rootfs/zstd')));
    rmSync(bundle, { recursive: true });
  });
}

withTools(title('images that skopeo makes of ours and pushes are pulled by us'), async (t) => {
  const { config_digest: id } = await kitImage('test/layers');
  await pull(daemon, ref('test/layers'));
  const dir = place('oci');
  await daemon.podwright('save', '--format', 'oci-dir', '-o', dir, ref('test/layers'));
  const pushed = ref('test/pushed:1');
  await skopeo('copy', '--dest-tls-verify=false', `oci:${dir}:${ref('test/layers')}`, `docker://${pushed}`);
  t.is(await pull(daemon, pushed), id);
  await daemon.image.RemoveImage({ image: { image: pushed } });
});

test.serial('several images and standard output: each layer once, every name', async (t) => {
  const names = [ref('test/docker'), ref('test/oci'), ref('test/strict')];
  for (const name of names) await pull(daemon, name);
  const file = place('stdout.tar');
  const fd = openSync(file, 'w');
  const child = spawn(join(dist, 'podwright'), ['--socket', daemon.socket, 'save', ...names], {
    stdio: ['ignore', fd, 'inherit'],
  });
  t.is(await new Promise((resolve) => child.once('exit', resolve)), 0);
  closeSync(fd);
  const entries = execFileSync('tar', ['-tf', file], { encoding: 'utf8' }).trim().split('\n');
  t.is(new Set(entries).size, entries.length);
  const manifest = JSON.parse(execFileSync('tar', ['-xOf', file, 'manifest.json'], { encoding: 'utf8' })) as {
    RepoTags: string[];
    Layers: string[];
  }[];
  t.deepEqual(manifest.flatMap(({ RepoTags }) => RepoTags).toSorted(), names.toSorted());
  t.true(manifest.flatMap(({ Layers }) => Layers).every((layer) => entries.includes(layer)));
  t.deepEqual(readdirSync(join(daemon.root, 'ingest')), []);
});

test.serial('what cannot be saved is said, and nothing is left of it', async (t) => {
  await pull(daemon, ref('test/oci'));
  const failing = async (message: RegExp, ...args: string[]): Promise<void> => {
    const error = await t.throwsAsync<Error & { code: number; stderr: string }>(daemon.podwright('save', ...args));
    t.regex(error?.stderr ?? '', message);
  };
  await failing(/image "none:1" is not here/, '-o', place('x'), 'none:1');
  await failing(/there is no directory/, '-o', join(out, 'none/x.tar'), ref('test/oci'));
  await failing(/is there and is no regular file/, '-o', out, ref('test/oci'));
  await failing(/is not empty/, '--format', 'oci-dir', '-o', out, ref('test/oci'));
  await failing(/a directory cannot go to standard output/, '--format', 'oci-dir', ref('test/oci'));
  const file = place('old.tar');
  writeFileSync(file, 'as it was');
  const layer = layerOf(await saved(ref('test/oci')));
  const [victim, before] = [layer.file, readFileSync(layer.file)];
  writeFileSync(victim, Buffer.alloc(before.length, 1));
  await failing(/the content is not what its digest says/, '-o', file, ref('test/oci'));
  t.is(readFileSync(file, 'utf8'), 'as it was');
  writeFileSync(victim, before);
  t.deepEqual(
    readdirSync(out).filter((name) => name.endsWith('.part')),
    [],
  );
  const twice = place('twice');
  mkdirSync(twice);
  await daemon.podwright('save', '--format', 'oci-dir', '-o', twice, ref('test/oci'));
  t.true(existsSync(join(twice, 'index.json')), 'an empty directory is a place');
});

/** The chain of an image, as the daemon tells it. */
async function saved(image: string): Promise<string[]> {
  return (JSON.parse(await daemon.podwright('inspect', image)) as { chain: string[] }).chain;
}

/** A regular file of a layer with some contents. */
function layerOf(chain: readonly string[]): { file: string } {
  const dir = join(daemon.root, 'layers', (chain.at(-1) ?? '').replace('sha256:', ''), 'diff');
  const found = execFileSync('find', [dir, '-type', 'f', '-size', '+0'], { encoding: 'utf8' }).trim().split('\n');
  return { file: found[0] ?? '' };
}

test.serial('the store that a release before left is taken over, and found by that release again', async (t) => {
  const content = join(daemon.root, 'content');
  await daemon.stop();
  for (const each of ['oci-layout', 'index.json', 'sha256']) rmSync(join(content, each), { recursive: true });
  execFileSync('mv', [join(content, 'blobs/sha256'), join(content, 'sha256')]);
  rmSync(join(content, 'blobs'), { recursive: true });
  await daemon.start();
  t.regex(await daemon.podwright('images', 'verify'), /verified$/m);
  const { images: all } = await daemon.image.ListImages({});
  for (const { id } of all) {
    for (const dir of ['blobs/sha256', 'sha256'])
      t.true(existsSync(join(content, dir, id.replace('sha256:', ''))), dir);
  }
});

endsWithoutResidue(test, daemon);
