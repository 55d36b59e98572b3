// Images that lie: each is refused with a clear error or contained, the host is untouched, nothing half-made stays.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { status as grpcStatus, type ServiceError } from '@grpc/grpc-js';
import { endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { output, pull, runPod, scripted, type Pod } from '../helpers/pods.ts';
import { kitArchive, kitImages, ref, registryHost } from '../helpers/registry.ts';
import { until } from '../helpers/until.ts';

// two million entries are refused as surely as twenty thousand, only later
const daemon = useDaemon(test, { flags: ['--set=image.max_entries=20000'] });
let pod: Pod;

/** Files of the host that evil images aim at, with what is in them. */
const victims = ['hardlink', 'whiteout', 'symlink-file', 'dir/f'].map((name) => `/tmp/podwright-evil-${name}`);

test.before('the victims', async () => {
  mkdirSync('/tmp/podwright-evil-dir', { recursive: true });
  for (const victim of victims) writeFileSync(victim, 'untouched\n', { mode: 0o644 });
  pod = await runPod(daemon);
});
test.after.always('the victims go', () => {
  for (const victim of [...victims, '/tmp/podwright-evil-dir']) rmSync(victim, { recursive: true, force: true });
});

/** Everything on the host that an evil image could have made or changed; empty when nothing was. */
function damage(): string[] {
  const known = new Set([...victims, '/tmp/podwright-evil-dir']);
  const made = readdirSync('/tmp')
    .filter((name) => name.startsWith('podwright-evil'))
    .map((name) => `/tmp/${name}`)
    .filter((path) => !known.has(path));
  const changed = victims.filter((victim) => {
    if (!existsSync(victim) || readFileSync(victim, 'utf8') !== 'untouched\n') return true;
    const { mode, nlink } = statSync(victim);
    return nlink !== 1 || (mode & 0o7777) !== 0o644;
  });
  return [...made, ...changed];
}

/** What a pull that ended may not leave: downloads, half-unpacked layers, stray blobs. */
const halfMade = (): string[] => [
  ...readdirSync(join(daemon.root, 'ingest')),
  ...readdirSync(join(daemon.root, 'layers')).filter((name) => name.startsWith('.')),
  ...readdirSync(join(daemon.root, 'content/sha256')),
];

/** Asserts that nothing half-made is left, once the work in the background is over. */
async function cleared(t: ExecutionContext): Promise<void> {
  await until('nothing half-made is left', () => halfMade().length === 0).catch(() => undefined);
  t.deepEqual(halfMade(), []);
}

const listed = async (image: string): Promise<number> =>
  (await daemon.image.ListImages({ filter: { image: { image } } })).images.length;

/** Taken whole, and then useless to who made them. */
const contained = ['absolute', 'symlink', 'symlink-layers', 'symlink-file', 'overlay', 'devices'];
/** May go either way, as long as nothing happens. */
const either = ['dotdot', 'opaque', 'size', 'lying-mediatype', 'foreign', 'user', 'env', 'layers'];

// first, while the store is empty: a layer that is there already is not read again
for (const archive of ['bad-digest.tar', 'bad-missing-blob.tar', 'bad-cut.tar', 'bad-path.docker.tar']) {
  test.serial(`the archive ${archive} is not loaded`, async (t) => {
    const path = await kitArchive(archive);
    const { images } = await daemon.image.ListImages({});
    const error = await t.throwsAsync(daemon.podwright('load', path));
    t.true(error?.message.includes(archive), error?.message);
    t.is((await daemon.image.ListImages({})).images.length, images.length);
    await cleared(t);
    t.deepEqual(damage(), []);
  });
}

test.serial('the kit has defective images that this test knows nothing of: none', async (t) => {
  const all = (await kitImages())
    .filter(({ repo }) => repo.startsWith('evil/'))
    .map(({ repo }) => repo.slice('evil/'.length));
  for (const name of [...contained, ...either, ...refused]) t.true(all.includes(name), name);
  t.is(all.length, contained.length + either.length + refused.length);
});

const refused = [
  'hardlink',
  'hardlink-absolute',
  'hardlink-symlink',
  'whiteout',
  'longname',
  'conflict',
  'loop',
  'entries',
  'zeros',
  'pax',
  'truncated',
  'truncated-stream',
  'garbage',
  'diffid',
  'diffid-count',
  'diffid-path',
  'mediatype',
  'platform',
];

for (const name of refused) {
  test.serial(`evil/${name} is refused, saying what and from where`, async (t) => {
    const image = ref(`evil/${name}`);
    const error = (await t.throwsAsync(pull(daemon, image))) as unknown as ServiceError | undefined;
    const { code = 0, details = '' } = error ?? {};
    t.true(
      ['FAILED_PRECONDITION', 'INVALID_ARGUMENT', 'RESOURCE_EXHAUSTED', 'NOT_FOUND', 'UNIMPLEMENTED'].includes(
        grpcStatus[code] ?? '',
      ),
      `${grpcStatus[code]}: ${details}`,
    );
    t.true(details.includes(image) || details.includes(registryHost), details);
    t.is(await listed(image), 0);
    await cleared(t);
    t.deepEqual(damage(), []);
  });
}

for (const name of contained) {
  test.serial(`evil/${name} is taken and does no harm`, async (t) => {
    const image = ref(`evil/${name}`);
    await pull(daemon, image);
    const script =
      'ls / > /dev/null && sh -c "echo works"; for f in /mem /disk /devs/1; do head -c 1 $f > /dev/null 2>&1 && echo opened $f; done; true';
    const { stdout } = await output(daemon, pod, scripted(script, { image: { image } }));
    t.is(stdout, 'works\n');
    t.deepEqual(damage(), []);
    await daemon.image.RemoveImage({ image: { image } });
  });
}

for (const name of either) {
  test.serial(`evil/${name} is refused or does no harm`, async (t) => {
    const image = ref(`evil/${name}`);
    const taken = await pull(daemon, image).then(
      () => true,
      () => false,
    );
    t.is(await listed(image), taken ? 1 : 0);
    if (taken) {
      // a user or a layer count that cannot be had may fail the container, with a message
      const ran = await output(daemon, pod, scripted('echo works', { image: { image } })).then(
        ({ stdout }) => stdout,
        (error: ServiceError) => error.details,
      );
      t.true(ran === 'works\n' || ran.length > 20, ran);
      t.notRegex(ran, /INTERNAL|undefined/);
      await daemon.image.RemoveImage({ image: { image } });
    }
    await cleared(t);
    t.deepEqual(damage(), []);
  });
}

test.serial(
  'a hard link to a file of the layer below is refused by its name, as layers are unpacked in any order',
  async (t) => {
    await t.throwsAsync(pull(daemon, ref('test/crosslink')), { message: /hard link.*x\/b/ });
    t.is(await listed(ref('test/crosslink')), 0);
  },
);

test.serial('after all of them a good image is pulled and runs', async (t) => {
  await pull(daemon, ref('test/layers'));
  const { stdout } = await output(daemon, pod, {
    ...scripted('true', { image: { image: ref('test/layers') } }),
    command: [],
  });
  t.regex(stdout, /layers: ok/);
});

endsWithoutResidue(test, daemon);
