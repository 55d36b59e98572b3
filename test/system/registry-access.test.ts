// A real registry with TLS, passwords and tokens, through the daemon: what the kubelet is told, and that no secret is
// logged. More cases: test/contract/registry-real.test.ts.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { status as grpcStatus, type ServiceError } from '@grpc/grpc-js';
import { type Certificates, makeCertificates } from '../helpers/certificates.ts';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { type RealRegistry, startRealRegistry } from '../helpers/real-registry.ts';
import { kitImage } from '../helpers/registry.ts';
import { startTokenServer, type TokenServer } from '../helpers/token-server.ts';

const dir = mkdtempSync('/tmp/pwt-access-');
const authFile = join(dir, 'auth.json');
const daemon = useDaemon(test, { network: 'none', flags: [`--set=registry.auth_files=${authFile}`] });

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
  for (const { host } of [guarded, byToken]) trust(host);
});
test.after.always('the registries end', async () => {
  await Promise.all([guarded?.close(), byToken?.close(), tokens?.close()]);
  rmSync(dir, { recursive: true, force: true });
});
test.beforeEach('the node has no credentials, the store no image', async () => {
  writeFileSync(authFile, '{}');
  tokens.claims = (claims) => claims;
  tokens.requests.length = 0;
  for (const { id } of (await daemon.image.ListImages({})).images)
    await daemon.image.RemoveImage({ image: { image: id } });
});

/** Writes the hosts.toml of a registry: TLS, by the authority of this test. */
function trust(host: string): void {
  mkdirSync(join(daemon.certsDir, host), { recursive: true });
  writeFileSync(join(daemon.certsDir, host, 'hosts.toml'), `server = "https://${host}"\nca = "${certificates.ca}"\n`);
}

type Auth = Readonly<Record<string, string>>;
const pullFrom = async ({ host }: RealRegistry, auth: Auth | null): Promise<string> =>
  (await daemon.image.PullImage({ image: { image: `${host}/${repository}` }, ...(auth === null ? {} : { auth }) }))
    .image_ref;

/** Asserts that a pull is refused like that, without a word of what was secret. */
async function refused(t: ExecutionContext, work: Promise<unknown>, [code, pattern]: [string, RegExp]): Promise<void> {
  const error = (await t.throwsAsync(work)) as unknown as ServiceError;
  t.is(grpcStatus[error.code], code, error.details);
  t.regex(error.details, pattern);
  const shown = `${error.details}\n${daemon.log()}`;
  for (const secret of [anna.password, refreshToken, base64('anna:correct horse')]) t.false(shown.includes(secret));
}

test.serial('a password: right in both forms, wrong, none, for another server', async (t) => {
  const { config_digest: id } = await kitImage(repository);
  await refused(t, pullFrom(guarded, null), ['PERMISSION_DENIED', /not authorized: status 401: UNAUTHORIZED/]);
  await refused(t, pullFrom(guarded, { ...anna, password: 'wrong' }), ['PERMISSION_DENIED', /not authorized/]);
  await refused(t, pullFrom(guarded, { ...anna, server_address: 'https://other.example' }), [
    'PERMISSION_DENIED',
    /not authorized/,
  ]);
  t.is(await pullFrom(guarded, anna), id);
  // who may not pull it may not have it because somebody else did
  await refused(t, pullFrom(guarded, null), ['PERMISSION_DENIED', /not authorized/]);
  t.is(
    await pullFrom(guarded, { auth: base64('anna:correct horse'), server_address: `https://${guarded.host}/v1/` }),
    id,
  );
});

test.serial('the credentials of the node: by registry and by repository, read anew', async (t) => {
  const { config_digest: id } = await kitImage(repository);
  const write = (auths: object): void => writeFileSync(authFile, JSON.stringify({ auths }));
  write({
    [guarded.host]: { auth: base64('anna:wrong') },
    [`${guarded.host}/bench`]: { auth: base64('anna:correct horse') },
  });
  t.is(await pullFrom(guarded, null), id);
  write({ [guarded.host]: { auth: base64('anna:wrong') } });
  await refused(t, pullFrom(guarded, null), ['PERMISSION_DENIED', /not authorized/]);
  write({ [guarded.host]: { auth: base64('anna:correct horse') } });
  t.is(await pullFrom(guarded, null), id);
  await refused(t, pullFrom(guarded, { ...anna, password: 'wrong' }), ['PERMISSION_DENIED', /not authorized/]);
  writeFileSync(authFile, `{"auths": {"${guarded.host}": {"auth": "${base64('anna:correct horse')}"`);
  await refused(t, pullFrom(guarded, null), ['FAILED_PRECONDITION', /credentials file .*auth\.json is not usable/]);
});

test.serial('a token: for a password, for a refresh token, expired', async (t) => {
  const { config_digest: id } = await kitImage(repository);
  tokens.claims = (claims) => ({ ...claims, exp: Math.floor(Date.now() / 1000) - 3600 });
  await refused(t, pullFrom(byToken, anna), ['PERMISSION_DENIED', /not authorized: status 401/]);
  tokens.claims = (claims) => claims;
  await refused(t, pullFrom(byToken, null), ['PERMISSION_DENIED', /token server .*not authorized.*incorrect username/]);
  t.is(await pullFrom(byToken, anna), id);
  t.is(await pullFrom(byToken, { identity_token: refreshToken }), id);
});

test.serial('a mirror that wants a token, with credentials of its own', async (t) => {
  const { config_digest: id } = await kitImage(repository);
  writeFileSync(
    daemon.registriesConf,
    `[[registry]]\nprefix = "registry.example/team"\nlocation = "${guarded.host}/nothing"\n` +
      `[[registry.mirror]]\nlocation = "${byToken.host}/bench"\n`,
  );
  const name = 'registry.example/team/tools';
  const auth = { username: 'kube', password: 'secret of registry.example' };
  await refused(t, daemon.image.PullImage({ image: { image: name }, auth }), [
    'PERMISSION_DENIED',
    /all 2 hosts failed/,
  ]);
  t.true(tokens.requests.every(({ authorization }) => authorization === null));
  writeFileSync(authFile, JSON.stringify({ auths: { [byToken.host]: { auth: base64('anna:correct horse') } } }));
  t.is((await daemon.image.PullImage({ image: { image: name }, auth })).image_ref, id);
  const { image } = await daemon.image.ImageStatus({ image: { image: name } });
  t.deepEqual(image?.repo_tags, [`${name}:latest`]);
  writeFileSync(daemon.registriesConf, '[[registry]]\nlocation = "registry.example"\nblocked = true\n');
  await refused(t, daemon.image.PullImage({ image: { image: name }, auth }), [
    'PERMISSION_DENIED',
    /is blocked by prefix/,
  ]);
  rmSync(daemon.registriesConf);
});

test.serial('an authority that is not known', async (t) => {
  writeFileSync(join(daemon.certsDir, guarded.host, 'hosts.toml'), `server = "https://${guarded.host}"\n`);
  await refused(t, pullFrom(guarded, anna), [
    'UNKNOWN',
    /^RegistryUnavailable: .*no secure connection, its certificate is of an unknown authority/,
  ]);
  trust(guarded.host);
  t.is(await pullFrom(guarded, anna), (await kitImage(repository)).config_digest);
});

endsWithoutResidue(test, daemon);
