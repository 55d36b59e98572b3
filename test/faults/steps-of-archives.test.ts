// kill -9, and failure, at every labelled step of what the command line tool does with images: load, save, push, prune, repair.
// The same command again comes out right, the store is whole, nothing half-made is left. FAULTS=all breaks at each step in each way.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { TestDaemon } from '../helpers/daemon.ts';
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts';
import { makeImage, type TestImage } from '../helpers/image-parts.ts';
import { pull } from '../helpers/pods.ts';
import { type PushServer, startPushServer } from '../helpers/push-server.ts';
import { until } from '../helpers/until.ts';
import { Steps, type Swept, sweepSteps } from './steps.ts';
import { storeOf, trashMs } from './store.ts';

const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
const steps = new Steps();
const daemon = new TestDaemon({ env: steps.env, network: 'none' });
const store = storeOf(daemon);
const place = mkdtempSync('/tmp/pwt-archives-');
let fake: FakeRegistry;
let target: PushServer;
let serial = 0;

test.before('registries and a daemon', async () => {
  [fake, target] = [await startFakeRegistry(), await startPushServer()];
  await daemon.start();
});
test.beforeEach('a daemon that a failed test left dead starts again', () =>
  daemon.running ? undefined : daemon.start(),
);
test.afterEach.always('the log of a failed test', (t) => {
  steps.disarm();
  if (!t.passed) t.log(daemon.lastWords());
});
test.after.always('everything is swept away', async () => {
  await daemon.destroy();
  await Promise.all([fake.close(), target.close()]);
  steps.remove();
  rmSync(place, { recursive: true, force: true });
});

interface Made {
  readonly image: TestImage;
  readonly reference: string;
  readonly file: string;
  /** Its layers, as directories' names. */
  readonly own: readonly string[];
}

/** Text that does not compress well: a layer of it comes in several pieces. */
const body = (of: string): string =>
  Array.from({ length: 4000 }, (_, at) => `${of} ${Math.sin(at + of.length)} ${Math.cos(at * 3)}`).join('\n');

/** An image that nothing else has, pulled. */
async function pulled(): Promise<Made> {
  const text = `archive ${(serial += 1)} of ${process.pid}`;
  const image = makeImage([{ one: body(`${text} 1`) }, { two: body(`${text} 2`) }], { architecture });
  fake.push('some/archive', `${serial}`, image);
  const reference = `${fake.host}/some/archive:${serial}`;
  const before = new Set(store.layers());
  await pull(daemon, reference);
  const own = store.layers().filter((name) => !before.has(name));
  return { image, reference, file: join(place, `${serial}.tar`), own };
}

const save = ({ reference, file }: Made) => daemon.podwright('save', '-o', file, reference);
const load = ({ file }: Made) => daemon.podwright('load', file);
const idOf = async (reference: string): Promise<string | undefined> =>
  (await daemon.image.ImageStatus({ image: { image: reference } })).image?.id;
/** Its layers have left the disk, or the daemon was broken. */
async function gone({ own }: Made): Promise<void> {
  const left = (): string[] => [...store.layers().filter((name) => own.includes(name)), ...store.trash()];
  await until(
    'its layers and the trash are gone',
    () => !daemon.running || steps.fired || left().length === 0,
    trashMs,
  );
}

/** Removes it, and waits for what a removal leaves to the background: that is no step of the next call. */
async function remove(made: Made): Promise<void> {
  await daemon.image.RemoveImage({ image: { image: made.reference } });
  await gone(made);
}

/** The image is here and every file of it is what it must be. */
async function whole(t: ExecutionContext, { image, reference }: Made, step: string): Promise<void> {
  t.is(await idOf(reference), image.config.digest, step);
  await t.notThrowsAsync(daemon.podwright('images', 'verify'), step);
}

const sweep =
  (verb: Pick<Swept<Made>, 'prepare' | 'call' | 'whileDead' | 'converge'>) =>
  (t: ExecutionContext): Promise<void> =>
    sweepSteps<Made>(
      t,
      { daemon, steps },
      {
        ...verb,
        name: t.title,
        withoutMonitors: true,
        withoutTrash: true,
        left: async () => store.unfinished(),
        converge: async (own, made, after) => {
          await verb.converge(own, made, after);
          await remove(made);
          rmSync(made.file, { force: true });
        },
      },
    );

test.serial(
  'podwright save',
  sweep({
    prepare: pulled,
    call: save,
    converge: async (own, made, { step }) => {
      await whole(own, made, step);
      rmSync(made.file, { force: true });
      await save(made);
      await remove(made);
      await load(made);
      await whole(own, made, step);
    },
  }),
);

test.serial(
  'podwright load',
  sweep({
    prepare: async () => {
      const made = await pulled();
      await save(made);
      await remove(made);
      return made;
    },
    call: load,
    converge: async (own, made, { step }) => {
      await load(made);
      await whole(own, made, step);
    },
  }),
);

const named = ({ reference }: Made): string => `${target.host}/pushed/image:${reference.split(':').at(-1)}`;

test.serial(
  'podwright push',
  sweep({
    prepare: pulled,
    call: (made) => daemon.podwright('push', made.reference, named(made)),
    converge: async (own, made, { step }) => {
      await daemon.podwright('push', made.reference, named(made));
      await whole(own, made, step);
      const pushed = [...target.manifests].filter(([key]) => key.endsWith(named(made).split(':').at(-1) ?? '-'));
      own.true(pushed.length > 0, step);
      const { config } = JSON.parse(pushed[0]?.[1].toString() ?? '{}') as { config: { digest: string } };
      own.is(config.digest, made.image.config.digest, step);
      own.true(target.blobs.has(config.digest), step);
    },
  }),
);

test.serial(
  'podwright images prune',
  sweep({
    prepare: pulled,
    call: async (made) => {
      await daemon.podwright('images', 'prune', '--all');
      await gone(made);
    },
    whileDead: () => store.age(),
    converge: async (own, made, { step, how }) => {
      await daemon.podwright('images', 'prune', '--all');
      if (how === 'fail') {
        // what failed is tried again by the next sweep: that of another removal, or of a start
        await daemon.kill9();
        store.age();
        await daemon.start();
      }
      own.is(await idOf(made.reference), undefined, step);
      await own.notThrowsAsync(daemon.podwright('images', 'verify'), step);
    },
  }),
);

/** Changes a byte of a file of its upper layer, and the text of its config. */
function damage({ own, image }: Made): void {
  const damaged = own.map((name) => join(daemon.root, 'layers', name, 'diff/two')).find(existsSync);
  if (damaged === undefined) throw new Error(`no layer of ${own.join(', ')} has the file that is to be damaged`);
  const config = join(daemon.root, 'content/blobs/sha256', image.config.digest.slice(7));
  for (const file of [damaged, config]) {
    const bytes = readFileSync(file);
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    writeFileSync(file, bytes);
  }
}

test.serial(
  'podwright images repair',
  sweep({
    prepare: async () => {
      const made = await pulled();
      damage(made);
      return made;
    },
    call: (made) => daemon.podwright('images', 'repair', made.reference),
    converge: async (own, made, { step }) => {
      // of an image whose layers are away there is no record: a pull brings it, and there is nothing to repair
      if ((await idOf(made.reference)) !== undefined) await daemon.podwright('images', 'repair', made.reference);
      await pull(daemon, made.reference);
      await whole(own, made, step);
    },
  }),
);

test.serial('nothing is left on the host', async (t) => {
  await until('nothing is half-made', () => store.unfinished().length === 0);
  t.deepEqual(await daemon.leftOfPods(), []);
  await daemon.shutdown();
  t.false(existsSync(daemon.socket));
});
