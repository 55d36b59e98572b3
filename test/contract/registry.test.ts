import net from 'node:net';
import test from 'ava';
import { Failure, failureChain, type FailureKind } from '../../src/lib/failure.ts';
import { refuse } from '../helpers/fake-registry.ts';
import { makeImage, makeIndex, ociManifest } from '../helpers/image-parts.ts';
import { amd64, checkImage, fails, image, nowhere, setup, signal } from './registry/client.ts';

test('resolves a tag and a digest, reads the config', async (t) => {
  const { open, server } = await setup(t);
  const byTag = await (await open()).resolve(amd64, signal);
  checkImage(t, byTag);
  t.is(byTag.target.digest as string, image.manifest.digest);
  const repository = await open({ tag: null, digest: image.manifest.digest });
  const byDigest = await repository.resolve(amd64, signal);
  checkImage(t, byDigest);
  t.deepEqual(await repository.config(byDigest.manifest.config, signal), image.config.bytes);
  t.is(server.requests[0]?.headers['user-agent'], 'test/1');
  t.regex(
    String(server.requests[0]?.headers.accept),
    /oci\.image\.index.*docker\.distribution\.manifest\.list.*manifest\.v2/,
  );
});

test('probe asks by HEAD', async (t) => {
  const { open, server } = await setup(t);
  t.is(await (await open()).probe(signal), image.manifest.digest as never);
  t.deepEqual(
    server.requests.map((r) => r.method),
    ['HEAD'],
  );
  await fails(t, (await open({ tag: 'none' })).probe(signal), ['not-found', /none/]);
  server.intercept = (request, response) => request.method === 'HEAD' && refuse(response, 405, 'UNSUPPORTED');
  t.is(await (await open()).probe(signal), null);
});

test('chooses from an index, and from an index in an index', async (t) => {
  const { open, server } = await setup(t);
  const arm = makeImage([{ a: 'arm' }], { architecture: 'arm64' });
  server.push('team/app', 'arm', arm);
  const inner = makeIndex([
    { of: arm.manifest, platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } },
    { of: image.manifest, platform: { os: 'linux', architecture: 'amd64' } },
  ]);
  const outer = makeIndex([{ of: inner, platform: null }]);
  server.putManifest('team/app', null, inner);
  server.putManifest('team/app', 'multi', outer);
  const repository = await open({ tag: 'multi' });
  const resolved = await repository.resolve(amd64, signal);
  checkImage(t, resolved);
  t.is(resolved.target.digest as string, outer.digest);
  checkImage(t, await repository.resolve({ os: 'linux', architecture: 'arm64', variant: 'v8' }, signal), arm);
  await fails(t, repository.resolve({ os: 'linux', architecture: 's390x', variant: '' }, signal), [
    'not-found',
    /nothing for linux\/s390x/,
  ]);
});

test('an index that leads to the wrong bytes is refused', async (t) => {
  const { open, server } = await setup(t);
  const wrongSize = makeIndex([{ of: { ...image.manifest, bytes: Buffer.alloc(3) }, platform: amd64 }]);
  server.putManifest('team/app', 'size', wrongSize);
  await fails(t, (await open({ tag: 'size' })).resolve(amd64, signal), ['failed-precondition', /bytes, not 3/]);
  const lie = { ...image.manifest, digest: `sha256:${'0'.repeat(64)}` };
  server.putManifest('team/app', 'lie', lie);
  await fails(t, (await open({ tag: 'lie' })).resolve(amd64, signal), [
    'failed-precondition',
    /has digest sha256:.*not sha256:0000/,
  ]);
  await fails(t, (await open({ tag: null, digest: lie.digest })).resolve(amd64, signal), [
    'failed-precondition',
    new RegExp(`${server.host}.*has digest`),
  ]);
});

test('a config that is not what its digest says is refused', async (t) => {
  const { open, server } = await setup(t);
  const repository = await open();
  const { manifest } = await repository.resolve(amd64, signal);
  const flipped = Buffer.from(image.config.bytes);
  flipped[5] = 33;
  server.putBlob({ digest: image.config.digest, bytes: flipped });
  await fails(t, repository.config(manifest.config, signal), ['failed-precondition', /config of .* has digest/]);
  server.putBlob({ digest: image.config.digest, bytes: Buffer.concat([image.config.bytes, Buffer.from('more')]) });
  await fails(t, repository.config(manifest.config, signal), ['failed-precondition', /too large/]);
  server.putBlob({ digest: image.config.digest, bytes: image.config.bytes.subarray(0, 9) });
  await fails(t, repository.config(manifest.config, signal), ['failed-precondition', /has digest/]);
});

test('refusals are told apart, with host and reference', async (t) => {
  const { open, server } = await setup(t);
  const cases: readonly (readonly [number, string, FailureKind, RegExp])[] = [
    [401, 'UNAUTHORIZED', 'permission-denied', /not authorized: status 401: UNAUTHORIZED/],
    [403, 'DENIED', 'permission-denied', /access denied: status 403: DENIED/],
    [404, 'MANIFEST_UNKNOWN', 'not-found', /not found: status 404/],
    [429, 'TOOMANYREQUESTS', 'resource-exhausted', /too many requests/],
    [500, 'UNKNOWN', 'registry-unavailable', /the registry failed: status 500/],
    [503, 'UNAVAILABLE', 'registry-unavailable', /status 503/],
    [418, 'TEAPOT', 'registry-unavailable', /status 418/],
  ];
  for (const [status, code, kind, pattern] of cases) {
    server.intercept = (_, response) => refuse(response, status, code);
    const failure = await fails(t, (await open()).resolve(amd64, signal), [kind, pattern]);
    t.is(failure.details.status, status);
    t.true(failureChain(failure).includes(`${server.host}/team/app:v1 from ${server.host}`));
  }
});

test('a registry that recovers is asked again', async (t) => {
  const { open, server } = await setup(t);
  let left = 2;
  server.intercept = (_, response) =>
    left-- > 0 && refuse(response, left === 1 ? 503 : 429, { code: 'BUSY', headers: { 'retry-after': '0' } });
  checkImage(t, await (await open()).resolve(amd64, signal));
  t.is(server.requests.length, 3);
});

test('no connection, no name, no answer, no HTTP', async (t) => {
  const { open, server } = await setup(t);
  await fails(t, (await open({ host: '127.0.0.1:1' })).resolve(amd64, signal), [
    'registry-unavailable',
    /no connection.*ECONNREFUSED/,
  ]);
  await fails(t, (await open({ host: nowhere })).resolve(amd64, signal), [
    'registry-unavailable',
    /name cannot be resolved/,
  ]);
  await fails(t, (await open({ host: `localhost:${server.host.split(':')[1]}`, tag: 'x' })).resolve(amd64, signal), [
    'not-found',
    /localhost/,
  ]);
  server.intercept = () => true;
  const quiet = await setup(t, { timeouts: { connectMs: 20_000, idleMs: 60, totalMs: 20_000, helperMs: 20_000 } });
  quiet.server.intercept = () => true;
  await fails(t, (await quiet.open()).resolve(amd64, signal), [
    'registry-unavailable',
    /no answer in time: no byte for 60 ms/,
  ]);
  const rude = net.createServer((socket) => void socket.end('SSH-2.0-nothing\r\n')).listen(0, '127.0.0.1');
  t.teardown(() => void rude.close());
  await new Promise((resolve) => rude.once('listening', resolve));
  const { port } = rude.address() as net.AddressInfo;
  await fails(t, (await open({ host: `127.0.0.1:${port}` })).resolve(amd64, signal), [
    'registry-unavailable',
    /does not speak HTTP/,
  ]);
});

test('an answer that is cut off, too long, or no manifest', async (t) => {
  const { open, server } = await setup(t);
  server.intercept = (_, response) => {
    response.writeHead(200, { 'content-length': 1000, 'content-type': ociManifest });
    response.write('{"schema');
    setTimeout(() => response.destroy(), 5);
    return true;
  };
  await fails(t, (await open()).resolve(amd64, signal), ['registry-unavailable', /no connection: .*/]);
  server.intercept = (_, response) => {
    response.writeHead(200, { 'content-type': ociManifest });
    response.end(Buffer.alloc(4 * 1024 * 1024 + 1, 32));
    return true;
  };
  await fails(t, (await open()).resolve(amd64, signal), ['failed-precondition', /answer is too large/]);
  server.intercept = (_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end('<html>log in</html>');
    return true;
  };
  await fails(t, (await open()).resolve(amd64, signal), [
    'failed-precondition',
    new RegExp(`from ${server.host} is not usable: it is not JSON`),
  ]);
});

test('a signal ends a request, a retry and a walk', async (t) => {
  const { open, server } = await setup(t);
  const stop = new AbortController();
  server.intercept = () => {
    stop.abort(new Failure('cancelled', 'gone'));
    return true;
  };
  const work = (await open()).resolve(amd64, stop.signal);
  await fails(t, work, ['cancelled', /gone/]);
  t.is(server.requests.length, 1);
});
