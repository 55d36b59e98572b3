import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { noStep } from '../../../src/lib/steps.ts';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Failure } from '../../../src/lib/failure.ts';
import type { ChainId, Digest } from '../../../src/lib/id.ts';
import { NativeError } from '../../../src/native/errors.ts';
import { createStorage, type Storage } from '../../../src/storage/storage.ts';
import { fetchFailure } from '../../../src/storage/native-failure.ts';
import { readTextFile } from '../../../src/storage/text-file.ts';
import {
  fakeStorageNative,
  type FakeStorageNative,
  nativeFailure,
  writeDeep,
} from '../../helpers/fake-storage-native.ts';
import { digestOf } from '../../helpers/image-parts.ts';
import { temporaryRoot } from '../../helpers/image-room.ts';
import { until } from '../../helpers/until.ts';

interface Made {
  readonly root: string;
  readonly storage: Storage;
  readonly native: FakeStorageNative;
  readonly clock: { nowNanos: bigint };
  readonly errors: unknown[];
}

const never = new AbortController().signal;
const limits = { maxEntries: 1, maxBytes: 1, maxRatio: 1, maxDepth: 1, maxPathBytes: 1, maxXattrBytes: 1 };

async function setup(t: ExecutionContext, root = temporaryRoot(t)): Promise<Made> {
  const native = fakeStorageNative();
  const clock = { nowNanos: 1n };
  const errors: unknown[] = [];
  const storage = createStorage({
    paths: {
      layersDir: `${root}/layers`,
      contentDir: `${root}/content`,
      snapshotsDir: `${root}/snapshots`,
      ingestDir: `${root}/ingest`,
      savesDir: `${root}/saves`,
      trashDir: `${root}/trash`,
    },
    native,
    step: noStep,
    clock: { now: () => clock.nowNanos },
    bounds: { stallMs: 1, attempts: 1, limits },
    firstProject: 1,
    onError: (error) => void errors.push(error),
  });
  await storage.load();
  return { root, storage, native, clock, errors };
}

const chain = (c: string): ChainId => `sha256:${c.repeat(64)}` as string as ChainId;

/** Unpacks a file as a layer. */
async function makeLayer({ root, storage }: Made, chainId: ChainId, text = chainId as string): Promise<void> {
  const path = join(root, 'source');
  await writeDeep(join(path, 'layer'), text);
  const digest = digestOf(Buffer.from(text)) as string as Digest;
  const blob = { chainId, diffId: digest, digest, size: text.length, mediaType: 'm' };
  const entry = { name: 'layer', offset: 0, size: text.length };
  await storage.layers.ensure(blob, never, (unpack) =>
    unpack({ type: 'archive', path, entry, verifyDigest: true, keepBlobPath: null }),
  );
}

test('a layer whose file cannot be read now is no damaged layer: the start fails, and it stays', async (t) => {
  const made = await setup(t);
  await makeLayer(made, chain('a'));
  // a link that leads to itself: open(2) fails with ELOOP, as it would with EMFILE or EIO
  const file = join(made.root, 'layers', 'a'.repeat(64), 'layer.json');
  rmSync(file);
  symlinkSync('layer.json', file);
  await t.throwsAsync(setup(t, made.root), { code: 'ELOOP' });
  t.true(existsSync(join(made.root, 'layers', 'a'.repeat(64), 'diff')));
});

test('a layer is there after one rename, and after a restart', async (t) => {
  const made = await setup(t);
  await makeLayer(made, chain('a'));
  t.true(made.storage.layers.has(chain('a')));
  t.deepEqual(readdirSync(`${made.root}/layers`).sort(), ['a'.repeat(64), 'empty']);
  const again = await setup(t, made.root);
  t.deepEqual(again.storage.layers.get(chain('a')), made.storage.layers.get(chain('a')));
  await again.storage.layers.remove(chain('a'));
  t.false(existsSync(`${made.root}/layers/${'a'.repeat(64)}`));
});

test('a layer whose directory is there already is not put twice', async (t) => {
  const made = await setup(t);
  mkdirSync(`${made.root}/layers/${'a'.repeat(64)}/diff`, { recursive: true });
  await makeLayer(made, chain('a'));
  t.true(made.storage.layers.has(chain('a')));
  t.false(readdirSync(`${made.root}/layers`).some((name) => name.startsWith('.')));
  t.true(existsSync(`${made.root}/layers/${'a'.repeat(64)}/diff/blob`), 'it is the new one');
  made.native.commitDir = async ({ from }) => {
    rmSync(from, { recursive: true });
    return { committed: false };
  };
  await t.throwsAsync(makeLayer(made, chain('b')), { message: /its place is taken/ });
  t.false(made.storage.layers.has(chain('b')));
});

test('a layer that cannot be taken away is still there, and no new one', async (t) => {
  const made = await setup(t);
  const { layers } = made.storage;
  await makeLayer(made, chain('a'));
  const usage = layers.usage();
  const { promise, reject } = Promise.withResolvers<never>();
  made.native.removeTree = () => promise;
  const removal = t.throwsAsync(layers.remove(chain('a')), { message: /^remove layer/ });
  t.false(layers.has(chain('a')));
  made.native.removeTree = async ({ path }) => {
    rmSync(path, { recursive: true, force: true });
    return { removed: true };
  };
  const again = t.throwsAsync(makeLayer(made, chain('a')), { message: /the old one could not be removed/ });
  await until('it is made anew', () => made.native.calls.filter(({ name }) => name === 'writeFileAtomic').length > 2);
  reject(nativeFailure('rename', 5));
  await removal;
  await again;
  t.true(layers.has(chain('a')));
  t.deepEqual(layers.usage(), usage);
  t.true(existsSync(`${layers.diffDir(chain('a'))}/blob`));
  await layers.remove(chain('a'));
  await makeLayer(made, chain('a'));
});

test('a commit that fails leaves no staging', async (t) => {
  const made = await setup(t);
  made.native.failNext('writeFileAtomic', nativeFailure('rename', 28));
  const error = await t.throwsAsync(makeLayer(made, chain('a')), { instanceOf: Failure });
  t.is(error.kind, 'resource-exhausted');
  t.deepEqual(readdirSync(`${made.root}/layers`), ['empty']);
  await makeLayer(made, chain('a'));
});

test('directories that a tar only implied are settled once, over the layers below, also after a crash', async (t) => {
  const made = await setup(t);
  const [low, middle, top] = [chain('a'), chain('b'), chain('c')];
  await makeLayer(made, low, 'implies at the bottom');
  await makeLayer(made, middle, 'says all');
  await makeLayer(made, top, 'implies on top');
  const settled = ({ native }: Made): unknown[] =>
    native.calls.filter((c) => c.name === 'inheritDirectories').map((c) => c.args);
  const dir = (id: ChainId): string => `${made.root}/layers/${id.slice(7)}`;
  const last = { layerDir: dir(top), below: [`${dir(middle)}/diff`, `${dir(low)}/diff`] };
  made.native.failNext('inheritDirectories', nativeFailure('rename', 5));
  const error = await t.throwsAsync(made.storage.layers.settle([low, middle, top]), { instanceOf: Failure });
  t.is(error.kind, 'internal');
  await made.storage.layers.settle([low]);
  t.deepEqual(readdirSync(dir(low)).sort(), ['diff', 'layer.json']);
  made.native.calls.length = 0;

  const again = await setup(t, made.root);
  await again.storage.layers.settle([low, middle, top]);
  t.deepEqual(settled(again), [last], 'the bottom one was done before');
  await again.storage.layers.settle([low, middle, top]);
  await (await setup(t, made.root)).storage.layers.settle([low, middle, top]);
  t.is(settled(again).length, 1);
  t.deepEqual(settled(made), []);

  await again.storage.layers.remove(top);
  await makeLayer(again, top, 'implies on top');
  await again.storage.layers.settle([low, middle, top]);
  t.deepEqual(settled(again), [last, last], 'a layer that came again');
});

test('closing cancels what is unpacked and waits for its end', async (t) => {
  const made = await setup(t);
  const begun = Promise.withResolvers<void>();
  made.native.unpackFromArchive = async () => {
    begun.resolve();
    await new Promise((resolve) => setTimeout(resolve, 30));
    throw nativeFailure('cancel', 0);
  };
  const work = t.throwsAsync(makeLayer(made, chain('a')), { message: 'the image store is closing' });
  await begun.promise;
  await made.storage.layers.close();
  t.true(made.native.calls.some((c) => c.name === 'fetchCancel'));
  await work;
  await t.throwsAsync(makeLayer(made, chain('b')), { message: 'the image store is closing' });
});

test('layer records that are damaged, foreign or newer', async (t) => {
  const made = await setup(t);
  await makeLayer(made, chain('a'));
  const put = (name: string, text: string): Promise<void> => writeDeep(`${made.root}/layers/${name}/layer.json`, text);
  await put('b'.repeat(64), 'x');
  await put('c'.repeat(64), JSON.stringify({ version: 1, chainId: chain('d') }));
  await put('d'.repeat(64), JSON.stringify({ version: 99 }));
  await put('e'.repeat(64), '{}');
  const fresh = createStorage({
    paths: {
      layersDir: `${made.root}/layers`,
      contentDir: `${made.root}/content`,
      snapshotsDir: `${made.root}/snapshots`,
      ingestDir: `${made.root}/ingest`,
      savesDir: `${made.root}/saves`,
      trashDir: `${made.root}/trash`,
    },
    native: made.native,
    step: noStep,
    clock: { now: () => 1n },
    bounds: { stallMs: 1, attempts: 1, limits },
    firstProject: 1,
    onError: () => undefined,
  });
  const { layers } = await fresh.load();
  t.is(layers.loaded, 1);
  t.deepEqual(layers.damaged.map((d) => d.name[0]).sort(), ['b', 'c', 'd', 'e']);
  t.deepEqual(
    readdirSync(`${made.root}/layers`)
      .map((name) => name[0])
      .sort(),
    ['a', 'd', 'e'],
    'a, what a newer release wrote, and the empty one',
  );
});

test('blobs: checked, durable, removed, dropped if unfinished', async (t) => {
  const { root, storage } = await setup(t);
  const bytes = Buffer.from('hello');
  const digest = digestOf(bytes) as string as Digest;
  await storage.content.put(digest, bytes);
  await storage.content.put(digest, bytes);
  t.deepEqual(await storage.content.read(digest), bytes);
  const error = await t.throwsAsync(storage.content.put(chain('a') as string as Digest, bytes), {
    instanceOf: Failure,
  });
  t.is(error.kind, 'failed-precondition');
  writeFileSync(`${root}/content/sha256/junk`, 'x');
  const again = await setup(t, root);
  t.deepEqual(again.storage.content.list(), [digest]);
  t.deepEqual(readdirSync(`${root}/content/sha256`), [digest.slice(7)]);
  const removing = again.storage.content.remove(digest);
  await again.storage.content.put(digest, bytes);
  await removing;
  t.true(existsSync(again.storage.content.path(digest)), 'a blob put while its old self goes stays');
  t.is(await again.storage.content.read(chain('b') as string as Digest), null);
});

test('writable layers are measured together, and come and go', async (t) => {
  const { storage, native, root } = await setup(t);
  const made = await storage.snapshots.prepare('c1', null);
  t.deepEqual(made, { upper: `${root}/snapshots/c1/upper`, work: `${root}/snapshots/c1/work` });
  await storage.snapshots.prepare('c2', null);
  const usages = await storage.snapshots.usages(['c1', 'c2']);
  t.like(usages, [
    { bytes: 4096, inodes: 0 },
    { bytes: 4096, inodes: 0 },
  ]);
  const walks = native.calls.filter((c) => c.name === 'layerUsages').map((c) => c.args);
  t.deepEqual(walks, [{ dirs: [`${root}/snapshots/c1/upper`, `${root}/snapshots/c2/upper`] }]);
  t.deepEqual(storage.snapshots.knownUsage(), { bytes: 8192, inodes: 0 });
  for (const id of ['c1', 'c1', 'c2']) await storage.snapshots.remove(id);
  t.false(existsSync(`${root}/snapshots/c1`));
  t.deepEqual(storage.snapshots.knownUsage(), { bytes: 0, inodes: 0 });
});

test('one writable layer that cannot be measured leaves the others alone', async (t) => {
  const { storage, native } = await setup(t);
  const failure = { operation: 'measure', syscall: 'open', errno: 5, object: '', message: 'measure: no' };
  native.layerUsages = async ({ dirs }) =>
    dirs.map((dir) => {
      if (dir.includes('gone')) return { err: { ...failure, errno: 2 } };
      return dir.includes('bad') ? { err: failure } : { ok: { bytes: 1, inodes: 2 } };
    });
  t.like(await storage.snapshots.usages(['gone', 'good']), [{ bytes: 0 }, { bytes: 1, inodes: 2 }]);
  const bad = storage.snapshots.usages(['good', 'bad']);
  await t.throwsAsync(bad, { message: /measure the writable layer of container bad/ });
  t.like(await storage.snapshots.usages(['good']), [{ bytes: 1 }]);
});

test('where the file system counts projects, each layer is one, and is not walked', async (t) => {
  const root = temporaryRoot(t);
  const { storage, native } = await setup(t, root);
  native.quotaSupport = async () => ({ counted: true, enforced: false, missing: 'mount it with prjquota' });
  await storage.load();
  await storage.snapshots.prepare('c1', null);
  const assigned = { dir: `${root}/snapshots/c1`, limitBytes: null, firstProject: 1, projects: 65_536 };
  t.deepEqual(native.calls.find((c) => c.name === 'quotaAssign')?.args, assigned);
  t.like(await storage.snapshots.usages(['c1']), [{ bytes: 8192, inodes: 3 }]);
  t.is(native.calls.filter((c) => c.name === 'layerUsages').length, 0);
  native.quotaUsage = async () => null;
  t.like(await storage.snapshots.usages(['c2']), [{ bytes: 4096, inodes: 0 }], 'one from before is walked');
  const unlimited = storage.snapshots.prepare('c3', 1e6);
  await t.throwsAsync(unlimited, { message: /limit a writable layer to 1000000 bytes in .*: mount it with prjquota/ });
  t.false(existsSync(`${root}/snapshots/c3`));
  native.quotaSupport = async () => ({ counted: true, enforced: true, missing: '' });
  await storage.load();
  await storage.snapshots.prepare('c3', 1e6);
  t.like(native.calls.findLast((c) => c.name === 'quotaAssign')?.args, { limitBytes: 1e6 });
  native.failNext(
    'quotaAssign',
    new NativeError({ operation: 'o', syscall: 'quotactl_fd', errno: 28, object: '', message: 'm' }),
  );
  await t.throwsAsync(storage.snapshots.prepare('c4', 1e6), { message: /none of the 65536 projects .* is free/ });
  native.failNext(
    'quotaAssign',
    new NativeError({ operation: 'o', syscall: 'quotactl_fd', errno: 28, object: '', message: 'm' }),
  );
  t.like(await storage.snapshots.prepare('c4', null), { upper: `${root}/snapshots/c4/upper` }, 'no limit, no project');
});

test('files of a root file system: topmost layer first, read once', async (t) => {
  const { storage, native, root } = await setup(t);
  await writeDeep(`${root}/layers/${'a'.repeat(64)}/diff/etc/passwd`, 'below');
  await writeDeep(`${root}/layers/${'b'.repeat(64)}/diff/etc/passwd`, 'above');
  const stack = [chain('a'), chain('b')];
  t.is(await storage.rootfsFiles.read(stack, 'etc/passwd'), 'above');
  t.is(await storage.rootfsFiles.read(stack, 'etc/passwd'), 'above');
  t.is(await storage.rootfsFiles.read([chain('a')], 'etc/passwd'), 'below');
  t.is(await storage.rootfsFiles.read(stack, 'etc/group'), null);
  t.is(native.calls.filter((c) => c.name === 'readThrough').length, 3);
  native.failNext('readThrough', nativeFailure('rename', 27));
  await t.throwsAsync(storage.rootfsFiles.read([], 'etc/passwd'), { message: /read etc\/passwd of the image/ });
  t.is(await storage.rootfsFiles.read([], 'etc/passwd'), null, 'a failure is not remembered');
});

test('every stage of a fetch has a kind', (t) => {
  for (const [stage, errno, kind, blames] of [
    ['http', 500, 'registry-unavailable', true],
    ['dns', 0, 'registry-unavailable', true],
    ['connect', 111, 'registry-unavailable', true],
    ['tls', 0, 'registry-unavailable', true],
    ['timeout', 0, 'registry-unavailable', true],
    ['digest', 0, 'failed-precondition', true],
    ['inflate', 0, 'failed-precondition', true],
    ['tar', 0, 'failed-precondition', true],
    ['limit', 0, 'resource-exhausted', false],
    ['cancel', 0, 'cancelled', false],
    ['disk', 28, 'resource-exhausted', false],
    ['disk', 5, 'internal', false],
    ['request', 0, 'internal', false],
  ] as const) {
    const failure = fetchFailure(nativeFailure(stage, errno), 'get layer x', 'r.io');
    t.is(failure.kind, kind, stage);
    t.is('host' in failure.details, blames, stage);
    t.regex(failure.message, /get layer x from r\.io/);
  }
  t.regex(
    fetchFailure(nativeFailure('archive', 0), 'read archive', '').message,
    /^read archive: the archive is not usable/,
  );
  const strange = new NativeError({ operation: 'o', syscall: 'openat2', errno: 40, object: '', message: 'm' });
  t.is(fetchFailure(strange, 'x', '').kind, 'internal');
  t.throws(() => fetchFailure(new TypeError('bug'), 'x', ''), { instanceOf: TypeError });
});

test('text files: absent is null, the rest is said', async (t) => {
  const { root } = await setup(t);
  await writeDeep(`${root}/f`, 'text');
  t.is(await readTextFile(`${root}/f`, 4), 'text');
  t.is(await readTextFile(`${root}/g`, 4), null);
  t.is(await readTextFile(`${root}/f/g`, 4), null);
  await t.throwsAsync(readTextFile(`${root}/f`, 3), { message: /larger than 3 bytes/ });
  await t.throwsAsync(readTextFile(root, 4096), { message: /read file/ });
});

test('who comes while a layer that everybody left is being committed has that layer', async (t) => {
  const made = await setup(t);
  const { layers } = made.storage;
  const { promise: held, resolve: go } = Promise.withResolvers<void>();
  const { commitDir } = made.native;
  made.native.commitDir = async (args) => {
    await held;
    return commitDir(args);
  };
  const path = join(made.root, 'source');
  await writeDeep(join(path, 'layer'), 'text');
  const digest = digestOf(Buffer.from('text')) as string as Digest;
  const blob = { chainId: chain('a'), diffId: digest, digest, size: 4, mediaType: 'm' };
  const entry = { name: 'layer', offset: 0, size: 4 };
  let unpackings = 0;
  const ensure = (signal: AbortSignal) =>
    layers.ensure(blob, signal, (unpack) => {
      unpackings += 1;
      return unpack({ type: 'archive', path, entry, verifyDigest: true, keepBlobPath: null });
    });
  const first = new AbortController();
  const left = t.throwsAsync(ensure(first.signal), { message: 'its caller is gone' });
  await until('it is being committed', () => made.native.calls.filter(({ name }) => name === 'removeTree').length > 0);
  first.abort(new Error('its caller is gone'));
  await left;
  const second = ensure(never);
  go();
  t.is((await second).chainId, chain('a'));
  t.is(unpackings, 1, 'it is not unpacked again');
});
