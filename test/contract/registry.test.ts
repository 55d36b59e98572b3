import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Failure, failureChain, type FailureKind, registryUnavailable } from '../../src/lib/failure.ts';
import type { AuthConfig } from '../../src/registry/credentials.ts';
import { createRegistry, defaultRetry, type Registry, type RegistryOptions } from '../../src/registry/registry.ts';
import type { BlobSource, Repository } from '../../src/registry/repository.ts';
import { makeCertificates } from '../helpers/certificates.ts';
import { type FakeRegistry, refuse, startFakeRegistry } from '../helpers/fake-registry.ts';
import { makeImage, makeIndex, ociManifest, type TestImage } from '../helpers/image-parts.ts';

const amd64 = { os: 'linux', architecture: 'amd64', variant: '' };
const signal = new AbortController().signal;
const noAuth: AuthConfig = {
  username: '',
  password: '',
  auth: '',
  serverAddress: '',
  identityToken: '',
  registryToken: '',
};
const image = makeImage([{ 'etc/one': '1' }, { 'etc/two': '2' }]);

interface Made {
  readonly registry: Registry;
  readonly server: FakeRegistry;
  /** Opens `team/app` at the server, or at another host. */
  readonly open: (at?: {
    host?: string;
    tag?: string | null;
    digest?: string | null;
    auth?: Partial<AuthConfig> | null;
  }) => Promise<Repository>;
}

async function setup(t: ExecutionContext, options: Partial<RegistryOptions> = {}): Promise<Made> {
  const server = await startFakeRegistry();
  server.push('team/app', 'v1', image);
  const registry = createRegistry({
    hostsDir: '',
    readText: async () => null,
    proxies: { http: '', https: '', none: '' },
    userAgent: 'test/1',
    timeouts: { connectMs: 1000, idleMs: 1000, totalMs: 2000 },
    retry: { ...defaultRetry, baseMs: 1, longestMs: 20 },
    ...options,
  });
  t.teardown(async () => {
    registry.close();
    await server.close();
  });
  return {
    registry,
    server,
    open: ({ host = server.host, tag = 'v1', digest = null, auth = null } = {}) =>
      registry.open({
        host,
        path: 'team/app',
        tag,
        digest: digest as never,
        label: `${host}/team/app:${tag}`,
        auth: auth && { ...noAuth, ...auth },
      }),
  };
}

/** hosts.toml by registry host. */
const hostsFiles =
  (files: Readonly<Record<string, string>>) =>
  async (path: string): Promise<string | null> => {
    const host = /^\/hosts\/(.*)\/hosts\.toml$/.exec(path)?.[1] ?? '';
    return files[host] ?? null;
  };

/** For an intercept that has answered. */
const answered = (response: unknown): boolean => response !== null;

/** What a failure is to be: its kind, and its chain of messages. */
type Expected = readonly [FailureKind, RegExp];

async function fails(t: ExecutionContext, work: Promise<unknown>, [kind, pattern]: Expected): Promise<Failure> {
  const error = await t.throwsAsync(work, { instanceOf: Failure });
  t.is(error.kind, kind, failureChain(error));
  t.regex(failureChain(error), pattern);
  return error;
}

const checkImage = (
  t: ExecutionContext,
  resolved: Awaited<ReturnType<Repository['resolve']>>,
  of: TestImage = image,
): void => {
  t.is(resolved.manifest.digest as string, of.manifest.digest);
  t.deepEqual(
    resolved.manifest.layers.map((l) => l.digest as string),
    of.layers.map((l) => l.digest),
  );
};

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
  await fails(t, (await open({ host: 'nowhere.invalid' })).resolve(amd64, signal), [
    'registry-unavailable',
    /name cannot be resolved/,
  ]);
  await fails(t, (await open({ host: `localhost:${server.host.split(':')[1]}`, tag: 'x' })).resolve(amd64, signal), [
    'not-found',
    /localhost/,
  ]);
  server.intercept = () => true;
  const quiet = await setup(t, { timeouts: { connectMs: 100, idleMs: 60, totalMs: 500 } });
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

test('basic auth', async (t) => {
  const { open, server } = await setup(t);
  server.auth = { type: 'basic', username: 'u', password: 'p:w' };
  await fails(t, (await open()).resolve(amd64, signal), ['permission-denied', /status 401/]);
  await fails(t, (await open({ auth: { username: 'u', password: 'no' } })).resolve(amd64, signal), [
    'permission-denied',
    /status 401/,
  ]);
  checkImage(t, await (await open({ auth: { username: 'u', password: 'p:w' } })).resolve(amd64, signal));
  const auth = Buffer.from('u:p:w').toString('base64');
  checkImage(
    t,
    await (await open({ auth: { auth, serverAddress: `http://${server.host}/v1/` } })).resolve(amd64, signal),
  );
});

test('bearer auth: anonymous, basic, identity token, registry token', async (t) => {
  const { open, server } = await setup(t);
  const bearer = { type: 'bearer', user: null, identityToken: null, realm: '' } as const;
  server.auth = bearer;
  const repository = await open();
  const { manifest } = await repository.resolve(amd64, signal);
  await repository.config(manifest.config, signal);
  t.is(server.seen('GET', /^\/token/).length, 1, 'one token serves the whole request');
  t.regex(server.seen('GET', /^\/token/)[0]?.url ?? '', /service=fake&scope=repository%3Ateam%2Fapp%3Apull/);

  server.auth = { ...bearer, user: { username: 'u', password: 'p' } };
  server.tokens.clear();
  const before = server.requests.length;
  const denied = await fails(t, (await open()).resolve(amd64, signal), ['permission-denied', /status 401/]);
  t.is(denied.details.status, 401);
  checkImage(t, await (await open({ auth: { username: 'u', password: 'p' } })).resolve(amd64, signal));
  t.true(server.requests.slice(before).some((r) => r.url.includes('account=u')));

  server.auth = { ...bearer, identityToken: 'refresh-me' };
  server.tokens.clear();
  checkImage(t, await (await open({ auth: { identityToken: 'refresh-me' } })).resolve(amd64, signal));
  const post = server.seen('POST', /^\/token/)[0];
  t.regex(post?.body ?? '', /grant_type=refresh_token/);
  t.false(server.requests.some((r) => r.url.includes('refresh-me')));
  await fails(t, (await open({ auth: { identityToken: 'bad' } })).resolve(amd64, signal), ['permission-denied', /401/]);

  server.tokens.add('given');
  checkImage(t, await (await open({ auth: { registryToken: 'given' } })).resolve(amd64, signal));
  await fails(t, (await open({ auth: { registryToken: 'stolen' } })).resolve(amd64, signal), [
    'permission-denied',
    /401/,
  ]);
});

test('a token server elsewhere: down, or with nonsense', async (t) => {
  const { open, server } = await setup(t);
  const other = await startFakeRegistry();
  t.teardown(() => other.close());
  other.intercept = (_, response) => answered(response.end('not json'));
  server.auth = { type: 'bearer', user: null, identityToken: null, realm: `${other.url}/auth` };
  await fails(t, (await open()).resolve(amd64, signal), [
    'registry-unavailable',
    new RegExp(`token server ${other.host}.*gave no token`),
  ]);
  server.auth = { ...server.auth, realm: 'http://127.0.0.1:1/auth' };
  await fails(t, (await open()).resolve(amd64, signal), ['registry-unavailable', /by 127\.0\.0\.1:1.*no connection/]);
  server.auth = { ...server.auth, realm: 'file:///etc/passwd' };
  await fails(t, (await open()).resolve(amd64, signal), ['permission-denied', /not a web address/]);
});

test('credentials for another server stay home', async (t) => {
  const { open, server } = await setup(t);
  server.auth = { type: 'basic', username: 'u', password: 'p' };
  const auth = { username: 'u', password: 'p', serverAddress: 'https://other.example/' };
  await fails(t, (await open({ auth })).resolve(amd64, signal), ['permission-denied', /401/]);
  t.true(server.requests.every((r) => r.headers.authorization === undefined));
});

test('redirects are followed; another host sees no secret', async (t) => {
  const { open, server } = await setup(t);
  const storage = await startFakeRegistry();
  t.teardown(() => storage.close());
  storage.push('team/app', 'v1', image);
  server.auth = { type: 'basic', username: 'u', password: 'p' };
  server.redirectBlobsTo = storage.url;
  const repository = await open({ auth: { username: 'u', password: 'p' } });
  const { manifest } = await repository.resolve(amd64, signal);
  t.deepEqual(await repository.config(manifest.config, signal), image.config.bytes);
  t.is(storage.requests.length, 1);
  t.is(storage.requests[0]?.headers.authorization, undefined);
  storage.intercept = (_, response) => answered(response.writeHead(302, { location: '/v2/again' }).end());
  await fails(t, repository.config(manifest.config, signal), ['registry-unavailable', /too many redirects/]);
  storage.intercept = (_, response) => answered(response.writeHead(302, { location: 'ftp://x/' }).end());
  await fails(t, repository.config(manifest.config, signal), ['registry-unavailable', /not a web address/]);
});

test('mirrors: in order, with fallback to the registry, without its credentials', async (t) => {
  const [down, wrong, good] = await Promise.all([startFakeRegistry(), startFakeRegistry(), startFakeRegistry()]);
  t.teardown(() => Promise.all([wrong.close(), good.close()]));
  await down.close();
  good.push('team/app', 'v1', image);
  wrong.intercept = (_, response) => answered(response.end('<html>'));
  const toml = [down, wrong, good].map((m) => `[host."${m.url}"]\ncapabilities = ["pull", "resolve"]`).join('\n');
  const made = await setup(t, { hostsDir: '/hosts', readText: hostsFiles({ 'origin.invalid': toml }) });
  const auth = { username: 'u', password: 'p' };
  const repository = await made.open({ host: 'origin.invalid', auth });
  const resolved = await repository.resolve(amd64, signal);
  checkImage(t, resolved);
  t.is(resolved.host, good.host);
  t.is(good.requests[0]?.url, '/v2/team/app/manifests/v1?ns=origin.invalid');
  t.is(good.requests[0]?.headers.authorization, undefined);
  good.auth = { type: 'basic', ...auth };
  const failure = await fails(t, repository.config(resolved.manifest.config, signal), [
    'registry-unavailable',
    /all 4 hosts failed/,
  ]);
  for (const m of [down, wrong, good]) t.true(failureChain(failure).includes(m.host));
  t.true(failureChain(failure).includes('origin.invalid: its name cannot be resolved'));
  t.true(good.requests.every((r) => r.headers.authorization === undefined));
});

test('a mirror may be granted the credentials, or named by them; it may have headers of its own', async (t) => {
  const mirror = await startFakeRegistry();
  t.teardown(() => mirror.close());
  mirror.push('team/app', 'v1', image);
  mirror.auth = { type: 'basic', username: 'u', password: 'p' };
  const granted = `[host."${mirror.url}"]\ncredentials_from = "origin"\n[host."${mirror.url}".header]\nX-Team = "a"`;
  const plain = `[host."${mirror.url}"]`;
  const own = `[host."${mirror.url}".header]\nAuthorization = "Basic ${Buffer.from('u:p').toString('base64')}"`;
  const readText = hostsFiles({ 'granted.invalid': granted, 'plain.invalid': plain, 'own.invalid': own });
  const { open } = await setup(t, { hostsDir: '/hosts', readText });
  const auth = { username: 'u', password: 'p' };
  checkImage(t, await (await open({ host: 'granted.invalid', auth })).resolve(amd64, signal));
  t.is(mirror.requests[0]?.headers['x-team'], 'a');
  checkImage(
    t,
    await (await open({ host: 'plain.invalid', auth: { ...auth, serverAddress: mirror.url } })).resolve(amd64, signal),
  );
  checkImage(t, await (await open({ host: 'own.invalid' })).resolve(amd64, signal));
});

test('a mirror for content only is not asked what a tag means', async (t) => {
  const mirror = await startFakeRegistry();
  t.teardown(() => mirror.close());
  mirror.push('team/app', 'v1', makeImage([{ other: 'image' }]));
  const made = await setup(t);
  const toml = `server = "${made.server.url}"\n[host."${mirror.url}"]\ncapabilities = ["pull"]`;
  const { open } = await setup(t, { hostsDir: '/hosts', readText: hostsFiles({ 'origin.invalid': toml }) });
  const repository = await open({ host: 'origin.invalid' });
  const resolved = await repository.resolve(amd64, signal);
  checkImage(t, resolved);
  await repository.config(resolved.manifest.config, signal);
  t.deepEqual(
    mirror.requests.map((r) => `${r.method} ${r.url}`),
    [`GET /v2/team/app/blobs/${image.config.digest}?ns=origin.invalid`],
  );
});

test('blobs: where they are, retried, re-authorised, from the next host', async (t) => {
  const { open, server } = await setup(t);
  server.auth = { type: 'bearer', user: null, identityToken: null, realm: '' };
  const repository = await open();
  await repository.resolve(amd64, signal);
  const digest = image.layers[0]!.digest as never;
  const sources: BlobSource[] = [];
  const outcome = async (work: (n: number) => unknown): Promise<unknown> => {
    sources.length = 0;
    return repository.blob(digest, signal, async (source) => {
      sources.push(source);
      return work(sources.length);
    });
  };
  const status = (code: number): Failure => registryUnavailable('get layer', null, { host: server.host, status: code });
  t.is(await outcome(() => 'bytes'), 'bytes');
  t.like(sources[0], {
    host: server.host,
    url: `${server.url}/v2/team/app/blobs/${String(digest)}`,
    allowHttp: true,
    proxy: null,
  });
  t.deepEqual(sources[0]?.headers, [['authorization', 'Bearer token-1']]);

  server.tokens.clear();
  server.tokens.add('filler');
  const renewed = await outcome((n) => {
    if (n === 1) throw status(401);
    return 'again';
  });
  t.is(renewed, 'again');
  t.deepEqual(sources[1]?.headers, [['authorization', 'Bearer token-2']]);

  await outcome((n) => {
    if (n < 3) throw status(502);
  });
  t.is(sources.length, 3);
  const gone = outcome(() => {
    throw status(404);
  });
  await fails(t, gone, [
    'not-found',
    new RegExp(`get blob ${String(digest)} of ${server.host}/team/app:v1 from ${server.host}: not found`),
  ]);
  const disk = new Failure('resource-exhausted', 'get layer: no space left');
  const full = outcome(() => {
    throw disk;
  });
  t.is(await t.throwsAsync(full), disk);
  t.is(sources.length, 1, 'a full disk is not the host’s fault');
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

test('proxies: plain requests, and refused tunnels', async (t) => {
  const proxy = await startFakeRegistry();
  t.teardown(() => proxy.close());
  const seen: string[] = [];
  proxy.intercept = (request, response) => {
    seen.push(request.url);
    return request.url.startsWith('http://team.invalid') && refuse(response, 404, 'MANIFEST_UNKNOWN');
  };
  const { open } = await setup(t, {
    hostsDir: '/hosts',
    readText: hostsFiles({ 'team.invalid': 'server = "http://team.invalid"' }),
    proxies: { http: proxy.url, https: proxy.url, none: '' },
  });
  await fails(t, (await open({ host: 'team.invalid' })).resolve(amd64, signal), ['not-found', /MANIFEST_UNKNOWN/]);
  t.deepEqual(seen, ['http://team.invalid/v2/team/app/manifests/v1']);
  await fails(t, (await open({ host: 'secure.invalid' })).resolve(amd64, signal), [
    'registry-unavailable',
    /secure\.invalid/,
  ]);
});

test('TLS: own authorities, names, client trust', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'podwright-tls-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const made = makeCertificates(dir);
  const cert = readFileSync(made.ca, 'utf8');
  const server = await startFakeRegistry(made.server(false));
  t.teardown(() => server.close());
  server.push('team/app', 'v1', image);
  const readText = async (path: string): Promise<string | null> => {
    if (path === '/hosts/trusted.invalid/ca.pem') return cert;
    return hostsFiles({
      'trusted.invalid': `server = "${server.url}"\nca = "ca.pem"`,
      'careless.invalid': `server = "${server.url}"\nskip_verify = true`,
      'strict.invalid': `server = "${server.url}"`,
      'name.invalid': `server = "https://localhost:${server.host.split(':')[1]}"\nca = "/hosts/trusted.invalid/ca.pem"`,
      'broken.invalid': `server = "${server.url}"\nca = "/hosts/broken.invalid/hosts.toml"`,
    })(path);
  };
  const { open } = await setup(t, { hostsDir: '/hosts', readText });
  checkImage(t, await (await open({ host: 'trusted.invalid' })).resolve(amd64, signal));
  checkImage(t, await (await open({ host: 'careless.invalid' })).resolve(amd64, signal));
  await fails(t, (await open({ host: 'strict.invalid' })).resolve(amd64, signal), [
    'registry-unavailable',
    /no secure connection/,
  ]);
  await fails(t, (await open({ host: 'name.invalid' })).resolve(amd64, signal), [
    'registry-unavailable',
    /no secure connection.*(altnames|Hostname)/,
  ]);
});
