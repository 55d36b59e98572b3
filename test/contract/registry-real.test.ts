// A real registry with TLS, passwords and tokens: who may pull, who may not, and what they are told.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Failure, failureChain, type FailureKind } from '../../src/lib/failure.ts';
import { loadNative } from '../../src/native/load.ts';
import type { AuthConfig } from '../../src/registry/credentials.ts';
import { type Certificates, makeCertificates } from '../helpers/certificates.ts';
import { type ImageRoom, openImageRoom, temporaryRoot } from '../helpers/image-room.ts';
import { addon, cannotRun } from '../helpers/real-addon.ts';
import { type RealRegistry, startRealRegistry } from '../helpers/real-registry.ts';
import { kitImage } from '../helpers/registry.ts';
import { startTokenServer, type TokenServer } from '../helpers/token-server.ts';

const real = cannotRun === null ? test.serial : test.serial.skip;
const title = (what: string): string => (cannotRun === null ? what : `${what} (${cannotRun})`);

const dir = mkdtempSync('/tmp/pwt-access-');
const none: AuthConfig = {
  username: '',
  password: '',
  auth: '',
  serverAddress: '',
  identityToken: '',
  registryToken: '',
};
const anna = { username: 'anna', password: 'correct horse' };
const refreshToken = 'refresh-4711';
// htpasswd -nbB -C 4 anna 'correct horse'
const htpasswd = 'anna:$2b$04$APIzCCRml7sYX0B9MqeOxufcUiZV5IA0S7pbfpvdM9PuXPUTp5j8q\n';
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const repository = 'bench/tools';

let certificates: Certificates;
let guarded: RealRegistry;
let tokens: TokenServer;
let byToken: RealRegistry;

test.before('the registries', async () => {
  certificates = makeCertificates(dir);
  writeFileSync(join(dir, 'htpasswd'), htpasswd);
  const tls = certificates;
  guarded = await startRealRegistry(dir, 'htpasswd', { guard: { type: 'htpasswd', file: join(dir, 'htpasswd') }, tls });
  tokens = await startTokenServer(dir, tls, { ...anna, refreshToken });
  byToken = await startRealRegistry(dir, 'token', { guard: { type: 'token', ...tokens }, tls });
});
test.after.always('the registries end', async () => {
  await Promise.all([guarded?.close(), byToken?.close(), tokens?.close()]);
  rmSync(dir, { recursive: true, force: true });
});

/** What a node's operator and its users do. */
interface Node extends ImageRoom {
  /** Pulls the image as somebody; answers its id. */
  readonly from: (registry: RealRegistry, auth: Partial<AuthConfig> | null) => Promise<string>;
  readonly trust: (registry: RealRegistry) => void;
  readonly writeAuths: (auths: object) => void;
}

/** A node without an image, which knows the authority of both registries and has no credentials. */
async function node(t: ExecutionContext): Promise<Node> {
  const root = temporaryRoot(t);
  const room = await openImageRoom(t, loadNative(addon), root);
  tokens.claims = (claims) => claims;
  tokens.requests.length = 0;
  const trust = ({ host }: RealRegistry): void => {
    mkdirSync(join(root, 'certs.d', host), { recursive: true });
    writeFileSync(join(root, 'certs.d', host, 'hosts.toml'), `server = "https://${host}"\nca = "${certificates.ca}"\n`);
  };
  for (const registry of [guarded, byToken]) trust(registry);
  return {
    ...room,
    trust,
    from: ({ host }, auth) => room.pull(`${host}/${repository}`, { auth: auth && { ...none, ...auth } }),
    writeAuths: (auths) => writeFileSync(join(root, 'auth.json'), JSON.stringify({ auths })),
  };
}

/** Asserts that a pull is refused like that, without a word of what was secret. */
async function refused(
  t: ExecutionContext,
  work: Promise<unknown>,
  [kind, pattern]: [FailureKind, RegExp],
): Promise<void> {
  const error = await t.throwsAsync(work, { instanceOf: Failure });
  const text = failureChain(error);
  t.is(error.kind, kind, text);
  t.regex(text, pattern);
  for (const secret of [anna.password, refreshToken, base64('anna:correct horse')]) t.false(text.includes(secret));
}

real(title('a password: right in both forms, wrong, none, for another server'), async (t) => {
  const made = await node(t);
  const { config_digest: id } = await kitImage(repository);
  await refused(t, made.from(guarded, null), ['permission-denied', /not authorized: status 401: UNAUTHORIZED/]);
  await refused(t, made.from(guarded, { ...anna, password: 'wrong' }), ['permission-denied', /not authorized/]);
  await refused(t, made.from(guarded, { ...anna, serverAddress: 'https://other.example' }), [
    'permission-denied',
    /not authorized/,
  ]);
  t.is(await made.from(guarded, anna), id);
  // who may not pull it may not have it because somebody else did
  await refused(t, made.from(guarded, null), ['permission-denied', /not authorized/]);
  t.is(
    await made.from(guarded, { auth: base64('anna:correct horse'), serverAddress: `https://${guarded.host}/v1/` }),
    id,
  );
});

real(title('the credentials of the node: by registry and by repository, read anew'), async (t) => {
  const made = await node(t);
  const { config_digest: id } = await kitImage(repository);
  made.writeAuths({
    [guarded.host]: { auth: base64('anna:wrong') },
    [`${guarded.host}/bench`]: { auth: base64('anna:correct horse') },
  });
  t.is(await made.from(guarded, null), id);
  made.writeAuths({ [guarded.host]: { auth: base64('anna:wrong') } });
  await refused(t, made.from(guarded, null), ['permission-denied', /not authorized/]);
  made.writeAuths({ [guarded.host]: { auth: base64('anna:correct horse') } });
  t.is(await made.from(guarded, null), id);
  await refused(t, made.from(guarded, { ...anna, password: 'wrong' }), ['permission-denied', /not authorized/]);
  writeFileSync(
    join(made.root, 'auth.json'),
    `{"auths": {"${guarded.host}": {"auth": "${base64('anna:correct horse')}"`,
  );
  await refused(t, made.from(guarded, null), ['failed-precondition', /credentials file .*auth\.json is not usable/]);
});

real(title('tokens: for a password, for a refresh token, as it is'), async (t) => {
  const made = await node(t);
  const { config_digest: id } = await kitImage(repository);
  t.is(await made.from(byToken, anna), id);
  t.true(tokens.requests.length > 0);
  for (const { method, scopes } of tokens.requests)
    t.deepEqual([method, ...scopes], ['GET', `repository:${repository}:pull`]);
  tokens.requests.length = 0;
  t.is(await made.from(byToken, { identityToken: refreshToken }), id);
  t.deepEqual([tokens.requests[0]?.method, tokens.requests[0]?.grant], ['POST', 'refresh_token']);
  await refused(t, made.from(byToken, null), [
    'permission-denied',
    /token server .*not authorized.*incorrect username/,
  ]);
  await refused(t, made.from(byToken, { ...anna, password: 'no' }), [
    'permission-denied',
    /token server .*not authorized/,
  ]);
  await refused(t, made.from(byToken, { identityToken: 'no' }), ['permission-denied', /token server .*not authorized/]);
  await refused(t, made.from(byToken, { registryToken: 'no.token.atall' }), ['permission-denied', /not authorized/]);
});

real(title('tokens that the registry does not take: expired, for another repository, of another issuer'), async (t) => {
  const made = await node(t);
  for (const change of [
    { exp: Math.floor(Date.now() / 1000) - 3600 },
    { access: [{ type: 'repository', name: 'other/image', actions: ['pull'] }] },
    { iss: 'somebody else' },
  ]) {
    tokens.claims = (claims) => ({ ...claims, ...change });
    await refused(t, made.from(byToken, anna), ['permission-denied', /not authorized: status 401|access denied/]);
  }
  tokens.claims = (claims) => claims;
  t.is(await made.from(byToken, anna), (await kitImage(repository)).config_digest);
});

real(title('a mirror that wants a token, with credentials of its own'), async (t) => {
  const made = await node(t);
  const { config_digest: id } = await kitImage(repository);
  const conf = join(made.root, 'registries.conf');
  writeFileSync(
    conf,
    `[[registry]]\nprefix = "registry.example/team"\nlocation = "${guarded.host}/nothing"\n` +
      `[[registry.mirror]]\nlocation = "${byToken.host}/bench"\n`,
  );
  const name = 'registry.example/team/tools';
  const auth = { ...none, username: 'kube', password: 'secret of registry.example' };
  await refused(t, made.pull(name, { auth }), ['permission-denied', /all 2 hosts failed/]);
  t.true(tokens.requests.every(({ authorization }) => authorization === null));
  made.writeAuths({ [byToken.host]: { auth: base64('anna:correct horse') } });
  t.is(await made.pull(name, { auth }), id);
  t.deepEqual(made.images.status(name)?.repoTags, [`${name}:latest`]);
  writeFileSync(conf, '[[registry]]\nlocation = "registry.example"\nblocked = true\n');
  await refused(t, made.pull(name, { auth }), ['permission-denied', /is blocked by prefix/]);
});

real(title('an authority that is not known'), async (t) => {
  const made = await node(t);
  const file = join(made.root, 'certs.d', guarded.host, 'hosts.toml');
  writeFileSync(file, `server = "https://${guarded.host}"\n`);
  await refused(t, made.from(guarded, anna), [
    'registry-unavailable',
    /no secure connection, its certificate is of an unknown authority/,
  ]);
  made.trust(guarded);
  t.is(await made.from(guarded, anna), (await kitImage(repository)).config_digest);
});
