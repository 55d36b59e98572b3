// A disk that is full, fails, or has become read-only: what is known, what is owed, and what is written when it is back.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Failure, failureChain } from '../../../src/lib/failure.ts';
import { noStep } from '../../../src/lib/steps.ts';
import { ImageRecords } from '../../../src/state/images.ts';
import { readRecord, settleRecord } from '../../../src/state/record.ts';
import { RecordWriter } from '../../../src/state/record-writer.ts';
import { sandboxRecords } from '../../../src/state/sandboxes.ts';
import { until } from '../../helpers/until.ts';

const failed = (code: string): Error => Object.assign(new Error(`${code}: a test has it fail`), { code });

/** Directories of records on a disk whose fsync(2) fails as long as `bad` has something. */
function room(t: { teardown: (work: () => void) => void }) {
  const root = mkdtempSync(join(tmpdir(), 'podwright-records-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  const disk = { bad: '', tries: 0, synced: [] as string[], told: [] as unknown[] };
  const writer = new RecordWriter(
    (error) => disk.told.push(error),
    noStep,
    async (path) => {
      disk.tries += 1;
      if (disk.bad !== '') throw failed(disk.bad);
      disk.synced.push(path);
    },
  );
  const options = {
    dir: join(root, 'records'),
    trashDir: join(root, 'trash'),
    quarantineDir: join(root, 'quarantine'),
    writer,
  };
  return { root, disk, writer, options };
}

const notSynced = { instanceOf: Failure, message: /^sync \/.*[0-9a-f]{64}/ };
const id = 'a'.repeat(64);
const identity = { id, createdAt: 1n };
const status = { phase: 'ready', stopRequestedAt: 0n, deliveredAt: 2n, updated: null };

function store(options: ReturnType<typeof room>['options']) {
  const records = sandboxRecords<typeof identity, typeof status>(options);
  records.load();
  return records;
}

for (const code of ['ENOSPC', 'EIO', 'EROFS']) {
  test(`of a disk that answers ${code} a fact is known at once and written when it is taken again`, async (t) => {
    const { options, writer } = room(t);
    let refuses = true;
    const write = writer.write.bind(writer);
    writer.write = (...args) => {
      if (refuses) throw failed(code);
      write(...args);
    };
    const records = store(options);
    records.create(identity, status);
    t.is(records.update(id, { phase: 'stopped' }).status.phase, 'stopped');
    t.is(records.update(id, { phase: 'removing' }).status.phase, 'removing');
    t.is(writer.owed, 1);
    const file = join(options.dir, id, 'status.json');
    t.like(readRecord(file), { phase: 'ready' });
    refuses = false;
    await writer.flush();
    t.is(writer.owed, 0);
    t.like(readRecord(file), { phase: 'removing' });
  });

  test(`what cannot be written because of ${code} says what, and leaves nothing`, (t) => {
    const { options, root } = room(t);
    const writer = new RecordWriter(
      () => undefined,
      (label) => {
        if (label.endsWith(' made')) throw failed(code);
      },
    );
    const records = store({ ...options, dir: join(root, 'sandboxes'), writer });
    const error = t.throws(() => records.create(identity, status), { instanceOf: Failure });
    t.is(error.kind, code === 'ENOSPC' ? 'resource-exhausted' : 'internal');
    t.regex(failureChain(error), new RegExp(`^write ${root}/sandboxes/${id}: ${code}`));
    t.deepEqual(readdirSync(join(root, 'sandboxes')), []);
    t.is(records.get(id), undefined);
  });
}

test('what a failed sync may have lost is written anew, and durable at once', async (t) => {
  const { options, writer, disk } = room(t);
  const records = store(options);
  records.create(identity, status);
  disk.bad = 'EIO';
  await t.throwsAsync(writer.flush(), notSynced);
  // as the kernel may do with pages that it could not write
  for (const name of ['sandbox.json', 'status.json']) truncateSync(join(options.dir, id, name), 5);
  disk.bad = '';
  await writer.flush();
  t.is(writer.owed, 0);
  const again = sandboxRecords<typeof identity, typeof status>(options);
  t.like(again.load(), { loaded: 1, quarantined: [] });
  t.deepEqual(again.get(id), { identity, status });
  t.true(disk.synced.includes(join(options.dir, id)), 'its name in the directory above is synced too');
});

test('what is written anew needs the last durable content no more', async (t) => {
  const { options, writer, disk } = room(t);
  const records = store(options);
  records.create(identity, status);
  await writer.flush();
  records.update(id, { phase: 'stopped' });
  disk.bad = 'EIO';
  await t.throwsAsync(writer.flush(), notSynced);
  t.deepEqual(readdirSync(join(options.dir, id)).sort(), ['.status.json.old', 'sandbox.json', 'status.json']);
  disk.bad = '';
  await writer.flush();
  t.deepEqual(readdirSync(join(options.dir, id)).sort(), ['sandbox.json', 'status.json']);
  t.like(readRecord(join(options.dir, id, 'status.json')), { phase: 'stopped' });
});

test('a record that went while its sync failed does not come back', async (t) => {
  const { options, writer, disk } = room(t);
  const records = store(options);
  records.create(identity, status);
  disk.bad = 'EIO';
  const syncing = writer.flush();
  await records.remove(id);
  await t.throwsAsync(syncing, notSynced);
  disk.bad = '';
  await writer.flush();
  t.deepEqual(readdirSync(options.dir), []);
  t.is(writer.owed, 0);
});

test('a sync that fails again and again is told of once, until one has succeeded', async (t) => {
  const { options, writer, disk } = room(t);
  const records = store(options);
  disk.bad = 'EIO';
  records.create(identity, status);
  await until('it is told', () => disk.told.length > 0);
  const before = disk.tries;
  await until('it is tried again, by itself', () => disk.tries > before + 3);
  t.is(disk.told.length, 1);
  disk.bad = '';
  await writer.flush();
  disk.bad = 'EIO';
  records.update(id, { phase: 'stopped' });
  await until('it is told anew', () => disk.told.length > 1);
  t.is(disk.told.length, 2);
  disk.bad = '';
  await until('what is owed is written, by itself', () => writer.owed === 0);
  await writer.flush();
  t.is(disk.told.length, 2);
});

const image = { id: `sha256:${id}`, pulledAt: 1n, namedAt: 1n, tags: ['old'] };

test('an image whose record is not durable is not there, and the next try writes it anew', async (t) => {
  const { options, disk } = room(t);
  const records = new ImageRecords<typeof image>(options);
  records.load();
  disk.bad = 'EIO';
  await t.throwsAsync(records.put(image), { instanceOf: Failure, message: /^write the record of image sha256:a/ });
  t.is(records.get(image.id), undefined);
  t.deepEqual(readdirSync(options.dir), [], 'nobody was told of it');
  disk.bad = '';
  await records.put(image);
  t.deepEqual(records.list(), [image]);
  t.true(disk.synced.includes(join(options.dir, `${id}.json`)));
});

test('an image keeps the names it had when others cannot be written', async (t) => {
  const { options, writer, disk } = room(t);
  const records = new ImageRecords<typeof image>(options);
  records.load();
  await records.put(image);
  disk.bad = 'EROFS';
  await t.throwsAsync(records.put({ ...image, tags: ['new'] }));
  t.deepEqual(records.get(image.id)?.tags, ['old']);
  disk.bad = '';
  await writer.flush();
  t.like(readRecord(join(options.dir, `${id}.json`)), { tags: ['old'] });
});

test('an image that is removed while its sync failed does not come back', async (t) => {
  const { options, writer, disk } = room(t);
  const records = new ImageRecords<typeof image>(options);
  records.load();
  await records.put(image);
  writer.write(join(options.dir, `${id}.json`), image.tags);
  disk.bad = 'EIO';
  await t.throwsAsync(writer.flush());
  await records.remove(image.id);
  disk.bad = '';
  await writer.flush();
  t.false(existsSync(join(options.dir, `${id}.json`)));
});

test('an image whose record cannot be taken away is still there', async (t) => {
  const { options } = room(t);
  const records = new ImageRecords<typeof image>(options);
  records.load();
  await records.put(image);
  const file = join(options.dir, `${id}.json`);
  // what is no file is not removed: as little as one on a file system that is read-only
  rmSync(file);
  mkdirSync(file);
  await t.throwsAsync(records.remove(image.id), { message: /^remove the record of image sha256:a/ });
  t.deepEqual(records.list(), [image]);
  rmSync(file, { recursive: true });
  await records.remove(image.id);
  t.deepEqual(records.list(), []);
});

/** A writer whose syncs wait until they are let go, each with success or a failure, in the order in which they came. */
function held(t: { teardown: (work: () => void) => void }) {
  const { root, options } = room(t);
  const waiting: { readonly path: string; readonly end: (error?: Error) => void }[] = [];
  const writer = new RecordWriter(
    () => undefined,
    noStep,
    (path) =>
      new Promise((resolve, reject) => {
        waiting.push({ path, end: (error) => (error ? reject(error) : resolve()) });
      }),
  );
  /** Lets every sync of a round end until it is over. */
  const end = async (round: Promise<unknown>, from: typeof waiting, error?: Error): Promise<void> => {
    let over = false;
    void round.then(
      () => (over = true),
      () => (over = true),
    );
    await until('the round is over', () => {
      for (const each of from.splice(0)) each.end(error);
      return over;
    });
  };
  return { root, writer, waiting, end, options: { ...options, writer } };
}

test('a round that fails late does not bring back what a newer one has made durable', async (t) => {
  const { options, writer, waiting, end } = held(t);
  const records = store(options);
  records.create(identity, { ...status, phase: 'creating' });
  const first = writer.flush();
  const hung = waiting.splice(0);
  t.is(hung.length, 1);
  records.update(id, { phase: 'ready' });
  await end(writer.flush(), waiting);
  const file = join(options.dir, id, 'status.json');
  t.like(readRecord(file), { phase: 'ready' });
  for (const each of hung) each.end(failed('EIO'));
  const failing = t.throwsAsync(first, notSynced);
  await end(failing, waiting, failed('EIO'));
  await end(writer.flush(), waiting);
  t.like(readRecord(file), { phase: 'ready' });
  t.is(writer.owed, 0);
});

test('the last durable content stays until a newer one is durable, whichever round ends first', async (t) => {
  const { root, writer, waiting, end } = held(t);
  mkdirSync(join(root, 'r'));
  const file = join(root, 'r', 'status.json');
  const names = (): string[] => readdirSync(join(root, 'r')).sort();
  writer.write(file, 'v0');
  await end(writer.flush(), waiting);
  writer.write(file, 'v1');
  t.deepEqual(names(), ['.status.json.old', 'status.json']);
  const first = writer.flush();
  const firsts = waiting.splice(0);
  writer.write(file, 'v2');
  const second = writer.flush();
  const seconds = waiting.splice(0);
  for (const each of firsts) each.end();
  await end(first, waiting);
  t.deepEqual(names(), ['.status.json.old', 'status.json'], 'v2 is not durable');
  for (const each of seconds) each.end();
  await end(second, waiting);
  t.deepEqual(names(), ['status.json']);
  t.is(readRecord(file), 'v2');
});

test('a content that could not be renamed into its place is there for a start, and the durable one is', async (t) => {
  const { root } = room(t);
  mkdirSync(join(root, 'r'));
  const file = join(root, 'sandboxes', id, 'status.json');
  mkdirSync(join(root, 'sandboxes', id), { recursive: true });
  let bad = false;
  const writer = new RecordWriter(
    () => undefined,
    (label) => {
      if (bad && label.endsWith('out of the way')) throw failed('EIO');
    },
  );
  writer.write(file, 'v0');
  await writer.flush();
  writer.write(file, 'v1'); // to be synced still
  bad = true;
  writer.writeOrOwe(file, () => 'v2');
  t.is(writer.owed, 1);
  const start = (): unknown => {
    settleRecord(file);
    return readRecord(file);
  };
  t.false(existsSync(file));
  bad = false;
  t.is(start(), 'v2');
  await writer.flush();
  t.is(writer.owed, 0);
  t.is(start(), 'v2');
  t.deepEqual(readdirSync(join(root, 'sandboxes', id)), ['status.json']);
});

test('one file that cannot be synced keeps no other from being durable, and no image from its record', async (t) => {
  const { options, root } = room(t);
  const bad = join(options.dir, id, 'status.json');
  const writer = new RecordWriter(
    () => undefined,
    noStep,
    async (path) => {
      if (path === bad) throw failed('EIO');
    },
  );
  store({ ...options, writer }).create(identity, status);
  const images = new ImageRecords<typeof image>({ ...options, dir: join(root, 'images'), writer });
  images.load();
  await images.put(image);
  t.deepEqual(images.list(), [image]);
  await t.throwsAsync(writer.flush(), notSynced);
  await t.throwsAsync(writer.close(), { message: /^\d+ files or names are not durable$/ });
});

test('what waits for a disk is told once, however it fails', async (t) => {
  const { options, root } = room(t);
  const told: unknown[] = [];
  let bad = false;
  const writer = new RecordWriter(
    (error) => told.push(error),
    (label) => {
      if (bad && label.endsWith('status.json written')) throw failed('EROFS');
    },
  );
  const records = store({ ...options, dir: join(root, 'sandboxes'), writer });
  records.create(identity, status);
  await writer.flush();
  bad = true;
  records.update(id, { phase: 'stopped' });
  await until('it is told', () => told.length > 0);
  t.regex(failureChain(told[0]), /^write .*status\.json: EROFS/);
  for (const phase of ['removing', 'stopped']) {
    records.update(id, { phase });
    await t.throwsAsync(writer.flush());
  }
  t.is(writer.owed, 1);
  t.is(told.length, 1);
  bad = false;
  await writer.close();
  t.is(writer.owed, 0);
});
