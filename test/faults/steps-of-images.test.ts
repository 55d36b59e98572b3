// kill -9, and failure, at every labelled step of a pull, of a removal and of the sweep after it: the next pull converges,
// what is complete is not fetched again, nothing is left. FAULTS=all breaks at each step in each way, and where compressed
// layers are kept too.
import { existsSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { TestDaemon } from '../helpers/daemon.ts';
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts';
import { makeImage, type TestImage } from '../helpers/image-parts.ts';
import { pull } from '../helpers/pods.ts';
import { until } from '../helpers/until.ts';
import { everything, type Step, Steps, type Swept, sweepSteps } from './steps.ts';
import { storeOf, trashMs } from './store.ts';

const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
const steps = new Steps();
/** One that drops compressed layers, and one that keeps them. */
const dropped = new TestDaemon({ env: steps.env, network: 'none' });
const kept = new TestDaemon({ env: steps.env, network: 'none', flags: ['--set=image.keep_blobs=true'] });
const daemons = everything ? { dropped, kept } : { dropped };
let fake: FakeRegistry;
let serial = 0;

test.before('a registry and the daemons', async () => {
  fake = await startFakeRegistry();
  for (const daemon of Object.values(daemons)) await daemon.start();
});
test.afterEach.always('the log of a failed test', (t) => {
  steps.disarm();
  if (!t.passed) for (const daemon of Object.values(daemons)) t.log(daemon.lastWords());
});
test.after.always('everything is swept away', async () => {
  for (const daemon of Object.values(daemons)) await daemon.destroy();
  await fake.close();
  steps.remove();
});

interface Made {
  readonly image: TestImage;
  readonly reference: string;
  /** Chain ids of layers that were here before, as directories' names. */
  readonly before: readonly string[];
}

/** Text that does not compress well: a layer of it comes in several pieces. */
const body = (of: string): string =>
  Array.from({ length: 8000 }, (_, at) => `${of} ${Math.sin(at + of.length)} ${Math.cos(at * 3)}`).join('\n');

const shared = { shared: body('shared by all') };

/** An image of the shared layer and two that nothing else has. */
function newImage(): { image: TestImage; reference: string } {
  const own = `image ${(serial += 1)} of ${process.pid}`;
  const image = makeImage([shared, { one: body(`${own} 1`) }, { two: body(`${own} 2`) }], { architecture });
  fake.push('some/image', `${serial}`, image);
  return { image, reference: `${fake.host}/some/image:${serial}` };
}

/** Layers whose blob was asked for since the requests were forgotten. */
const fetched = (image: TestImage): number =>
  image.layers.filter(({ digest }) =>
    fake.requests.some(({ method, url }) => method === 'GET' && url.endsWith(`/blobs/${digest}`)),
  ).length;

/** Whether it may be one of the list of kept blobs, which is told of in the log alone: the next change or start writes it anew. */
const ofIndex = ({ label }: Step): boolean => /^(native\.writeFileAtomic|file (written|renamed))/.test(label);

/** What both verbs have in common on one daemon. */
function room(daemon: TestDaemon) {
  const store = storeOf(daemon);
  const verify = async (t: ExecutionContext, step: string): Promise<void> => {
    await t.notThrowsAsync(daemon.podwright('images', 'verify'), step);
  };
  const statusOf = async (reference: string) => (await daemon.image.ImageStatus({ image: { image: reference } })).image;
  const remove = (reference: string) => daemon.image.RemoveImage({ image: { image: reference } });
  /** Removes it and waits for its layers to be gone, or for the daemon to die. */
  const removeWhole = async ({ image, reference, before }: Made): Promise<void> => {
    await remove(reference);
    const config = image.config.digest.slice(7);
    const gone = (): boolean =>
      store.layers().length === before.length && store.trash().length === 0 && !store.blobs().includes(config);
    await until('its layers and blobs are gone', () => !daemon.running || steps.fired || gone(), trashMs);
  };
  return { store, verify, statusOf, remove, removeWhole };
}

function sweepPull(t: ExecutionContext, daemon: TestDaemon): Promise<void> {
  const { store, verify, statusOf, removeWhole } = room(daemon);
  let complete: readonly string[] = [];
  const verb: Swept<Made> = {
    name: t.title,
    withoutMonitors: true,
    withoutTrash: true,
    most: 12,
    // after those of its two layers
    mayFail: (step) => step.nth > 2 && daemon !== dropped && ofIndex(step),
    prepare: async () => ({ ...newImage(), before: store.layers() }),
    call: ({ reference }) => pull(daemon, reference),
    whileDead: () => {
      complete = store.layers();
    },
    converge: async (own, { image, reference, before }, { step, how }) => {
      const unbroken = step.endsWith('unbroken');
      if (how === 'fail') complete = store.layers();
      else own.deepEqual(store.unfinished(), [], step);
      const was = await statusOf(reference);
      fake.requests.length = 0;
      own.is(await pull(daemon, reference), image.config.digest, step);
      // an image that is whole is only asked for; a layer is complete with its blob, where that is kept
      const missing = image.layers.length - (complete.length - before.length) - 1;
      if (unbroken || was !== null) own.is(fetched(image), 0, step);
      // a layer that was being committed when another failed is complete too
      else if (how === 'fail') own.true(fetched(image) <= image.layers.length - 1, step);
      else if (daemon === dropped) own.is(fetched(image), missing, step);
      else own.true(fetched(image) >= missing, step);
      own.deepEqual(store.unfinished(), [], step);
      own.is(store.layers().length, before.length + 2, step);
      await verify(own, step);
      steps.disarm();
      await removeWhole({ image, reference, before });
    },
    left: async () => store.unfinished(),
  };
  return sweepSteps(t, { daemon, steps }, verb);
}

function sweepRemoval(t: ExecutionContext, daemon: TestDaemon): Promise<void> {
  const { store, verify, statusOf, remove, removeWhole } = room(daemon);
  const verb: Swept<Made> = {
    name: t.title,
    withoutMonitors: true,
    mayFail: (step) => daemon !== dropped && ofIndex(step),
    prepare: async () => {
      const made = { ...newImage(), before: store.layers() };
      await pull(daemon, made.reference);
      return made;
    },
    call: removeWhole,
    whileDead: () => store.age(),
    converge: async (own, made, { step, how }) => {
      await remove(made.reference);
      own.is(await statusOf(made.reference), null, step);
      if (how === 'fail') {
        // what failed is tried again by the next sweep: that of another removal, or of a start
        await daemon.kill9();
        store.age();
        await daemon.start();
      }
      await until(`${step}: layers go`, () => store.layers().length === made.before.length);
      await until(`${step}: the trash is emptied`, () => store.trash().length === 0, trashMs);
      await verify(own, step);
      own.deepEqual(store.unfinished(), [], step);
      await until(`${step}: blobs go`, () => !store.blobs().includes(made.image.config.digest.slice(7)));
      own.is((await daemon.image.ListImages({})).images.length, 1, step);
    },
    left: async () => store.unfinished(),
  };
  return sweepSteps(t, { daemon, steps }, verb);
}

for (const [blobs, daemon] of Object.entries(daemons)) {
  const staying = makeImage([shared, { staying: body('staying') }], { architecture });
  test.serial(`an image that stays, blobs ${blobs}`, async (t) => {
    fake.push('some/staying', '1', staying);
    t.is(await pull(daemon, `${fake.host}/some/staying:1`), staying.config.digest);
  });
  test.serial(`PullImage, blobs ${blobs}`, (t) => sweepPull(t, daemon));
  test.serial(`RemoveImage and its sweep, blobs ${blobs}`, (t) => sweepRemoval(t, daemon));
  test.serial(`nothing is left on the host, blobs ${blobs}`, async (t) => {
    t.deepEqual(await daemon.leftOfPods(), []);
    await daemon.shutdown();
    t.false(existsSync(daemon.socket));
  });
}
