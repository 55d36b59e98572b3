// What is kept of an image's judgement, and what becomes of it: with verify.test.ts, which has the policies.
import { join } from 'node:path';
import { mkdirSync } from 'node:fs';
import test from 'ava';
import { Failure } from '../../../src/lib/failure.ts';
import { fakeStorageNative } from '../../helpers/fake-storage-native.ts';
import { makeImage } from '../../helpers/image-parts.ts';
import { openImageRoom, temporaryRoot } from '../../helpers/image-room.ts';
import { accept, writePolicy } from '../../helpers/signatures.ts';

const image = makeImage([{ a: 'a' }]);
const never = new AbortController().signal;

test('an image that was removed meanwhile is not let in', async (t) => {
  const room = await openImageRoom(t, fakeStorageNative(), temporaryRoot(t));
  const use = { namespace: 'team', imageId: image.config.digest, requested: 'app:v1', userSpecified: '' };
  await t.notThrowsAsync(room.images.admit(use, never), 'where there is no policy nothing is judged');
  const policyDir = join(room.root, 'policies');
  mkdirSync(policyDir);
  writePolicy(join(policyDir, 'team.json'), accept);
  Object.assign(room.policies, { policyDir });
  const error = await t.throwsAsync(room.images.admit(use, never), { instanceOf: Failure });
  t.is((error as Failure).kind, 'not-found');
  t.regex(error!.message, /image app:v1 was removed meanwhile/);
});
