import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Failure } from '../../../src/lib/failure.ts';
import {
  DamagedRecord,
  decodeRecord,
  encodeRecord,
  NewerRecord,
  readRecord,
  settleRecord,
} from '../../../src/state/record.ts';
import { RecordWriter } from '../../../src/state/record-writer.ts';
import { RunFiles } from '../../../src/state/run-files.ts';
import { sandboxRecords } from '../../../src/state/sandboxes.ts';
import { containerRecords } from '../../../src/state/containers.ts';

const fail = (error: unknown): void => {
  throw error;
};

function room(t: { teardown: (work: () => void) => void }) {
  const root = mkdtempSync(join(tmpdir(), 'podwright-records-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  const writer = new RecordWriter(fail);
  const options = {
    dir: join(root, 'records'),
    trashDir: join(root, 'trash'),
    quarantineDir: join(root, 'quarantine'),
    writer,
  };
  return { root, options };
}

test('a record survives its round trip, whatever its strings look like', (t) => {
  const data = { labels: { '10': 'x', $n: '1', 'a\u2028': '"' }, list: [1, null] };
  t.deepEqual(decodeRecord(encodeRecord(data), 'f'), data);
});

for (const [what, harm] of [
  ['cut short', (s: string) => s.slice(0, s.length / 2)],
  ['empty', () => ''],
  ['changed', (s: string) => s.replace('"a"', '"b"')],
  ['not an envelope', () => '[]'],
] as const) {
  test(`a record that is ${what} is damaged`, (t) => {
    t.throws(() => decodeRecord(harm(encodeRecord({ a: 'a' })), 'f'), { instanceOf: DamagedRecord });
  });
}

test('a record of a newer release is not read', (t) => {
  t.throws(() => decodeRecord('{"version":99,"checksum":"0","data":{}}', 'f'), { instanceOf: NewerRecord });
});

const id = 'a'.repeat(64);
const identity = { id, createdAt: 1_700_000_000_123_456_789n, config: { name: 'x' } };
const status = { phase: 'ready', stopRequestedAt: 0n, deliveredAt: 2n, ips: ['10.0.0.2'], updated: null };

test('a sandbox record of before resources could be updated has none updated', async (t) => {
  const { options } = room(t);
  const { updated, ...older } = status;
  t.is(updated, null);
  const before = sandboxRecords<typeof identity, typeof older>(options);
  before.load();
  before.create(identity, older);
  await options.writer.flush();
  const after = sandboxRecords<typeof identity, typeof status>(options);
  after.load();
  t.is(after.get(id)?.status.updated, null);
});

test('records come back after a restart, nanosecond for nanosecond', async (t) => {
  const { options } = room(t);
  const before = sandboxRecords<typeof identity, typeof status>(options);
  before.load();
  before.create(identity, status);
  before.update(id, { phase: 'stopped' });
  const after = sandboxRecords<typeof identity, typeof status>(options);
  t.is(after.load().loaded, 1);
  t.deepEqual(after.get(id), { identity, status: { ...status, phase: 'stopped' } });
  await options.writer.flush();
});

test('a container record keeps its exit', (t) => {
  const { options } = room(t);
  const exit = { exitCode: 137, reason: 'OOMKilled', message: '', finishedAt: 99n };
  const own = { startedAt: 3n, stopRequestedAt: 0n, deliveredAt: 0n, exit: null as typeof exit | null };
  const before = containerRecords<typeof identity, typeof own>(options);
  before.load();
  before.create(identity, own);
  before.update(id, { exit });
  const after = containerRecords<typeof identity, typeof own>(options);
  after.load();
  t.deepEqual(after.get(id)?.status, { ...own, exit });
});

test('a torn record goes to quarantine, its neighbours live, half-made ones are swept', (t) => {
  const { root, options } = room(t);
  const before = sandboxRecords<typeof identity, typeof status>(options);
  before.load();
  before.create(identity, status);
  const other = 'b'.repeat(64);
  before.create({ ...identity, id: other }, status);
  truncateSync(join(options.dir, other, 'status.json'), 20);
  writeFileSync(join(options.dir, '.new-x'), '');
  const report = sandboxRecords<typeof identity, typeof status>(options).load();
  t.is(report.loaded, 1);
  t.deepEqual(
    report.quarantined.map((q) => q.id),
    [other],
  );
  t.deepEqual(readdirSync(options.dir), [id]);
  t.deepEqual(readdirSync(join(root, 'quarantine')), [`sandbox-${other}`]);
});

test('a record of a newer release stays where it is', (t) => {
  const { options } = room(t);
  const before = sandboxRecords<typeof identity, typeof status>(options);
  before.load();
  before.create(identity, status);
  const file = join(options.dir, id, 'sandbox.json');
  writeFileSync(file, readFileSync(file, 'utf8').replace('"version":1', '"version":7'));
  const report = sandboxRecords<typeof identity, typeof status>(options).load();
  t.deepEqual(
    report.left.map((l) => l.id),
    [id],
  );
  t.deepEqual(readdirSync(options.dir), [id]);
});

test('prefixes find one, or nobody, and refuse two', (t) => {
  const { options } = room(t);
  const store = sandboxRecords<typeof identity, typeof status>(options);
  store.load();
  store.create(identity, status);
  store.create({ ...identity, id: `ab${'0'.repeat(62)}` }, status);
  t.is(store.find('aa')?.identity.id, id);
  t.is(store.find('ff'), undefined);
  t.is(store.find(''), undefined);
  t.throws(() => store.find('a'), { instanceOf: Failure, message: /ambiguous/ });
});

test('removing is final and repeatable', async (t) => {
  const { options } = room(t);
  const store = sandboxRecords<typeof identity, typeof status>(options);
  store.load();
  store.create(identity, status);
  await store.remove(id);
  await store.remove(id);
  t.is(store.get(id), undefined);
  t.deepEqual(readdirSync(options.dir), []);
});

test('a write that the disk takes only in part replaces nothing and leaves nothing', (t) => {
  const { root } = room(t);
  const file = join(root, 'status.json');
  writeFileSync(file, encodeRecord({ good: true }));
  // a file size limit of 1 KiB: write(2) takes that much, and no more
  const script = `
    import { RecordWriter } from ${JSON.stringify(new URL('../../../src/state/record-writer.ts', import.meta.url).href)};
    process.on('SIGXFSZ', () => undefined);
    try {
      new RecordWriter(() => undefined).write(${JSON.stringify(file)}, { text: 'x'.repeat(5000) });
      process.exit(0);
    } catch (error) {
      process.exit(error.code === 'EFBIG' ? 7 : 8);
    }`;
  const { status } = spawnSync('bash', [
    '-c',
    'ulimit -f 1; exec "$0" --input-type=module -e "$1"',
    process.execPath,
    script,
  ]);
  t.deepEqual(decodeRecord(readFileSync(file, 'utf8'), file), { good: true });
  t.is(status, 7);
  t.deepEqual(readdirSync(root), ['status.json']);
});

test('a record that is being removed is gone for everybody at once', (t) => {
  const { options } = room(t);
  const store = sandboxRecords<typeof identity, typeof status>(options);
  store.load();
  store.create(identity, status);
  void store.remove(id);
  t.is(store.get(id), undefined);
});

test('a record that cannot be read now is no damaged record: nothing is moved', (t) => {
  const { options } = room(t);
  const store = sandboxRecords<typeof identity, typeof status>(options);
  store.load();
  store.create(identity, status);
  // a link that leads to itself: open(2) fails with ELOOP, as it would with EMFILE or EIO
  const file = join(options.dir, id, 'status.json');
  rmSync(file);
  symlinkSync('status.json', file);
  const again = sandboxRecords<typeof identity, typeof status>(options);
  t.throws(() => again.load(), { code: 'ELOOP' });
  t.deepEqual(readdirSync(options.dir), [id]);
});

test('an exit file that is torn counts as none', (t) => {
  const { root } = room(t);
  const files = new RunFiles({
    sandboxRunDir: () => root,
    bundleDir: () => root,
    monitorSocket: () => root,
    netnsPin: () => root,
  });
  t.is(files.readExit('c'), null);
  writeFileSync(join(root, 'exit.json'), '{"version":1,"exi');
  t.is(files.readExit('c'), null);
  writeFileSync(join(root, 'exit.json'), '[]');
  t.is(files.readExit('c'), null);
  writeFileSync(join(root, 'exit.json'), '{"exitCode":3}');
  t.deepEqual(files.readExit('c'), { exitCode: 3 });
});

test('a write that was cut anywhere leaves the record whole: new, or as it was last durable', async (t) => {
  const { root, options } = room(t);
  const file = join(root, 'r.json');
  const [fresh, kept] = [join(root, '.r.json.new'), join(root, '.r.json.old')];
  const read = () => {
    settleRecord(file);
    return readRecord(file);
  };
  options.writer.write(file, 1);
  await options.writer.flush();
  options.writer.write(file, 2);
  t.deepEqual([readRecord(file), readRecord(kept)], [2, 1], 'the durable one is kept until the sync');
  truncateSync(file, 3); // what a power cut may leave of it
  t.is(read(), 1);
  t.deepEqual(readdirSync(root), ['r.json']);
  options.writer.write(file, 3);
  await options.writer.flush();
  t.deepEqual(readdirSync(root), ['r.json'], 'a sync ends the need for the old one');
  writeFileSync(fresh, encodeRecord(4));
  t.is(read(), 3, 'a next content that never took its place is not a fact');
  writeFileSync(fresh, encodeRecord(5));
  rmSync(file);
  t.is(read(), 5, 'the old one had gone already');
  writeFileSync(fresh, '{');
  rmSync(file);
  t.throws(read, { code: 'ENOENT' });
});

test('writes in a row keep the durable one, not each other', async (t) => {
  const { root, options } = room(t);
  const file = join(root, 'r.json');
  options.writer.write(file, 1);
  await options.writer.flush();
  for (const n of [2, 3, 4]) options.writer.write(file, n);
  t.deepEqual([readRecord(file), readRecord(join(root, '.r.json.old'))], [4, 1]);
});

test('all who listen are told of a change, in the order in which they came', async (t) => {
  const { options } = room(t);
  const records = sandboxRecords<typeof identity, typeof status>(options);
  const told: string[] = [];
  for (const name of ['first', 'second'])
    records.onChange((before, after) => told.push(`${name} ${before?.status.phase} ${after?.status.phase}`));
  records.load();
  records.create(identity, status);
  records.update(id, { phase: 'stopped' });
  await records.remove(id);
  t.deepEqual(told, [
    'first undefined ready',
    'second undefined ready',
    'first ready stopped',
    'second ready stopped',
    'first stopped undefined',
    'second stopped undefined',
  ]);
});
