// The image verbs over the real addon: bytes really come, are checked and unpacked.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { Failure, failureChain } from '../../src/lib/failure.ts';
import type { Digest } from '../../src/lib/id.ts';
import { loadNative } from '../../src/native/load.ts';
import { makeCertificates } from '../helpers/certificates.ts';
import { type FakeRegistry, refuse, startFakeRegistry } from '../helpers/fake-registry.ts';
import { type ImageRoom, openImageRoom, temporaryRoot } from '../helpers/image-room.ts';
import { digestOf, makeImage, tarOf, type TestImage } from '../helpers/image-parts.ts';
import { addon, cannotRun } from '../helpers/real-addon.ts';
import { ref as kitRef, registryHost } from '../helpers/registry.ts';

const real = cannotRun === null ? test : test.skip;
const title = (what: string): string => (cannotRun === null ? what : `${what} (${cannotRun})`);

const image = makeImage([
  { 'etc/passwd': 'root:x:0:0::/:/bin/sh\n', 'etc/one': '1' },
  { 'etc/two': 'x'.repeat(200_000) },
  { 'etc/.wh.one': '', 'etc/passwd': 'app:x:5:5::/:/bin/sh\n' },
]);

interface Made extends ImageRoom {
  readonly server: FakeRegistry;
  readonly ref: string;
}

async function setup(t: ExecutionContext): Promise<Made> {
  const server = await startFakeRegistry();
  t.teardown(() => server.close());
  server.push('app', 'v1', image);
  const room = await openImageRoom(t, loadNative(addon), temporaryRoot(t));
  return { ...room, server, ref: `${server.host}/app:v1` };
}

async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Failure)) throw error instanceof Error ? error : new Error(`no failure but ${String(error)}`);
  return `${error.kind}: ${failureChain(error)}`;
}

/** Nothing half-made is left, and the same pull succeeds. */
async function convergesClean(t: ExecutionContext, made: Made): Promise<void> {
  t.true(await made.settled(), 'no staging is left');
  t.is(made.images.status(made.ref), null);
  t.deepEqual(made.names(made.paths.imagesDir), []);
  made.server.intercept = () => false;
  for (const layer of image.layers) made.server.putBlob(layer);
  t.is(await made.pull(made.ref), image.config.digest);
}

real(title('a pull unpacks what the layers hold'), async (t) => {
  const { pull, ref, images, storage, settings, server } = await setup(t);
  server.auth = { type: 'bearer', user: { username: 'u', password: 'p' }, identityToken: null, realm: '' };
  settings.keepBlobs = true;
  const auth = { username: 'u', password: 'p', auth: '', serverAddress: '', identityToken: '', registryToken: '' };
  await pull(ref, { auth });
  const { chain, sizeBytes } = images.status(ref)!;
  t.is(readFileSync(join(storage.layers.diffDir(chain[0]!), 'etc/one'), 'utf8'), '1');
  t.is(readFileSync(join(storage.layers.diffDir(chain[1]!), 'etc/two'), 'utf8').length, 200_000);
  t.true(statSync(join(storage.layers.diffDir(chain[2]!), 'etc/one')).isCharacterDevice(), 'a whiteout');
  t.is(await storage.rootfsFiles.read(chain, '/etc/passwd'), 'app:x:5:5::/:/bin/sh\n');
  t.is(await storage.rootfsFiles.read(chain, '/etc/one'), null);
  t.is(await storage.rootfsFiles.read(chain.slice(0, 2), '/etc/one'), '1');
  t.true(sizeBytes > 200_000);
  for (const layer of image.layers) {
    t.deepEqual(readFileSync(storage.content.path(layer.digest as string as Digest)), layer.bytes);
  }
});

real(title('a blob that is not what its digest says'), async (t) => {
  const made = await setup(t);
  const { digest, bytes } = image.layers[1]!;
  const flipped = Buffer.from(bytes);
  flipped[bytes.length - 1]! ^= 1;
  made.server.putBlob({ digest, bytes: flipped });
  const text = await refusal(made.pull(made.ref));
  t.regex(text, new RegExp(`^failed-precondition: .*${made.ref}.*${digest} from ${made.server.host}`));
  await convergesClean(t, made);
});

real(title('a blob that is too short, too long, or cut off'), async (t) => {
  const made = await setup(t);
  const { digest, bytes } = image.layers[1]!;
  made.server.putBlob({ digest, bytes: bytes.subarray(0, 100) });
  t.regex(await refusal(made.pull(made.ref)), new RegExp(made.server.host));
  made.server.putBlob({ digest, bytes: Buffer.concat([bytes, bytes]) });
  t.regex(await refusal(made.pull(made.ref)), new RegExp(made.server.host));
  made.server.intercept = (request, response) => {
    if (!request.url.includes(digest)) return false;
    response.writeHead(200, { 'content-length': bytes.length });
    response.write(bytes.subarray(0, 50));
    setTimeout(() => response.destroy(), 10);
    return true;
  };
  t.regex(await refusal(made.pull(made.ref)), /^registry-unavailable: /);
  await convergesClean(t, made);
});

real(title('a layer that is not the one its config promises'), async (t) => {
  const made = await setup(t);
  const wrong = makeImage([{ a: 'a' }], {
    wholeConfig: (c) => ({ ...c, rootfs: { type: 'layers', diff_ids: [`sha256:${'1'.repeat(64)}`] } }),
  });
  made.server.push('wrong', 'v1', wrong);
  t.regex(await refusal(made.pull(`${made.server.host}/wrong:v1`)), /^failed-precondition: .*diff id mismatch/);
  await convergesClean(t, made);
});

/** An image whose only layer is these bytes. */
function imageOf(tar: Buffer, blob: Buffer): TestImage {
  const made = makeImage([{ placeholder: '' }], {
    wholeConfig: (c) => ({ ...c, rootfs: { type: 'layers', diff_ids: [digestOf(tar)] } }),
    manifest: (m) => ({ ...m, layers: [{ ...(m.layers as object[])[0], digest: digestOf(blob), size: blob.length }] }),
  });
  return { ...made, layers: [{ digest: digestOf(blob), bytes: blob, diffId: digestOf(tar), tar }] };
}

real(title('layers that mean harm'), async (t) => {
  const made = await setup(t);
  const tryBlob = (tag: string, tar: Buffer, blob = gzipSync(tar)): Promise<string> => {
    made.server.push('evil', tag, imageOf(tar, blob));
    return refusal(made.pull(`${made.server.host}/evil:${tag}`));
  };
  t.regex(await tryBlob('dots', tarOf({ '../../escaped': 'x' })), /^failed-precondition: .*evil:dots/);
  t.false(existsSync(join(made.paths.layersDir, 'escaped')));
  t.false(existsSync(join(made.root, 'escaped')));
  t.regex(
    await tryBlob('nogzip', Buffer.from('x'), Buffer.from('this is no gzip stream at all')),
    /^failed-precondition: /,
  );
  const bomb = Buffer.alloc(64 * 1024 * 1024);
  t.regex(await tryBlob('bomb', bomb), /^(resource-exhausted|failed-precondition): /);
  await convergesClean(t, made);
});

real(title('refusals of a blob are told apart, and a token that ran out is renewed'), async (t) => {
  const made = await setup(t);
  const { digest } = image.layers[1]!;
  for (const [status, kind] of [
    [403, 'permission-denied'],
    [404, 'not-found'],
    [429, 'resource-exhausted'],
    [500, 'registry-unavailable'],
  ] as const) {
    made.server.intercept = (request, response) => request.url.includes(digest) && refuse(response, status, 'NO');
    const text = await refusal(made.pull(made.ref));
    t.regex(text, new RegExp(`^${kind}: get blob ${digest} of ${made.ref} from ${made.server.host}`));
  }
  made.server.auth = { type: 'bearer', user: null, identityToken: null, realm: '' };
  let revoked = false;
  made.server.intercept = (request) => {
    if (request.url.includes(digest) && !revoked) {
      revoked = true;
      made.server.tokens.delete('token-1');
      made.server.tokens.add('placeholder');
    }
    return false;
  };
  t.is(await made.pull(made.ref), image.config.digest);
  t.true(revoked);
  t.is(made.server.seen('GET', /^\/token/).length, 2);
});

real(title('blobs elsewhere: redirected without credentials, mirrored, through TLS of our own'), async (t) => {
  const { server, root, pull, ref, images } = await setup(t);
  const storage = await startFakeRegistry();
  t.teardown(() => storage.close());
  storage.push('app', 'v1', image);
  server.auth = { type: 'basic', username: 'u', password: 'p' };
  server.redirectBlobsTo = storage.url;
  const auth = { username: 'u', password: 'p', auth: '', serverAddress: '', identityToken: '', registryToken: '' };
  await pull(ref, { auth });
  t.true(storage.requests.length >= image.layers.length);
  t.true(storage.requests.every((r) => r.headers.authorization === undefined));
  await images.remove(ref);
  await images.sweep();

  const dir = join(root, 'certs.d/secure.invalid');
  const made = makeCertificates(dir);
  const secure = await startFakeRegistry(made.server(true));
  t.teardown(() => secure.close());
  secure.push('app', 'v1', image);
  const hosts = (more: string): void =>
    writeFileSync(join(dir, 'hosts.toml'), `[host."${secure.url}"]\nca = "ca.pem"\n${more}`);
  hosts('');
  t.regex(await refusal(pull('secure.invalid/app:v1')), /^registry-unavailable: /);
  hosts('client = [["client.pem", "client.key"]]');
  t.is(await pull('secure.invalid/app:v1'), image.config.digest);
  t.true(secure.requests.every((r) => r.url.includes('ns=secure.invalid')));
  t.is(secure.seen('GET', /\/blobs\//).length, 1 + image.layers.length);
});

real(title('everything goes through the proxy of a host'), async (t) => {
  const { root, pull } = await setup(t);
  const dir = join(root, 'certs.d/far.invalid');
  const made = makeCertificates(dir);
  const secure = await startFakeRegistry(made.server(false));
  t.teardown(() => secure.close());
  secure.push('app', 'v1', image);
  const tunnels: (string | undefined)[] = [];
  const proxy = http.createServer().on('connect', (request, socket) => {
    tunnels.push(`${request.url} ${request.headers['proxy-authorization']}`);
    const [host = '', port = ''] = secure.host.split(':');
    const onward = net.connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    onward.on('error', () => socket.destroy());
    socket.on('error', () => onward.destroy());
    t.teardown(() => void onward.destroy());
  });
  await new Promise<void>((done) => void proxy.listen(0, '127.0.0.1', done));
  t.teardown(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  const { port } = proxy.address() as net.AddressInfo;
  const settings = (by: string): string =>
    `server = "https://far.invalid"\nca = "ca.pem"\nskip_verify = true\nproxy = "${by}"`;
  writeFileSync(join(dir, 'hosts.toml'), settings(`http://u:p@127.0.0.1:${port}`));
  t.is(await pull('far.invalid/app:v1'), image.config.digest);
  t.true(tunnels.length >= 1 + image.layers.length, 'manifests and layers');
  t.true(tunnels.every((tunnel) => tunnel === `far.invalid:443 Basic ${Buffer.from('u:p').toString('base64')}`));
  writeFileSync(join(dir, 'hosts.toml'), settings('http://127.0.0.1:1'));
  t.regex(await refusal(pull('far.invalid/app:v1')), /^registry-unavailable: .*far\.invalid/);
});

real(title('a pull that is cancelled leaves nothing and can be tried again'), async (t) => {
  const made = await setup(t);
  const stop = new AbortController();
  made.server.intercept = (request, response) => {
    const layer = image.layers.find((l) => request.url.includes(l.digest));
    if (!layer) return false;
    response.writeHead(200, { 'content-length': layer.bytes.length });
    response.write(layer.bytes.subarray(0, 10));
    setTimeout(() => stop.abort(new Failure('cancelled', 'the caller is gone')), 100);
    return true;
  };
  t.is(await refusal(made.pull(made.ref, {}, stop.signal)), 'cancelled: the caller is gone');
  await convergesClean(t, made);
  t.deepEqual(made.images.progress(), []);
});

real(title('removed images free their room; writable layers come and go'), async (t) => {
  const { pull, ref, images, storage, paths, names } = await setup(t);
  await pull(ref);
  t.true((await images.fsInfo()).images[0]!.usedBytes > 200_000n);
  const { upper } = await storage.snapshots.prepare('c1', null);
  writeFileSync(join(upper, 'file'), Buffer.alloc(100_000));
  const [usage] = await storage.snapshots.usages(['c1']);
  t.true(usage!.bytes >= 100_000 && usage!.inodes >= 1);
  await storage.snapshots.remove('c1');
  await images.remove(ref);
  await images.sweep();
  t.deepEqual(names(paths.layersDir), []);
  t.deepEqual(names(paths.snapshotsDir), []);
  t.like((await images.fsInfo()).images[0], { usedBytes: 0n, inodesUsed: 0n });
});

real(title('archives: docker tar, gzipped, OCI layout as tar and as directory'), async (t) => {
  const { images, root, names, paths, storage } = await setup(t);
  const load = async (path: string): Promise<string[]> => {
    const loaded = await images.load({ path, reference: '', onStep: () => undefined }, new AbortController().signal);
    return loaded.map((one) => `${String(one.id)} ${one.repoTags.join()}`);
  };
  const put = (name: string, data: Buffer): string => {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), data);
    return join(root, name);
  };
  const dir = join(root, 'tree');
  const entries: [string, Buffer][] = [
    [
      'manifest.json',
      Buffer.from(
        JSON.stringify([{ Config: 'c.json', RepoTags: ['d:1'], Layers: image.layers.map((_, n) => `${n}/layer.tar`) }]),
      ),
    ],
    ['c.json', image.config.bytes],
    ...image.layers.map((l, n): [string, Buffer] => [`${n}/layer.tar`, l.tar]),
  ];
  for (const [name, data] of entries) put(`tree/${name}`, data);
  execFileSync('tar', ['-cf', join(root, 'd.tar'), '-C', dir, '.']);
  execFileSync('tar', ['-czf', join(root, 'd.tar.gz'), '-C', dir, '.']);
  const expected = [`${image.config.digest} docker.io/library/d:1`];
  t.deepEqual(await load(join(root, 'd.tar')), expected);
  const { chain } = images.status('d:1')!;
  t.is(await storage.rootfsFiles.read(chain, '/etc/passwd'), 'app:x:5:5::/:/bin/sh\n');
  await images.remove('d:1');
  await images.sweep();
  t.deepEqual(await load(join(root, 'd.tar.gz')), expected);

  const index = {
    schemaVersion: 2,
    manifests: [
      {
        mediaType: image.manifest.mediaType,
        digest: image.manifest.digest,
        size: image.manifest.bytes.length,
        annotations: { 'io.containerd.image.name': 'r.io/oci:1' },
      },
    ],
  };
  put('oci/oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
  put('oci/index.json', Buffer.from(JSON.stringify(index)));
  for (const blob of [...image.layers, image.config, image.manifest])
    put(`oci/blobs/sha256/${blob.digest.slice(7)}`, blob.bytes);
  execFileSync('tar', ['-cf', join(root, 'o.tar'), '-C', join(root, 'oci'), '.']);
  await images.remove('d:1');
  await images.sweep();
  for (const path of [join(root, 'oci'), join(root, 'o.tar')]) {
    const [loaded] = await load(path);
    t.is(loaded, `${image.config.digest} r.io/oci:1`);
    t.is(images.status(`r.io/oci@${image.manifest.digest}`)?.id as string, image.config.digest);
  }
  t.deepEqual(names(paths.ingestDir), [], 'no inflated copy is left');
  t.regex(await refusal(load(join(root, 'nothing.tar'))), /nothing\.tar/);
  t.regex(await refusal(load(put('text.tar', Buffer.from('no tar at all')))), /text\.tar/);
});

const probe = `fetch('http://${registryHost}/v2/bench/tools/tags/list').then((r) => process.exit(r.ok ? 0 : 1))`;
const kitAnswers = spawnSync(process.execPath, ['-e', probe], { stdio: 'ignore' }).status === 0;
const withKit = cannotRun === null && kitAnswers ? test : test.skip;
const kitTitle = (what: string): string =>
  kitAnswers ? title(what) : `${what} (no bench/tools at ${registryHost}: run hack/testkit/images.sh)`;

withKit(kitTitle('a pull from a real registry'), async (t) => {
  const { pull, images, storage, settled } = await setup(t);
  const reference = kitRef('bench/tools');
  const id = await pull(reference);
  const found = images.status(reference)!;
  t.is(found.id as string, id);
  t.true(found.chain.length > 0 && found.chain.every((chain) => existsSync(storage.layers.diffDir(chain))));
  t.true(found.sizeBytes > 1_000_000);
  t.is(await pull(reference), id);
  t.is(await pull(found.ref), id, 'by digest');
  t.true(await settled());
  t.regex(await refusal(pull(kitRef('bench/none'))), /^not-found: /);
});
