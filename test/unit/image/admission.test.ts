// What is kept of an image's judgement, and what becomes of it. With verify.test.ts, which has the policies themselves.
import { chmodSync, existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Failure, failureChain } from '../../../src/lib/failure.ts';
import { startFakeRegistry } from '../../helpers/fake-registry.ts';
import { fakeStorageNative } from '../../helpers/fake-storage-native.ts';
import { makeImage, makeIndex } from '../../helpers/image-parts.ts';
import { openImageRoom, temporaryRoot } from '../../helpers/image-room.ts';
import { accept, ecKey, payloadFor, pushSignatures, signed, signedBy, writePolicy } from '../../helpers/signatures.ts';

const image = makeImage([{ a: 'a' }]);
const { digest } = image.manifest;
const key = ecKey();
const never = new AbortController().signal;

/** A room whose namespace `strict` asks for signatures of `key`, and whose namespace `lax` for nothing. */
async function setup(t: ExecutionContext) {
  const server = await startFakeRegistry();
  t.teardown(() => server.close());
  server.push('app', 'v1', image);
  const room = await openImageRoom(t, fakeStorageNative(), temporaryRoot(t));
  const policyDir = join(room.root, 'policies');
  mkdirSync(policyDir);
  writePolicy(join(policyDir, 'lax.json'), accept);
  writePolicy(join(policyDir, 'strict.json'), signedBy(key));
  Object.assign(room.policies, { policyDir });
  const repository = `${server.host}/app`;
  const bring = (namespace: string, reference = `${repository}:v1`) => room.pull(reference, { namespace });
  const use = (namespace: string, requested: string = image.config.digest) =>
    room.images.admit({ namespace, imageId: image.config.digest, requested, userSpecified: '' }, never);
  return { room, server, policyDir, repository, bring, use };
}

test('an image that was removed meanwhile is not let in', async (t) => {
  const { room, use, policyDir } = await setup(t);
  const error = await t.throwsAsync(use('lax', 'app:v1'), { instanceOf: Failure });
  t.is((error as Failure).kind, 'not-found');
  t.regex(error!.message, /image app:v1 was removed meanwhile/);
  Object.assign(room.policies, { policyDir: '' });
  await t.notThrowsAsync(use('lax'), 'where there is no policy nothing is judged');
  Object.assign(room.policies, { policyDir });
});

test('what comes with a pull for one namespace takes no signature of another away', async (t) => {
  const { server, bring, use, room, repository } = await setup(t);
  const right = signed(key, payloadFor(digest, repository));
  pushSignatures(server, { repository: 'app', digest }, [right]);
  await bring('strict');
  const other = ecKey();
  for (const round of ['a', 'b']) {
    const junk = Array.from({ length: 12 }, (_, at) => signed(other, Buffer.alloc(16_000, `${round}${at}`)));
    pushSignatures(server, { repository: 'app', digest }, junk);
    await bring('lax');
  }
  await t.notThrowsAsync(use('strict'), 'that of a key of a policy is kept before all others');
  const [record] = room.records.list();
  const kept = record?.proof?.signatures ?? [];
  t.true(kept.length > 4, 'others as far as there is room');
  t.true(JSON.stringify(kept).length < 160 * 1024);
});

test('what does not fit is left out, and not what comes after it', async (t) => {
  const { server, bring, room } = await setup(t);
  const other = ecKey();
  const sizes = [16_000, 16_000, 16_000, 16_000, 16_000, 16_000, 16_000, 100];
  const junk = sizes.map((size, at) => signed(other, Buffer.alloc(size, `${at}`)));
  pushSignatures(server, { repository: 'app', digest }, junk);
  await bring('lax');
  const small = junk.at(-1)!.payload.toString('base64');
  t.true(room.records.list()[0]?.proof?.signatures?.some(({ payload }) => payload === small));
});

test('an image that is pulled by another index keeps what the first one was signed by', async (t) => {
  const { server, bring, use, repository } = await setup(t);
  const amd64 = { of: image.manifest, platform: { os: 'linux', architecture: 'amd64' } };
  const first = makeIndex([amd64]);
  const second = makeIndex([amd64, { of: image.manifest, platform: { os: 'linux', architecture: 'arm64' } }]);
  server.putManifest('app', 'one', first);
  server.putManifest('app', 'two', second);
  const right = signed(key, payloadFor(first.digest, repository));
  pushSignatures(server, { repository: 'app', digest: first.digest }, [right]);
  await bring('strict', `${repository}:one`);
  await bring('lax', `${repository}:two`);
  await t.notThrowsAsync(use('strict'));
  const error = await t.throwsAsync(bring('strict', `${repository}:two`), { instanceOf: Failure });
  t.regex(failureChain(error), /it has no signature/, 'a pull of the other one is judged by its own');
});

test('a verifier that was changed is asked again', async (t) => {
  const { room, policyDir, bring, use } = await setup(t);
  const program = join(room.root, 'verifier');
  const calls = (): number =>
    existsSync(`${program}.calls`) ? readFileSync(`${program}.calls`, 'utf8').split('\n').length - 1 : 0;
  const answer = (code: number): void => {
    writeFileSync(program, `#!/bin/sh\necho x >>${program}.calls\nexit ${code}\n`);
    chmodSync(program, 0o755);
  };
  writePolicy(join(policyDir, 'asks.json'), { type: 'podwrightVerifier', path: program, timeoutSeconds: 60 });
  answer(0);
  await bring('asks');
  await use('asks');
  const before = calls();
  await use('asks');
  t.is(calls(), before, 'a yes is remembered');
  answer(1);
  utimesSync(program, 1, 1); // of the same size
  const error = await t.throwsAsync(use('asks'), { instanceOf: Failure });
  t.is((error as Failure).kind, 'signature-validation-failed');
  answer(0);
  utimesSync(program, 2, 2);
  await use('asks');
  t.is(calls(), before + 3, 'both of its names had been refused');
  writeFileSync(program, `#!/bin/sh\necho x >>${program}.calls\nexit 1 # larger\n`);
  utimesSync(program, 2, 2);
  await t.throwsAsync(use('asks'), { instanceOf: Failure });
});
