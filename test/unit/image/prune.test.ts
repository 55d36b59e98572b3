import test, { type ExecutionContext } from 'ava';
import { startFakeRegistry } from '../../helpers/fake-registry.ts';
import { fakeStorageNative } from '../../helpers/fake-storage-native.ts';
import { makeImage } from '../../helpers/image-parts.ts';
import { openImageRoom, temporaryRoot } from '../../helpers/image-room.ts';

const image = makeImage([{ a: 'a' }]);
const other = makeImage([{ b: 'b' }]);

async function setup(t: ExecutionContext) {
  const server = await startFakeRegistry();
  t.teardown(() => server.close());
  server.push('app', 'v1', image);
  const room = await openImageRoom(t, fakeStorageNative(), temporaryRoot(t));
  return { room, server, name: `${server.host}/app` };
}

test('an image that was pulled by its digest is named', async (t) => {
  const { room, name } = await setup(t);
  await room.pull(`${name}@${image.manifest.digest}`);
  t.deepEqual(await room.images.prune(false), []);
  t.like(await room.images.prune(true), [{ id: image.config.digest, tags: [] }]);
});

test('one whose tag another image has now is not, and one of an earlier release by what its pod said', async (t) => {
  const { room, server, name } = await setup(t);
  await room.pull(`${name}:v1`);
  server.push('app', 'v1', other);
  await room.pull(`${name}:v1`);
  t.like(await room.images.prune(false), [{ id: image.config.digest, tags: [] }]);
  const record = room.records.get(other.config.digest)!;
  await room.records.put({ ...record, repoTags: [], userSpecifiedImage: `${name}@${other.manifest.digest}` });
  t.deepEqual(await room.images.prune(false), []);
  await room.records.put({ ...record, repoTags: [] });
  t.like(await room.images.prune(false), [{ id: other.config.digest }]);
});

test('an image that a container is made of while others are pruned stays', async (t) => {
  const { room, server, name } = await setup(t);
  server.push('other', 'v1', other);
  await room.pull(`${name}:v1`);
  await room.pull(`${server.host}/other:v1`);
  const [first, second] = room.records.list();
  const pruning = room.images.prune(true);
  // the first one's record is being removed by now, or is waited for
  for (const id of second?.chain ?? []) room.inUse.add(id);
  t.deepEqual(
    (await pruning).map(({ id }) => id),
    [first?.id],
  );
});
