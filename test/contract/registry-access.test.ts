import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Failure, failureChain, registryUnavailable } from '../../src/lib/failure.ts';
import { type BlobSource } from '../../src/registry/repository.ts';
import { makeCertificates, makeExpired } from '../helpers/certificates.ts';
import { refuse, startFakeRegistry } from '../helpers/fake-registry.ts';
import { makeImage } from '../helpers/image-parts.ts';
import { amd64, answered, checkImage, fails, hostsFiles, image, nowhere, setup, signal } from './registry/client.ts';

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

test('a challenge of several scopes, and several challenges', async (t) => {
  const { open, server } = await setup(t);
  server.auth = { type: 'bearer', user: null, identityToken: null, realm: '' };
  server.intercept = ({ url, headers }, response) => {
    if (url.startsWith('/token') || headers.authorization !== undefined) return false;
    const scopes = 'repository:team/app:pull repository:team/base:pull';
    const bearer = `Bearer realm="${server.url}/token",service="a b",scope="${scopes}"`;
    response.writeHead(
      401,
      [
        ['WWW-Authenticate', 'Basic realm="never"'],
        ['WWW-Authenticate', bearer],
      ].flat(),
    );
    return answered(response.end());
  };
  checkImage(t, await (await open({ auth: null })).resolve(amd64, signal));
  const asked = new URL(server.seen('GET', /^\/token/)[0]?.url ?? '', server.url).searchParams;
  t.deepEqual(asked.getAll('scope'), ['repository:team/app:pull', 'repository:team/base:pull']);
  t.is(asked.get('service'), 'a b');
});

const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));
const withIpv6 = hasIpv6 ? test : test.skip;

withIpv6(
  `a registry at an address of IPv6, by tag and digest${hasIpv6 ? '' : ' (no ::1 on this machine)'}`,
  async (t) => {
    const { open } = await setup(t);
    const server = await startFakeRegistry(null, '::1');
    t.teardown(() => server.close());
    server.push('team/app', 'v1', image);
    server.auth = { type: 'bearer', user: { username: 'u', password: 'p' }, identityToken: null, realm: '' };
    const auth = { username: 'u', password: 'p', serverAddress: `http://${server.host}/v2/` };
    const repository = await open({ host: server.host, tag: 'never-asked-for', digest: image.manifest.digest, auth });
    const resolved = await repository.resolve(amd64, signal);
    checkImage(t, resolved);
    t.is(resolved.host, server.host);
    t.false(server.requests.some(({ url }) => url.includes('never-asked-for')));
  },
);

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
  const made = await setup(t, { hostsDir: '/hosts', readText: hostsFiles({ [nowhere]: toml }) });
  const auth = { username: 'u', password: 'p' };
  const repository = await made.open({ host: nowhere, auth });
  const resolved = await repository.resolve(amd64, signal);
  checkImage(t, resolved);
  t.is(resolved.host, good.host);
  t.is(good.requests[0]?.url, `/v2/team/app/manifests/v1?ns=${nowhere}`);
  t.is(good.requests[0]?.headers.authorization, undefined);
  good.auth = { type: 'basic', ...auth };
  const failure = await fails(t, repository.config(resolved.manifest.config, signal), [
    'registry-unavailable',
    /all 4 hosts failed/,
  ]);
  for (const m of [down, wrong, good]) t.true(failureChain(failure).includes(m.host));
  t.true(failureChain(failure).includes(`${nowhere}: its name cannot be resolved`));
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
    /no secure connection, its certificate is of an unknown authority/,
  ]);
  await fails(t, (await open({ host: 'name.invalid' })).resolve(amd64, signal), [
    'registry-unavailable',
    /no secure connection, its certificate is for another name.*(altnames|Hostname)/,
  ]);
  const old = await startFakeRegistry(makeExpired(dir));
  t.teardown(() => old.close());
  const { open: openOld } = await setup(t, {
    hostsDir: '/hosts',
    readText: async (path) =>
      path === '/ca.pem' ? cert : hostsFiles({ old: `server = "${old.url}"\nca = "/ca.pem"` })(path),
  });
  await fails(t, (await openOld({ host: 'old' })).resolve(amd64, signal), [
    'registry-unavailable',
    /no secure connection, its certificate has expired/,
  ]);
});
