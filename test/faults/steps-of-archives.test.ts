// kill -9, and failure, at every labelled step of what the command line tool does with images: load, save, push, prune. The same
// command again comes out right, the store is whole, nothing half-made is left. FAULTS=all breaks at each step in each way.
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { TestDaemon } from '../helpers/daemon.ts';
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts';
import { makeImage, type TestImage } from '../helpers/image-parts.ts';
import { pull } from '../helpers/pods.ts';
import { type PushServer, startPushServer } from '../helpers/push-server.ts';
import { patienceMs, until } from '../helpers/until.ts';
import { Steps, type Swept, sweepSteps } from './steps.ts';

const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
const steps = new Steps();
const daemon = new TestDaemon({ env: steps.env, network: 'none' });
const place = mkdtempSync('/tmp/pwt-archives-');
let fake: FakeRegistry;
let target: PushServer;
let serial = 0;
/** The trash is emptied when nobody needs the disk. */
const trashMs = 6 * patienceMs;

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

const names = (dir: string): string[] => {
  const path = join(daemon.root, dir);
  return existsSync(path) ? readdirSync(path) : [];
};
/** Directories and files of the store that are no layer, no blob and no record. */
const unfinished = (): string[] => [
  ...names('ingest'),
  ...names('saves'),
  ...names('layers').filter((name) => name.startsWith('.')),
  ...names('content/blobs/sha256').filter((name) => !/^[0-9a-f]{64}$/.test(name)),
  ...names('images').filter((name) => !/^[0-9a-f]{64}\.json$/.test(name)),
];

const layers = (): number => names('layers').filter((name) => /^[0-9a-f]{64}$/.test(name)).length;

interface Made {
  readonly image: TestImage;
  readonly reference: string;
  readonly file: string;
}

/** Text that does not compress well: a layer of it comes in several pieces. */
const body = (of: string): string =>
  Array.from({ length: 4000 }, (_, at) => `${of} ${Math.sin(at + of.length)} ${Math.cos(at * 3)}`).join('\n');

/** An image that nothing else has, pulled. */
async function pulled(): Promise<Made> {
  const own = `archive ${(serial += 1)} of ${process.pid}`;
  const image = makeImage([{ one: body(`${own} 1`) }, { two: body(`${own} 2`) }], { architecture });
  fake.push('some/archive', `${serial}`, image);
  const reference = `${fake.host}/some/archive:${serial}`;
  await pull(daemon, reference);
  return { image, reference, file: join(place, `${serial}.tar`) };
}

const save = ({ reference, file }: Made) => daemon.podwright('save', '-o', file, reference);
const load = ({ file }: Made) => daemon.podwright('load', file);
const idOf = async (reference: string): Promise<string | undefined> =>
  (await daemon.image.ImageStatus({ image: { image: reference } })).image?.id;
const remove = (image: string) => daemon.image.RemoveImage({ image: { image } });

/** The image is here and every file of it is what it must be. */
async function whole(t: ExecutionContext, { image, reference }: Made, step: string): Promise<void> {
  t.is(await idOf(reference), image.config.digest, step);
  await t.notThrowsAsync(daemon.podwright('images', 'verify'), step);
}

const sweep =
  (verb: Pick<Swept<Made>, 'prepare' | 'call' | 'converge'>) =>
  (t: ExecutionContext): Promise<void> =>
    sweepSteps<Made>(
      t,
      { daemon, steps },
      {
        ...verb,
        name: t.title,
        withoutMonitors: true,
        withoutTrash: true,
        left: async () => unfinished(),
        converge: async (own, made, after) => {
          await verb.converge(own, made, after);
          await remove(made.reference);
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
      await remove(made.reference);
      await load(made);
      await whole(own, made, step);
    },
  }),
);

test.serial(
  'podwright load',
  sweep({
    prepare: async () => {
      const before = layers();
      const made = await pulled();
      await save(made);
      await remove(made.reference);
      // what a removal leaves to the background is none of the load's steps
      await until('its layers are gone', () => layers() === before && names('trash').length === 0, trashMs);
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
    call: () => daemon.podwright('images', 'prune', '--all'),
    converge: async (own, made, { step }) => {
      await daemon.podwright('images', 'prune', '--all');
      own.is(await idOf(made.reference), undefined, step);
      await own.notThrowsAsync(daemon.podwright('images', 'verify'), step);
    },
  }),
);

test.serial('nothing is left on the host', async (t) => {
  await until('nothing is half-made', () => unfinished().length === 0);
  t.deepEqual(await daemon.leftOfPods(), []);
  await daemon.shutdown();
  t.false(existsSync(daemon.socket));
});
