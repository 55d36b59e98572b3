// Sweeps of the store over the real addon: what a kill leaves at each of their steps, and pulls, saves and removals
// that go on meanwhile.
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { ContentFinding } from '../../src/image/integrity.ts';
import { loadNative } from '../../src/native/load.ts';
import { startFakeRegistry } from '../helpers/fake-registry.ts';
import { makeImage } from '../helpers/image-parts.ts';
import { type ImageRoom, openImageRoom, temporaryRoot } from '../helpers/image-room.ts';
import { addon, cannotRun, unless } from '../helpers/real-addon.ts';
import { until } from '../helpers/until.ts';

const real = unless(cannotRun);

const shared = { base: 'of both' };
const going = makeImage([shared, { one: '1' }, { two: '2' }]);
const staying = makeImage([shared, { three: '3' }]);
const never = new AbortController().signal;

async function findings(room: ImageRoom): Promise<ContentFinding[]> {
  const found: ContentFinding[] = [];
  await room.images.verify([], { onStep: () => undefined, onFinding: (one) => void found.push(one) }, never);
  return found;
}

async function setup(t: ExecutionContext) {
  const fake = await startFakeRegistry();
  t.teardown(() => fake.close());
  fake.push('app', 'going', going);
  fake.push('app', 'staying', staying);
  const names = { going: `${fake.host}/app:going`, staying: `${fake.host}/app:staying` };
  const room = await openImageRoom(t, loadNative(addon), temporaryRoot(t));
  room.settings.keepBlobs = true;
  for (const name of Object.values(names)) await room.pull(name);
  return { fake, room, names };
}

/** What a sweep does after a removal, in its order: the kill comes before the step of that number. */
const steps: readonly { readonly what: string; readonly does: (dir: string, chain: readonly string[]) => void }[] = [
  {
    what: 'the record is removed',
    does: (dir) => rmSync(join(dir, 'images', `${going.config.digest.slice(7)}.json`)),
  },
  { what: 'the first layer is renamed away', does: (dir, chain) => retire(dir, chain[1] ?? '') },
  { what: 'the second layer is renamed away', does: (dir, chain) => retire(dir, chain[2] ?? '') },
  {
    what: 'a blob is removed',
    does: (dir) => rmSync(join(dir, 'content/blobs/sha256', going.layers[1]?.digest.slice(7) ?? '')),
  },
  {
    what: 'a document is removed',
    does: (dir) => rmSync(join(dir, 'content/blobs/sha256', going.manifest.digest.slice(7))),
  },
  {
    what: 'half of a layer is freed',
    does: (dir) => rmSync(join(dir, 'trash', firstIn(join(dir, 'trash')), 'diff'), { recursive: true }),
  },
];

const firstIn = (dir: string): string => readdirSync(dir)[0] ?? '';

function retire(dir: string, chainId: string): void {
  mkdirSync(join(dir, 'trash'), { recursive: true });
  renameSync(join(dir, 'layers', chainId.slice(7)), join(dir, 'trash', `${chainId.slice(7)}.1.1`));
}

/** Layers that no image needs wait ten minutes for the retry of a pull: these have. */
function age(dir: string): void {
  for (const name of readdirSync(join(dir, 'layers')).filter((each) => each !== 'empty')) {
    const file = join(dir, 'layers', name, 'layer.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace(/"committedAt":"\d+"/, '"committedAt":"1"'));
  }
}

for (let done = 0; done <= steps.length; done += 1) {
  const what = done === 0 ? 'before anything' : `after ${steps[done - 1]?.what ?? ''}`;
  real(`killed ${what}: a start and a sweep leave what is needed, and nothing else`, async (t) => {
    const { room, names } = await setup(t);
    const chain = room.images.status(names.going)?.chain ?? [];
    await room.images.stop();
    // a copy: the room that made it still has its own open
    const root = temporaryRoot(t);
    cpSync(room.root, root, { recursive: true, verbatimSymlinks: true });
    age(root);
    for (const step of steps.slice(0, done)) step.does(root, chain);
    const again = await openImageRoom(t, loadNative(addon), root);
    again.settings.keepBlobs = true;
    if (done === 0) await again.images.remove(names.going);
    await again.images.sweep();
    t.is(again.images.status(names.going), null);
    t.deepEqual(again.names(again.paths.layersDir).length, 2);
    t.deepEqual(await findings(again), []);
    const kept = [...staying.layers, staying.config, staying.manifest].map(({ digest }) => digest.slice(7));
    t.deepEqual(readdirSync(join(again.paths.contentDir, 'blobs/sha256')).toSorted(), kept.toSorted());
    await until('the trash is empty', () => readdirSync(again.paths.trashDir).length === 0);
    await again.pull(names.going);
    t.deepEqual(await findings(again), []);
    t.deepEqual(again.names(again.paths.layersDir).length, 4);
  });
}

real('sweeps, pulls, saves and removals at the same time: nobody loses what it has', async (t) => {
  const { room, names } = await setup(t);
  const out = temporaryRoot(t);
  const save = (at: number): Promise<unknown> =>
    room.images.save(
      {
        references: [names.staying],
        path: join(out, `${at}.tar`),
        format: 'oci-archive',
        compression: 'none',
        onStep: () => undefined,
      },
      never,
    );
  for (let round = 0; round < 15; round += 1) {
    const work = [
      room.images.remove(names.going),
      room.images.sweep(),
      room.pull(names.going),
      room.images.sweep(),
      save(round),
      room.pull(names.staying),
      room.images.sweep(),
    ];
    const outcomes = await Promise.allSettled(work);
    t.deepEqual(
      outcomes
        .filter(({ status }) => status === 'rejected')
        .map((one) => String((one as PromiseRejectedResult).reason)),
      [],
    );
    t.deepEqual(await findings(room), [], `round ${round}`);
    t.not(room.images.status(names.staying), null);
  }
  await room.pull(names.going);
  const release = room.images.hold(room.images.status(names.going)?.chain ?? []);
  await room.images.remove(names.going);
  await room.images.sweep();
  t.is(room.names(room.paths.layersDir).length, 4, 'what is held stays');
  release();
  await room.images.sweep();
  t.is(room.names(room.paths.layersDir).length, 2);
});
