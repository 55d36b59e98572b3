// The addon's fetch calls as TypeScript sees them: shapes, stages of failures, progress, cancel. What they do inside
// is tested by cargo against servers of every kind.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { FetchLayerRequest, FetchSource, UnpackLimits } from '../../src/native/boundary.ts';
import { NativeError } from '../../src/native/errors.ts';
import { loadNative, type Native } from '../../src/native/load.ts';
import { digestOf, makeImage, tarOf } from '../helpers/image-parts.ts';

const addon = process.env['PODWRIGHT_ADDON'] ?? resolve('dist/addon.node');
const cannotRun =
  process.getuid?.() !== 0 ? 'needs root' : existsSync(addon) ? null : `no addon at ${addon}: run hack/build.sh`;
const real = cannotRun === null ? test : test.skip;
const title = (what: string): string => (cannotRun === null ? what : `${what} (${cannotRun})`);
const native = cannotRun === null ? loadNative(addon) : (null as unknown as Native);

const limits: UnpackLimits = {
  maxEntries: 1000,
  maxBytes: 1e9,
  maxRatio: 200,
  maxDepth: 64,
  maxPathBytes: 4095,
  maxXattrBytes: 65536,
};
const image = makeImage([{ 'etc/hello': 'hello', 'etc/more': 'x'.repeat(50_000) }]);
const [layer] = image.layers as unknown as [(typeof image.layers)[number]];

function scratch(t: ExecutionContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'podwright-fetch-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A server that answers every GET so; its host. */
async function serve(t: ExecutionContext, answer: Answer): Promise<string> {
  const server = http.createServer(answer);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const sourceAt = (handle: string, host: string): FetchSource => ({
  handle,
  url: `http://${host}/blob`,
  headers: [['Authorization', 'Bearer s3cret']],
  allowHttp: true,
  tls: { caFiles: [], clientCert: null, clientKey: null, skipVerify: false },
  proxy: null,
  connectMs: 2000,
  stallMs: 30_000,
  attempts: 1,
});

const layerRequest = (handle: string, host: string, dir: string): FetchLayerRequest => ({
  ...sourceAt(handle, host),
  expected: {
    digest: layer.digest,
    size: layer.bytes.length,
    diffId: layer.diffId,
    mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
  },
  destination: { stagingDir: join(dir, 'staging'), keepBlobPath: join(dir, 'blob') },
  limits,
});

async function failureOf(t: ExecutionContext, work: Promise<unknown>): Promise<NativeError> {
  const failure = await t.throwsAsync(work, { instanceOf: NativeError });
  if (!failure) throw new Error('did not fail');
  t.false(failure.message.includes('s3cret'));
  return failure;
}

real(title('a layer is fetched, kept and unpacked'), async (t) => {
  const dir = scratch(t);
  const host = await serve(t, (_, response) => response.end(layer.bytes));
  const done = await native.fetchLayer(layerRequest('layer', host, dir));
  const { diskBytes, ...rest } = done;
  t.true(diskBytes > 50_005, String(diskBytes));
  t.deepEqual(rest, {
    blobDigest: layer.digest,
    blobBytes: layer.bytes.length,
    diffId: layer.diffId,
    unpackedBytes: 50_005,
    inodes: 6, // three of the tree, three of the layer beside it
    entries: 2,
  });
  t.is(readFileSync(join(dir, 'staging/diff/etc/hello'), 'utf8'), 'hello');
  t.deepEqual(readFileSync(join(dir, 'blob')), layer.bytes);
});

real(title('a failure names stage, host and digest, and leaves nothing'), async (t) => {
  const dir = scratch(t);
  const refused = await serve(t, (_, response) => response.writeHead(403).end());
  const http403 = await failureOf(t, native.fetchLayer(layerRequest('refused', refused, dir)));
  t.deepEqual([http403.syscall, http403.errno, http403.object], ['http', 403, layer.digest]);
  t.is(http403.message, `fetch layer ${layer.digest} from ${refused}: http status 403`);
  const wrong = await serve(t, (_, response) => response.end(Buffer.alloc(layer.bytes.length)));
  const digest = await failureOf(t, native.fetchLayer(layerRequest('wrong', wrong, dir)));
  t.is(digest.syscall, 'digest');
  t.true(digest.message.includes(`from ${wrong}: digest mismatch: got sha256:`));
  t.deepEqual(readdirSync(dir), []);
});

real(title('a running fetch is seen, and cancelled'), async (t) => {
  const dir = scratch(t);
  const host = await serve(t, (_, response) => {
    response.writeHead(200, { 'content-length': layer.bytes.length });
    response.write(layer.bytes.subarray(0, 10));
  });
  const running = native.fetchLayer(layerRequest('slow', host, dir));
  const seen = native.fetchProgress().find(({ handle }) => handle === 'slow');
  t.is(seen?.totalBytes, layer.bytes.length);
  const twice = await failureOf(t, native.fetchLayer(layerRequest('slow', host, dir)));
  t.is(twice.syscall, 'request');
  t.true(native.fetchCancel({ handle: 'slow' }));
  t.is((await failureOf(t, running)).syscall, 'cancel');
  t.false(native.fetchCancel({ handle: 'slow' }));
  t.deepEqual(readdirSync(dir), []);
});

real(title('a blob comes as base64 or into a file'), async (t) => {
  const dir = scratch(t);
  const host = await serve(t, (_, response) => response.end(image.config.bytes));
  const expected = { digest: image.config.digest, size: image.config.bytes.length };
  const small = await native.fetchBlob({ ...sourceAt('small', host), expected, keepBlobPath: null });
  t.deepEqual(Buffer.from(small.data ?? '', 'base64'), image.config.bytes);
  const keepBlobPath = join(dir, 'config');
  const kept = await native.fetchBlob({ ...sourceAt('kept', host), expected, keepBlobPath });
  t.deepEqual(kept, { data: null, digest: image.config.digest, bytes: image.config.bytes.length });
  t.deepEqual(readFileSync(keepBlobPath), image.config.bytes);
});

real(title('an archive is indexed, read and unpacked'), async (t) => {
  const dir = scratch(t);
  const inner = tarOf({ 'etc/hello': 'hello' });
  const files = { 'layer.tar': inner, 'manifest.json': '[{}]' };
  for (const [name, data] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, 'in', name)), { recursive: true });
    writeFileSync(join(dir, 'in', name), data);
  }
  t.is(spawnSync('tar', ['-czf', join(dir, 'a.tgz'), '-C', join(dir, 'in'), '.']).status, 0);
  const index = await native.archiveIndex({ path: join(dir, 'a.tgz'), workDir: dir });
  t.true(index.temporary);
  t.deepEqual(index.files, { 'manifest.json': '[{}]' });
  const [entry] = index.entries.filter(({ name }) => name === 'layer.tar');
  if (!entry) throw new Error('no layer.tar');
  const read = await native.archiveRead({ path: index.path, entry });
  t.deepEqual(Buffer.from(read.data, 'base64'), inner);
  const destination = { stagingDir: join(dir, 'staging'), keepBlobPath: null };
  const request = { handle: 'archive', path: index.path, entry, destination, limits };
  const diffId = digestOf(inner);
  const unpacked = await native.unpackFromArchive({ ...request, expected: { digest: null, diffId } });
  t.deepEqual([unpacked.diffId, unpacked.entries], [diffId, 1]);
  t.is(readFileSync(join(dir, 'staging/diff/etc/hello'), 'utf8'), 'hello');
});
