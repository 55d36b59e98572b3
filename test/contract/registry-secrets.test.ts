// No credential reaches a host it is not for, and none is shown: asserted on what each server received.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { Failure, failureChain } from '../../src/lib/failure.ts';
import { defaultRetry, type RegistryOptions } from '../../src/registry/registry.ts';
import { makeCertificates } from '../helpers/certificates.ts';
import { type AuthMode, type FakeRegistry, refuse, startFakeRegistry } from '../helpers/fake-registry.ts';
import { amd64, answered, checkImage, fails, hostsFiles, image, setup, signal } from './registry/client.ts';

const options: Partial<RegistryOptions> = { retry: { ...defaultRetry, attempts: 1 } };
const user = { username: 'anna', password: 'hunter2!' };
const bearer = { type: 'bearer', user, identityToken: null, realm: '' } as const satisfies AuthMode;

/** All that a server ever received, to look for secrets in. */
const received = (server: FakeRegistry): string => JSON.stringify(server.requests);
const secrets = [
  'hunter2!',
  Buffer.from('anna:hunter2!').toString('base64'),
  'token-',
  'refresh-me',
  'X-Secret',
  'anna',
];

/** Asserts that a server was asked, and saw no secret in any form. */
function sawNothing(t: ExecutionContext, server: FakeRegistry): void {
  t.true(server.requests.length > 0, 'it was asked');
  for (const secret of secrets) t.false(received(server).toLowerCase().includes(secret.toLowerCase()), secret);
  t.true(server.requests.every(({ headers }) => headers.authorization === undefined && headers.cookie === undefined));
}

async function another(t: ExecutionContext): Promise<FakeRegistry> {
  const server = await startFakeRegistry();
  t.teardown(() => server.close());
  server.push('team/app', 'v1', image);
  return server;
}

/** Answers what matches with a redirect to the same path elsewhere. */
const redirecting =
  (path: RegExp, to: string) =>
  (request: { url: string }, response: Parameters<FakeRegistry['intercept']>[1]): boolean =>
    path.test(request.url) && answered(response.writeHead(307, { location: `${to}${request.url}` }).end());

for (const [name, auth, given] of [
  ['basic', { type: 'basic', ...user }, user],
  ['a bearer token for a password', bearer, user],
  ['a bearer token for an identity token', { ...bearer, identityToken: 'refresh-me' }, { identityToken: 'refresh-me' }],
] as const) {
  test(`redirects elsewhere take no credentials along: ${name}`, async (t) => {
    const { open, server } = await setup(t, options);
    const [other, third] = [await another(t), await another(t)];
    server.auth = auth;
    const repository = await open({ auth: given });
    const { manifest } = await repository.resolve(amd64, signal);
    server.intercept = (request, response) =>
      request.headers.authorization !== undefined && redirecting(/\/(manifests|blobs)\//, other.url)(request, response);
    await repository.resolve(amd64, signal);
    await repository.config(manifest.config, signal);
    await repository.probe(signal);
    sawNothing(t, other);
    // and back again: what went away stays away
    other.requests.length = 0;
    other.intercept = redirecting(/./, third.url);
    const before = server.requests.length;
    third.intercept = redirecting(/./, server.url);
    await t.throwsAsync(repository.config(manifest.config, signal));
    sawNothing(t, other);
    sawNothing(t, third);
    t.deepEqual(
      server.requests.slice(before).map(({ headers }) => headers.authorization !== undefined),
      [true, false],
    );
  });
}

test('a host that was led to may not ask for credentials', async (t) => {
  const { open, server } = await setup(t, options);
  const [other, tokens] = [await another(t), await another(t)];
  tokens.auth = bearer;
  other.auth = { ...bearer, realm: `${tokens.url}/token` };
  server.intercept = redirecting(/manifests/, other.url);
  await fails(t, (await open({ auth: user })).resolve(amd64, signal), ['permission-denied', /not authorized/]);
  sawNothing(t, other);
  t.deepEqual(tokens.requests, []);
});

test('headers of hosts.toml stay with their host', async (t) => {
  const [own, other] = [await another(t), await another(t)];
  own.intercept = redirecting(/blobs/, other.url);
  const toml = `[host."${own.url}".header]\nX-Secret = "hunter2!"\nCookie = "anna"`;
  const { open } = await setup(t, { ...options, hostsDir: '/hosts', readText: hostsFiles({ 'r.io': toml }) });
  const repository = await open({ host: 'r.io' });
  const { manifest } = await repository.resolve(amd64, signal);
  await repository.config(manifest.config, signal);
  t.is(own.requests[0]?.headers['x-secret'], 'hunter2!');
  sawNothing(t, other);
});

test('a token server that redirects gets the password, the next one does not', async (t) => {
  const { open, server } = await setup(t, options);
  const other = await another(t);
  server.auth = bearer;
  server.intercept = redirecting(/^\/token/, other.url);
  await t.throwsAsync((await open({ auth: user })).resolve(amd64, signal));
  // the query names the account, which is no secret; the password is in a header only
  t.true(other.requests.length > 0);
  for (const secret of ['hunter2!', secrets[1] ?? '']) t.false(received(other).includes(secret));
  // a refresh token is in the body of a POST: that is not redirected at all
  other.requests.length = 0;
  server.auth = { ...bearer, identityToken: 'refresh-me' };
  await t.throwsAsync((await open({ auth: { identityToken: 'refresh-me' } })).resolve(amd64, signal));
  t.deepEqual(other.requests, []);
});

test('a realm elsewhere sees credentials over TLS only', async (t) => {
  const dir = mkdtempSync('/tmp/pwt-realm-');
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const made = makeCertificates(dir);
  const ca = readFileSync(made.ca, 'utf8');
  const secure = await startFakeRegistry(made.server(false));
  t.teardown(() => secure.close());
  const { open, server } = await setup(t, {
    ...options,
    hostsDir: '/hosts',
    readText: async (path) =>
      path === '/ca.pem' ? ca : hostsFiles({ [secure.host]: `server = "${secure.url}"\nca = "/ca.pem"` })(path),
  });
  const port = server.host.split(':')[1] ?? '';
  const other = await another(t);
  // the registry is spoken to without TLS, so its own host may have the password without TLS, and nobody else
  for (const realm of [`http://localhost:${port}/token`, `http://127.0.0.2:${port}/token`]) {
    server.auth = { ...bearer, realm };
    await fails(t, (await open({ auth: user })).resolve(amd64, signal), ['permission-denied', /without encryption/]);
  }
  server.auth = { ...bearer, realm: `${other.url}/token` };
  other.auth = bearer;
  await t.throwsAsync((await open({ auth: user })).resolve(amd64, signal));
  t.is(other.seen('GET', /^\/token/).length, 1, 'the same host');
  // an encrypted registry's credentials and tokens never go unencrypted, not even to its own host
  secure.auth = { ...bearer, realm: `${other.url}/token` };
  other.requests.length = 0;
  for (const auth of [user, null]) {
    await fails(t, (await open({ host: secure.host, auth })).resolve(amd64, signal), [
      'permission-denied',
      /wants tokens fetched from 127\.0\.0\.1:\d+ without encryption/,
    ]);
  }
  t.deepEqual(other.requests, []);
  secure.auth = { ...bearer, realm: 'https://anna:hunter2!@127.0.0.1/' };
  await fails(t, (await open({ host: secure.host, auth: user })).resolve(amd64, signal), [
    'permission-denied',
    /credentials in its address/,
  ]);
});

test('a realm where no server may lead is not asked', async (t) => {
  const { open, server } = await setup(t, options);
  for (const realm of ['http://169.254.169.254/latest/api/token', 'http://[fe80::1]/', 'http://100.100.100.200/']) {
    server.auth = { ...bearer, user: null, realm };
    await fails(t, (await open()).resolve(amd64, signal), ['failed-precondition', /no server may lead to/]);
  }
});

test('tokens that are none, too long, or in too long an answer', async (t) => {
  const { open, server } = await setup(t, options);
  server.auth = { ...bearer, user: null };
  for (const [body, kind, why] of [
    [JSON.stringify({ token: 'x'.repeat(70_000) }), 'registry-unavailable', /a token that no header can hold/],
    [JSON.stringify({ token: 'a\r\nX-Evil: b' }), 'registry-unavailable', /a token that no header can hold/],
    [JSON.stringify({ token: 5, access_token: ['x'] }), 'registry-unavailable', /gave no token/],
    [' '.repeat(300_000), 'failed-precondition', /answer is too large/],
    ['null', 'registry-unavailable', /gave no token/],
  ] as const) {
    server.intercept = (request, response) => request.url.startsWith('/token') && answered(response.end(body));
    await fails(t, (await open()).resolve(amd64, signal), [kind, why]);
  }
});

test('a server that repeats what it was sent does not get it shown', async (t) => {
  const { open, server } = await setup(t, options);
  for (const auth of [{ type: 'basic', ...user }, bearer] as const) {
    server.auth = auth;
    server.tokens.clear();
    server.intercept = (request, response) => {
      const { authorization } = request.headers;
      if (typeof authorization !== 'string' || request.url.startsWith('/token')) return false;
      const [, proof = ''] = authorization.split(' ');
      const clear = Buffer.from(proof, 'base64').toString('utf8');
      const message = `${'x'.repeat(150)} you sent ${proof} that is ${clear}`;
      response.writeHead(403);
      return answered(response.end(JSON.stringify({ errors: [{ code: 'DENIED', message }] })));
    };
    const failure = await fails(t, (await open({ auth: user })).resolve(amd64, signal), [
      'permission-denied',
      /you sent \*\*\*/,
    ]);
    for (const secret of ['hunter2', ...secrets.slice(1, 3)]) t.false(failureChain(failure).includes(secret), secret);
  }
});

test('a mirror that asks for credentials gets none of the origin’s', async (t) => {
  const [mirror, origin] = [await another(t), await another(t)];
  mirror.auth = { ...bearer, realm: '' };
  origin.auth = { type: 'basic', ...user };
  const toml = `server = "${origin.url}"\n[host."${mirror.url}"]`;
  const { open } = await setup(t, { ...options, hostsDir: '/hosts', readText: hostsFiles({ [origin.host]: toml }) });
  checkImage(t, await (await open({ host: origin.host, auth: user })).resolve(amd64, signal));
  sawNothing(t, mirror);
});

test('challenges that are wrong: no realm, strange schemes, none at all, without end', async (t) => {
  const { open, server } = await setup(t, options);
  for (const challenge of [
    '',
    'Bearer',
    'Bearer realm=""',
    'Bearer realm="not a url"',
    'Negotiate, NTLM abc==',
    'Bearer realm="http://127.0.0.1:1/", '.repeat(300),
    'Basic realm="x" '.repeat(500),
  ]) {
    server.intercept = (_, response) =>
      refuse(response, 401, { code: 'UNAUTHORIZED', headers: { 'www-authenticate': challenge } });
    const error = await t.throwsAsync((await open({ auth: user })).resolve(amd64, signal), { instanceOf: Failure });
    t.true(['permission-denied', 'registry-unavailable'].includes(error.kind), failureChain(error));
  }
});
