// Images pushed to a real registry with TLS, passwords and tokens: they are there as they were here, for us and for skopeo.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import type { PushedImage, PushRequest } from '../../src/image/push.ts';
import { Failure, failureChain, type FailureKind } from '../../src/lib/failure.ts';
import { loadNative } from '../../src/native/load.ts';
import type { AuthConfig } from '../../src/registry/credentials.ts';
import { type Certificates, makeCertificates } from '../helpers/certificates.ts';
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts';
import { makeArtifact, makeImage } from '../helpers/image-parts.ts';
import { type ImageRoom, openImageRoom, temporaryRoot } from '../helpers/image-room.ts';
import { addon, cannotRunWith, unless } from '../helpers/real-addon.ts';
import { type RealRegistry, startRealRegistry } from '../helpers/real-registry.ts';
import { startTokenServer, type TokenServer } from '../helpers/token-server.ts';

const run = promisify(execFile);
const cannotRun = cannotRunWith('skopeo');
const real = unless(cannotRun, test.serial);

const dir = mkdtempSync('/tmp/pwt-push-');
const never = new AbortController().signal;
const anna = { username: 'anna', password: 'correct horse' };
// htpasswd -nbB -C 4 anna 'correct horse'
const htpasswd = 'anna:$2b$04$APIzCCRml7sYX0B9MqeOxufcUiZV5IA0S7pbfpvdM9PuXPUTp5j8q\n';
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const sha256 = (bytes: string | Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const asAnna: AuthConfig = { ...anna, auth: '', serverAddress: '', identityToken: '', registryToken: '' };

const image = makeImage([
  { 'etc/': '755', 'etc/one': '1', big: 'x'.repeat(3_000_000) },
  { 'etc/two': '2', 'etc/.wh.one': '' },
  { 'opt/deep/er': 'e' },
]);
const dockerImage = makeImage([{ a: '1' }, { b: '2' }], {
  manifest: (manifest) => ({
    ...manifest,
    mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
    config: { ...(manifest['config'] as object), mediaType: 'application/vnd.docker.container.image.v1+json' },
    layers: (manifest['layers'] as object[]).map((layer) => ({
      ...layer,
      mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
    })),
  }),
});

let certificates: Certificates;
let guarded: RealRegistry;
let tokens: TokenServer;
let byToken: RealRegistry;

test.before('the registries', async () => {
  if (cannotRun !== null) return;
  certificates = makeCertificates(dir);
  writeFileSync(join(dir, 'htpasswd'), htpasswd);
  const tls = certificates;
  const store = join(dir, 'store');
  const guard = { type: 'htpasswd', file: join(dir, 'htpasswd') } as const;
  guarded = await startRealRegistry(dir, 'htpasswd', { guard, tls, store });
  tokens = await startTokenServer(dir, tls, { ...anna, refreshToken: 'refresh-4711' });
  byToken = await startRealRegistry(dir, 'token', {
    guard: { type: 'token', ...tokens },
    tls,
    store: join(dir, 'tokens'),
  });
});
test.after.always('the registries end', async () => {
  await Promise.all([guarded?.close(), byToken?.close(), tokens?.close()]);
  rmSync(dir, { recursive: true, force: true });
});

interface Node extends ImageRoom {
  readonly fake: FakeRegistry;
  readonly push: (reference: string, target: string, more?: Partial<PushRequest>) => Promise<PushedImage>;
}

/** A node that trusts both registries, beside one from which its images come. */
async function node(t: ExecutionContext, keepBlobs = false): Promise<Node> {
  const root = temporaryRoot(t);
  const fake = await startFakeRegistry();
  t.teardown(() => fake.close());
  const room = await openImageRoom(t, loadNative(addon), root);
  room.settings.keepBlobs = keepBlobs;
  for (const { host } of [guarded, byToken]) {
    mkdirSync(join(root, 'certs.d', host), { recursive: true });
    writeFileSync(join(root, 'certs.d', host, 'hosts.toml'), `server = "https://${host}"\nca = "${certificates.ca}"\n`);
  }
  return {
    ...room,
    fake,
    push: (reference, target, more = {}) =>
      room.images.push(
        {
          reference,
          target,
          compression: 'gzip',
          auth: asAnna,
          authFile: null,
          skipVerify: false,
          onProgress: () => undefined,
          ...more,
        },
        never,
      ),
  };
}

/** The manifest, and the digests of config and uncompressed layers, as skopeo reads them from there. */
async function asSkopeoSees(reference: string): Promise<{ manifest: string; config: string; diffIds: string[] }> {
  const access = ['--tls-verify=false', '--creds', 'anna:correct horse'];
  const inspect = (...more: string[]) => run('skopeo', ['inspect', ...access, ...more, `docker://${reference}`]);
  const [raw, config] = await Promise.all([inspect('--raw'), inspect('--config', '--raw')]);
  const out = mkdtempSync(join(dir, 'skopeo-'));
  const copy = ['--insecure-policy', 'copy', '--dest-decompress', '--src-tls-verify=false'];
  await run('skopeo', [...copy, '--src-creds', 'anna:correct horse', `docker://${reference}`, `dir:${out}`]);
  const { layers } = JSON.parse(readFileSync(join(out, 'manifest.json'), 'utf8')) as { layers: { digest: string }[] };
  const diffIds = layers.map(({ digest }) => sha256(readFileSync(join(out, digest.replace('sha256:', '')))));
  return { manifest: sha256(raw.stdout), config: sha256(config.stdout), diffIds };
}

const diffIdsOf = ({ layers }: typeof image): string[] => layers.map(({ diffId }) => diffId);

real('kept blobs: the same manifest, pulled back by us and by skopeo', async (t) => {
  const made = await node(t, true);
  for (const [name, one] of [
    ['oci', image],
    ['docker', dockerImage],
  ] as const) {
    made.fake.push(`team/${name}`, 'v1', one);
    const source = `${made.fake.host}/team/${name}:v1`;
    const id = await made.pull(source);
    const stages = new Set<string>();
    const target = `${guarded.host}/kept/${name}:v1`;
    const onProgress: PushRequest['onProgress'] = (blobs) => blobs.forEach(({ stage }) => stages.add(stage));
    const pushed = await made.push(source, target, { onProgress });
    t.deepEqual(pushed, {
      id: id as never,
      reference: target,
      manifestDigest: one.manifest.digest as never,
      size: one.manifest.bytes.length,
      sameManifest: true,
    });
    t.true(stages.has('uploading') && stages.has('done') && !stages.has('compressing'));
    const seen = await asSkopeoSees(target);
    t.deepEqual(seen, { manifest: one.manifest.digest, config: id, diffIds: diffIdsOf(one) });
    await made.images.remove(source);
    await made.images.sweep();
    t.is(await made.pull(target, { auth: asAnna }), id);
    t.is(made.images.status(target)?.manifestDigest, one.manifest.digest as never);
  }
});

for (const compression of ['gzip', 'zstd', 'none'] as const) {
  real(
    `without kept blobs: ${compression} made of the layers, a new manifest, the same config and diff ids`,
    async (t) => {
      const made = await node(t);
      made.fake.push('team/app', 'v1', image);
      const source = `${made.fake.host}/team/app:v1`;
      const id = await made.pull(source);
      const target = `${guarded.host}/made/${compression}:v1`;
      const pushed = await made.push(source, target, { compression });
      t.false(pushed.sameManifest);
      t.deepEqual(readdirSync(made.paths.ingestDir), [], 'what was made for it is gone');
      await made.images.remove(source);
      await made.images.sweep();
      t.is(await made.pull(target, { auth: asAnna }), id);
      t.is(made.images.status(target)?.manifestDigest, pushed.manifestDigest);
      t.deepEqual(
        made.images.status(target)?.layers.map(({ diffId }) => diffId as string),
        diffIdsOf(image),
      );
      if (compression === 'zstd') return; // skopeo's --dest-decompress of Debian leaves zstd as it is
      t.deepEqual(await asSkopeoSees(target), {
        manifest: pushed.manifestDigest,
        config: id,
        diffIds: diffIdsOf(image),
      });
    },
  );
}

real(
  'what is there is not sent again, and what another repository has is mounted: no layer is needed here',
  async (t) => {
    const made = await node(t);
    made.fake.push('team/app', 'v1', image);
    const source = `${made.fake.host}/team/app:v1`;
    made.settings.keepBlobs = true;
    const id = await made.pull(source);
    const first = `${guarded.host}/reuse/first:v1`;
    await made.push(source, first);
    await made.images.remove(source);
    await made.images.sweep();
    made.settings.keepBlobs = false;
    t.is(await made.pull(first, { auth: asAnna }), id);
    const seen: string[] = [];
    const onProgress: PushRequest['onProgress'] = (blobs) => seen.push(blobs.map(({ stage }) => stage).join(' '));
    const again = await made.push(first, '', { onProgress });
    t.true(again.sameManifest);
    t.is(seen.at(-1), 'present present present present');
    const mounted = await made.push(first, `${guarded.host}/reuse/second:v2`, { onProgress });
    t.true(mounted.sameManifest, 'all layers are taken over, so the manifest is the same');
    t.is(seen.at(-1), 'mounted mounted mounted done');
    t.deepEqual(await asSkopeoSees(mounted.reference), {
      manifest: image.manifest.digest,
      config: id,
      diffIds: diffIdsOf(image),
    });
  },
);

real('tokens: leave to push is asked for at once, once for each repository', async (t) => {
  const made = await node(t, true);
  made.fake.push('team/app', 'v1', image);
  const source = `${made.fake.host}/team/app:v1`;
  const id = await made.pull(source);
  tokens.requests.length = 0;
  const target = `${byToken.host}/by/token:v1`;
  t.true((await made.push(source, target)).sameManifest);
  for (const { scopes } of tokens.requests) t.true(scopes.includes('repository:by/token:pull,push'), scopes.join(' '));
  t.is((await asSkopeoSees(target)).config, id);
  await made.images.remove(source);
  t.is(await made.pull(target, { auth: asAnna }), id);
  t.true((await made.push(target, `${byToken.host}/by/other:v1`)).sameManifest, 'mounted with a token for both');
});

real('credentials of files, and who may not push', async (t) => {
  const made = await node(t, true);
  made.fake.push('team/app', 'v1', image);
  const source = `${made.fake.host}/team/app:v1`;
  await made.pull(source);
  const target = `${guarded.host}/files/app:v1`;
  const refused = async (more: Partial<PushRequest>, [kind, pattern]: [FailureKind, RegExp]): Promise<void> => {
    const error = await t.throwsAsync(made.push(source, target, more), { instanceOf: Failure });
    t.is(error.kind, kind, failureChain(error));
    t.regex(failureChain(error), pattern);
    t.false(failureChain(error).includes(anna.password));
  };
  await refused({ auth: null }, ['permission-denied', /not authorized/]);
  await refused({ auth: { ...asAnna, password: 'wrong' } }, ['permission-denied', /not authorized/]);
  const file = join(made.root, 'given.json');
  await refused({ auth: null, authFile: file }, ['failed-precondition', /given\.json does not exist/]);
  writeFileSync(file, JSON.stringify({ auths: { [guarded.host]: { auth: base64('anna:correct horse') } } }));
  t.true((await made.push(source, target, { auth: null, authFile: file })).sameManifest);
  writeFileSync(file, JSON.stringify({ auths: {} }));
  writeFileSync(
    join(made.root, 'auth.json'),
    JSON.stringify({ auths: { [guarded.host]: { auth: base64('anna:correct horse') } } }),
  );
  t.true((await made.push(source, target, { auth: null })).sameManifest, "the node's own");
  await refused({ auth: null, authFile: file }, ['permission-denied', /not authorized/]);
  // the certificate: known by hosts.toml, not at all, or of no interest
  rmSync(join(made.root, 'certs.d', guarded.host), { recursive: true });
  mkdirSync(join(made.root, 'certs.d', guarded.host));
  const hosts = join(made.root, 'certs.d', guarded.host, 'hosts.toml');
  writeFileSync(hosts, `server = "https://${guarded.host}"\n`);
  await refused({}, ['registry-unavailable', /no secure connection/]);
  t.true((await made.push(source, target, { skipVerify: true })).sameManifest);
  writeFileSync(
    hosts,
    `server = "https://${guarded.host}"\nca = "${certificates.ca}"\ncapabilities = ["pull", "resolve"]\n`,
  );
  await refused({}, ['failed-precondition', /does not have the capability "push"/]);
});

real(
  'artifacts: pushed as they are, saved as layouts that skopeo copies, also with a config of their own',
  async (t) => {
    const made = await node(t);
    const artifact = makeArtifact({ 'a.txt': 'one', 'conf/b.json': '{"b":2}' });
    made.fake.push('team/files', 'v1', artifact);
    const source = `${made.fake.host}/team/files:v1`;
    const id = await made.pull(source);
    const target = `${guarded.host}/files/artifact:v1`;
    t.like(await made.push(source, target), { sameManifest: true, manifestDigest: artifact.manifest.digest });
    const out = join(made.root, 'layout');
    const request = {
      references: [source],
      path: out,
      format: 'oci-dir',
      compression: 'gzip',
      onStep: () => undefined,
    } as const;
    t.like((await made.images.save(request, never))[0], {
      sameManifest: true,
      manifestDigest: artifact.manifest.digest,
    });
    for (const { digest } of [...artifact.layers, artifact.config])
      t.is(sha256(readFileSync(join(out, 'blobs/sha256', digest.replace('sha256:', '')))), digest);
    const copied = join(made.root, 'copied');
    await run('skopeo', ['--insecure-policy', 'copy', `oci:${out}:${source}`, `oci:${copied}:x`]);
    await t.throwsAsync(
      made.images.save({ ...request, path: join(made.root, 'x.tar'), format: 'docker-archive' }, never),
      {
        message: /no docker archive can hold/,
      },
    );
    await made.images.remove(source);
    await made.images.sweep();
    t.is(await made.pull(target, { auth: asAnna }), id);
  },
);

real('names that cannot be pushed to', async (t) => {
  const made = await node(t);
  made.fake.push('team/app', 'v1', image);
  const source = `${made.fake.host}/team/app:v1`;
  const id = await made.pull(source);
  const refused = async (reference: string, target: string, message: RegExp): Promise<void> => {
    await t.throwsAsync(made.push(reference, target), { message });
  };
  await refused('nowhere/none:1', '', /is not here/);
  await refused(id, '', /not named by a tag/);
  await refused(source, `${guarded.host}/a/b@${image.manifest.digest}`, /has a digest: an image is pushed to a tag/);
  writeFileSync(join(made.root, 'registries.conf'), `[[registry]]\nlocation = "${guarded.host}"\nblocked = true\n`);
  await refused(source, `${guarded.host}/a/b:1`, /is blocked by prefix/);
});
