import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Failure, failureChain } from '../../../src/lib/failure.ts';
import { readImageName } from '../../../src/image/verify.ts';
import { createVerification } from '../../../src/verification/verification.ts';
import { type FakeRegistry, refuse, startFakeRegistry } from '../../helpers/fake-registry.ts';
import { fakeStorageNative, type FakeStorageNative } from '../../helpers/fake-storage-native.ts';
import { digestOf, makeImage, makeIndex } from '../../helpers/image-parts.ts';
import { type ImageRoom, openImageRoom, temporaryRoot } from '../../helpers/image-room.ts';
import {
  accept,
  ecKey,
  ed25519Key,
  payloadFor,
  pushSignatures,
  reject,
  rsaKey,
  signatureManifest,
  signed,
  signedBy,
  type TestKey,
  type TestSignature,
  writePolicy,
} from '../../helpers/signatures.ts';

const image = makeImage([{ a: 'a' }, { b: 'b' }]);
const { digest } = image.manifest;
const key = ecKey();
const never = new AbortController().signal;

interface Made extends ImageRoom {
  readonly native: FakeStorageNative;
  readonly server: FakeRegistry;
  readonly repository: string;
  readonly ref: string;
  /** Pulls for a pod of a namespace. */
  readonly bring: (namespace?: string | null, reference?: string) => Promise<string>;
  /** Makes a container of the image in a namespace, as far as policies are concerned. */
  readonly use: (namespace: string, names?: { userSpecified?: string; requested?: string }) => Promise<void>;
  readonly sign: (key: TestKey, reference?: string, of?: string) => TestSignature;
}

/** A room whose policy asks for signatures of `key`, with namespaces that accept and reject everything. */
async function setup(t: ExecutionContext): Promise<Made> {
  const server = await startFakeRegistry();
  t.teardown(() => server.close());
  server.push('app', 'v1', image);
  const native = fakeStorageNative();
  const room = await openImageRoom(t, native, temporaryRoot(t));
  const policyDir = join(room.root, 'policies');
  mkdirSync(policyDir, { recursive: true });
  writePolicy(join(policyDir, 'lax.json'), accept);
  writePolicy(join(policyDir, 'closed.json'), reject);
  const policyFile = join(room.root, 'policy.json');
  writePolicy(policyFile, reject, { [server.host]: signedBy(key) });
  Object.assign(room.policies, { policyFile, policyDir });
  const repository = `${server.host}/app`;
  const ref = `${repository}:v1`;
  return {
    ...room,
    native,
    server,
    repository,
    ref,
    bring: (namespace = 'strict', reference = ref) => room.pull(reference, { namespace }),
    use: (namespace, names = {}) =>
      room.images.admit(
        { namespace, imageId: image.config.digest, requested: image.config.digest, userSpecified: '', ...names },
        never,
      ),
    sign: (by, reference = repository, of = digest) => signed(by, payloadFor(of, reference)),
  };
}

/** Expects a rejection by policy, with nothing unpacked if it was a pull. */
async function rejected(t: ExecutionContext, { work, made }: Attempt, why: RegExp): Promise<void> {
  const error = await t.throwsAsync(work, { instanceOf: Failure });
  t.is((error as Failure).kind, 'signature-validation-failed', failureChain(error));
  t.regex(failureChain(error), why);
  if (made.images.status(image.config.digest) === null) t.deepEqual(made.names(made.paths.layersDir), []);
}

interface Attempt {
  readonly made: Made;
  readonly work: Promise<unknown>;
}

const fetches = (native: FakeStorageNative): number => native.calls.filter((c) => c.name === 'fetchLayer').length;

test('a signature of the key lets the image in, and its absence keeps it out', async (t) => {
  const made = await setup(t);
  await rejected(
    t,
    { made, work: made.bring() },
    /app:v1 is not allowed in namespace strict by policy .*policy\.json .*it has no signature/,
  );
  t.is(fetches(made.native), 0, 'no layer was asked for');
  t.is(made.server.seen('GET', /blobs/).length, 0, 'nor the config');
  pushSignatures(made.server, { repository: 'app', digest }, [made.sign(key)]);
  t.is(await made.bring(), image.config.digest);
  t.true(made.images.status(made.ref)?.blobsKept, 'what is signed can be saved with its manifest');
  t.deepEqual(made.verdicts, [
    { at: 'pull', accepted: false },
    { at: 'pull', accepted: true },
  ]);
});

test('every kind of key that cosign makes', async (t) => {
  for (const one of [
    ecKey(),
    ecKey('P-384'),
    ecKey('P-384', 'sha384'),
    ecKey('P-521', 'sha512'),
    rsaKey(),
    ed25519Key(),
  ]) {
    const made = await setup(t);
    writePolicy(made.policies.policyFile, reject, { [made.server.host]: signedBy(one) });
    pushSignatures(made.server, { repository: 'app', digest }, [made.sign(key)]);
    await rejected(t, { made, work: made.bring() }, /no key of the policy made its signature/);
    pushSignatures(made.server, { repository: 'app', digest }, [made.sign(key), made.sign(one)]);
    t.is(await made.bring(), image.config.digest);
  }
});

test('a signature that is not of this image, or not of this text, does not count', async (t) => {
  const made = await setup(t);
  const right = made.sign(key);
  const other = makeImage([{ other: 'o' }]).manifest.digest;
  const tampered = { ...right, payload: payloadFor(digest, `${made.repository}:v2`) };
  const cases: readonly [TestSignature, RegExp][] = [
    [made.sign(ecKey()), /no key of the policy/],
    [tampered, /no key of the policy/],
    [{ ...right, signature: 'AAAA' }, /no key of the policy/],
    [made.sign(key, made.repository, other), /the signature is of sha256:/],
    [made.sign(key, `${made.server.host}/other`), /is for .*\/other, not for .*\/app/],
    [signed(key, payloadFor(digest, made.repository, 'something else')), /what is signed is a something else/],
    [signed(key, Buffer.from('{}')), /no critical part/],
    [signed(key, Buffer.from('nothing')), /not JSON/],
  ];
  for (const [signature, why] of cases) {
    pushSignatures(made.server, { repository: 'app', digest }, [signature]);
    await rejected(t, { made, work: made.bring() }, why);
  }
  t.is(fetches(made.native), 0);
  pushSignatures(made.server, { repository: 'app', digest }, [...cases.map(([one]) => one), right]);
  t.is(await made.bring(), image.config.digest, 'a right one among wrong ones counts');
});

test('the tag that was signed counts where the policy says so', async (t) => {
  const made = await setup(t);
  writePolicy(made.policies.policyFile, reject, { [made.server.host]: signedBy(key, 'matchRepoDigestOrExact') });
  pushSignatures(made.server, { repository: 'app', digest }, [made.sign(key)]);
  await rejected(t, { made, work: made.bring() }, /names only the repository .* matchRepository/);
  pushSignatures(made.server, { repository: 'app', digest }, [made.sign(key, `${made.repository}:v2`)]);
  await rejected(t, { made, work: made.bring() }, /is for .*app:v2, not for .*app:v1/);
  t.is(
    await made.bring('strict', `${made.repository}@${digest}`),
    image.config.digest,
    'by digest the tag says nothing',
  );
});

test('an image of an index is let in by a signature of the index or of its manifest', async (t) => {
  const index = makeIndex([{ of: image.manifest, platform: { os: 'linux', architecture: 'amd64' } }]);
  for (const signedDigest of [index.digest, digest]) {
    const made = await setup(t);
    made.server.putManifest('app', 'multi', index);
    pushSignatures(made.server, { repository: 'app', digest: signedDigest }, [
      made.sign(key, made.repository, signedDigest),
    ]);
    t.is(await made.bring('strict', `${made.repository}:multi`), image.config.digest);
    await t.notThrowsAsync(made.use('strict'));
  }
});

test('signatures that refer to the image are found without the tag', async (t) => {
  const made = await setup(t);
  const signature = made.sign(key);
  const manifest = signatureManifest([signature]);
  made.server.putBlob({ digest: digestOf(signature.payload), bytes: signature.payload });
  made.server.putManifest('app', null, manifest);
  const entry = { mediaType: manifest.mediaType, digest: manifest.digest, size: manifest.bytes.length };
  const artifactType = 'application/vnd.dev.cosign.artifact.sig.v1+json';
  made.server.intercept = ({ url }, response) => {
    if (url !== `/v2/app/referrers/${digest}`) return false;
    response.end(
      JSON.stringify({
        schemaVersion: 2,
        manifests: [
          { ...entry, artifactType: 'x' },
          { ...entry, artifactType },
        ],
      }),
    );
    return true;
  };
  t.is(await made.bring(), image.config.digest);
});

test('an image that came in under a laxer policy is held against the stricter one', async (t) => {
  const made = await setup(t);
  await made.bring('lax');
  await t.notThrowsAsync(made.use('lax'));
  await rejected(t, { made, work: made.use('strict') }, /it has no signature/);
  await rejected(t, { made, work: made.use('closed') }, /images of this scope are rejected/);
  await rejected(t, { made, work: made.bring() }, /it has no signature/);
  await rejected(t, { made, work: made.bring('closed') }, /rejected/);

  pushSignatures(made.server, { repository: 'app', digest }, [made.sign(key)]);
  await rejected(t, { made, work: made.use('strict') }, /it has no signature/);
  await made.bring('lax');
  const asked = made.server.requests.length;
  await t.notThrowsAsync(made.use('strict'), 'the signature came with a pull for another namespace');
  t.is(made.server.requests.length, asked, 'making a container asks no registry');
  const again = await openImageRoom(t, fakeStorageNative(), made.root);
  Object.assign(again.policies, made.policies);
  const use = { namespace: 'strict', imageId: image.config.digest, requested: image.config.digest, userSpecified: '' };
  await t.notThrowsAsync(again.images.admit(use, never), 'nor after a restart');
});

test('an image that came while there was no policy must be pulled again', async (t) => {
  const made = await setup(t);
  const { policyFile, policyDir } = made.policies;
  Object.assign(made.policies, { policyFile: '', policyDir: '' });
  pushSignatures(made.server, { repository: 'app', digest }, [made.sign(key)]);
  await made.bring();
  t.is(made.server.seen('GET', /\.sig|referrers/).length, 0, 'without policies nobody looks for signatures');
  t.deepEqual(made.verdicts, []);
  Object.assign(made.policies, { policyFile, policyDir });
  await rejected(t, { made, work: made.use('strict') }, /signatures are not known here/);
  await made.bring();
  t.is(fetches(made.native), 2, 'its layers are here');
  await t.notThrowsAsync(made.use('strict'));
});

test('a container’s image counts by the name that was asked for', async (t) => {
  const made = await setup(t);
  made.server.push('bad', 'v1', image);
  const { host } = made.server;
  writePolicy(made.policies.policyFile, reject, { [host]: accept, [`${host}/bad`]: reject });
  await made.bring('strict');
  await made.bring('lax', `${host}/bad:v1`);
  await t.notThrowsAsync(made.use('strict'), 'by its id: one of its names is allowed');
  await t.notThrowsAsync(made.use('strict', { userSpecified: made.ref }));
  await rejected(t, { made, work: made.use('strict', { userSpecified: `${host}/bad:v1` }) }, /bad:v1 is not allowed/);
  await rejected(t, { made, work: made.use('strict', { requested: `${host}/bad:v1` }) }, /rejected/);
  await t.notThrowsAsync(
    made.use('strict', { userSpecified: `${host}/never:v1` }),
    'a name it does not have says nothing',
  );
});

test('a policy that cannot be used keeps everything out', async (t) => {
  const made = await setup(t);
  await made.bring('lax');
  writeFileSync(made.policies.policyFile, '{"default": [{"type": "acept"}]}');
  await rejected(t, { made, work: made.bring() }, /unknown type "acept"/);
  const verification = createVerification({ settings: () => made.policies, readName: readImageName });
  const told = await verification.trouble();
  t.is(told.length, 1, 'a start tells it');
  t.regex(told[0]!, /policy\.json is not usable: default\[0\]: unknown type "acept"/);
  await rejected(t, { made, work: made.use('strict') }, /unknown type "acept"/);
  made.policies.policyFile = join(made.root, 'missing.json');
  await rejected(t, { made, work: made.bring() }, /missing\.json does not exist/);
  await rejected(t, { made, work: made.bring('../strict') }, /cannot have an image policy/);
  await rejected(t, { made, work: made.bring(null) }, /missing\.json does not exist/);
  made.policies.policyFile = '';
  t.is(await made.bring('other'), image.config.digest, 'a namespace without any policy');
  const missingKey = { type: 'sigstoreSigned', keyPath: join(made.root, 'none.pub') };
  writePolicy(join(made.policies.policyDir, 'nokey.json'), missingKey);
  pushSignatures(made.server, { repository: 'app', digest }, [made.sign(key)]);
  await rejected(t, { made, work: made.bring('nokey') }, /none\.pub: it does not exist/);
  writeFileSync(join(made.root, 'none.pub'), rsaKey(1024).publicKey);
  await rejected(t, { made, work: made.bring('nokey') }, /RSA key of only 1024 bits/);
});

test('a registry that cannot be asked for signatures fails the pull as such', async (t) => {
  const made = await setup(t);
  made.server.intercept = ({ url }, response) => url.includes('.sig') && refuse(response, 503, 'DOWN');
  const error = await t.throwsAsync(made.bring(), { instanceOf: Failure });
  t.is((error as Failure).kind, 'registry-unavailable', failureChain(error));
  t.is(await made.bring('lax'), image.config.digest, 'where they are not needed it does not count');
  t.true(made.log.some(({ level, message }) => level === 'warn' && message.startsWith('signatures could not be had')));
  await rejected(t, { made, work: made.use('strict') }, /signatures are not known here/);
});

test('hostile signatures are bounded', async (t) => {
  const made = await setup(t);
  const right = made.sign(key);
  const huge = signed(key, Buffer.alloc(20_000, 'x'));
  const liar = { payload: payloadFor(digest, 'x.example/y'), signature: 'AA==' };
  pushSignatures(made.server, { repository: 'app', digest }, [huge, liar, right]);
  made.server.putBlob({ digest: digestOf(liar.payload), bytes: Buffer.alloc(5_000_000) });
  t.is(await made.bring(), image.config.digest, 'the right one counts beside them');
  t.is(made.server.seen('GET', new RegExp(digestOf(huge.payload))).length, 0, 'what is too large is not fetched');

  const many = await setup(t);
  const crowd = Array.from({ length: 3000 }, (_, at) => signed(key, payloadFor(digest, `x.example/y${at}`)));
  pushSignatures(many.server, { repository: 'app', digest }, crowd);
  await rejected(t, { made: many, work: many.bring() }, /is for x\.example/);
  t.true(many.server.seen('GET', /blobs/).length <= 32);

  const long = await setup(t);
  const endless = Buffer.alloc(2_000_000, ' ');
  long.server.putManifest('app', `${digest.replace(':', '-')}.sig`, {
    bytes: endless,
    digest: digestOf(endless),
    mediaType: 'x',
  });
  const error = await t.throwsAsync(long.bring(), { instanceOf: Failure });
  t.regex(failureChain(error), /too large/);
  const odd = await setup(t);
  for (const bytes of [
    Buffer.from('[]'),
    Buffer.from('{"layers": {"a": 1}}'),
    Buffer.from('{"layers": [null, 1, {}]}'),
    Buffer.from('x'),
  ]) {
    odd.server.putManifest('app', `${digest.replace(':', '-')}.sig`, {
      bytes,
      digest: digestOf(bytes),
      mediaType: 'x',
    });
    await rejected(t, { made: odd, work: odd.bring() }, /it has no signature/);
  }
});

test('a mirror’s signatures count for the name that was asked for, and what it lacks the registry has', async (t) => {
  const made = await setup(t);
  const mirror = await startFakeRegistry();
  t.teardown(() => mirror.close());
  mirror.push('app', 'v1', image);
  const dir = join(made.root, 'certs.d', made.server.host.replace(':', '_') + '_');
  mkdirSync(dir, { recursive: true });
  writeFileSync(
    join(dir, 'hosts.toml'),
    `server = "${made.server.url}"\n[host."${mirror.url}"]\ncapabilities = ["pull", "resolve"]\n`,
  );
  pushSignatures(mirror, { repository: 'app', digest }, [made.sign(key, `${mirror.host}/app`)]);
  await rejected(t, { made, work: made.bring() }, /is for .*not for/);
  pushSignatures(mirror, { repository: 'app', digest }, [made.sign(key)]);
  t.is(await made.bring(), image.config.digest);

  const lacking = await setup(t);
  const bare = await startFakeRegistry();
  t.teardown(() => bare.close());
  bare.push('app', 'v1', image);
  const at = join(lacking.root, 'certs.d', lacking.server.host.replace(':', '_') + '_');
  mkdirSync(at, { recursive: true });
  writeFileSync(join(at, 'hosts.toml'), `server = "${lacking.server.url}"\n[host."${bare.url}"]\n`);
  pushSignatures(lacking.server, { repository: 'app', digest }, [lacking.sign(key)]);
  t.is(await lacking.bring(), image.config.digest);
  t.true(bare.seen('GET', /\.sig/).length > 0);
});

test('a verifier decides before anything is unpacked, and is asked once', async (t) => {
  const made = await setup(t);
  const program = join(made.root, 'verifier');
  const calls = (): number =>
    existsSync(`${program}.calls`) ? readFileSync(`${program}.calls`, 'utf8').split('\n').length - 1 : 0;
  const answer = (code: number): void => {
    writeFileSync(program, `#!/bin/sh\necho "$2 $4" >>${program}.calls\necho because\nexit ${code}\n`);
    chmodSync(program, 0o755);
  };
  writePolicy(made.policies.policyFile, { type: 'podwrightVerifier', path: program, timeoutSeconds: 60 });
  answer(1);
  await rejected(t, { made, work: made.bring() }, /a verifier refused it: .*because/);
  t.is(fetches(made.native), 0);
  answer(0);
  await made.bring();
  t.deepEqual(readFileSync(`${program}.calls`, 'utf8').trim().split('\n')[0], `${made.ref} ${digest}`);
  const before = calls();
  await t.notThrowsAsync(made.use('strict', { userSpecified: made.ref }), 'what it said is remembered');
  t.is(await made.bring(), image.config.digest);
  t.is(calls(), before);
  answer(1);
  await rejected(
    t,
    { made, work: made.use('strict', { userSpecified: `${made.repository}@${digest}` }) },
    /a verifier refused it/,
  );
  answer(0);
  await made.use('strict', { userSpecified: `${made.repository}@${digest}` });
  const later = calls();
  await made.use('strict', { userSpecified: `${made.repository}@${digest}` });
  t.is(calls(), later, 'a container’s question is remembered too');
});
