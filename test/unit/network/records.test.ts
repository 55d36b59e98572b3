// Records of pods' networks: whole or not there, and one that cannot be read costs only itself.
import { noStep } from '../../../src/lib/steps.ts';
import test from 'ava';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createNetwork, type NetworkOptions } from '../../../src/network/network.ts';
import { NetworkRecords, type PluginRecord, UnreadableRecord } from '../../../src/network/record.ts';

const id = (digit: string): string => digit.repeat(64);

const record = (sandboxId: string): PluginRecord => ({
  driver: 'plugins',
  request: {
    sandboxId,
    netns: `/run/netns/${sandboxId}`,
    podName: 'p',
    podNamespace: 'n',
    podUid: 'u',
    portMappings: [],
    dns: { servers: [], searches: [], options: [] },
    annotations: {},
    cgroupParent: '',
  },
  config: {
    name: 'net',
    cniVersion: '1.1.0',
    versions: ['1.1.0'],
    disableCheck: false,
    disableGc: false,
    plugins: [],
  },
  podCidr: '',
  result: {},
  attachment: { ips: ['10.1.0.2'], interface: 'eth0', hostInterface: null },
});

function room(t: { teardown: (then: () => void) => void }) {
  const root = mkdtempSync('/tmp/pw-network-records-');
  t.teardown(() => rmSync(root, { recursive: true }));
  const dirOf = (sandboxId: string): string => join(root, 'sandboxes', sandboxId);
  const records = new NetworkRecords(dirOf, (error) => {
    throw error;
  });
  const add = (digit: string): string => {
    mkdirSync(dirOf(id(digit)), { recursive: true });
    records.write(record(id(digit)), { sync: true });
    return join(dirOf(id(digit)), 'network.json');
  };
  return { root, dirOf, records, add };
}

/** A daemon's network over those records, with one plugin that notes what it is given to collect: its status is asked meanwhile. */
function networkOf(root: string, dirOf: (id: string) => string) {
  const said: string[] = [];
  mkdirSync(join(root, 'bin'));
  mkdirSync(join(root, 'net.d'));
  const input = join(root, 'input');
  writeFileSync(join(root, 'bin', 'noting'), `#!/bin/sh\ncat > ${input}-$CNI_COMMAND\n`);
  chmodSync(join(root, 'bin', 'noting'), 0o755);
  writeFileSync(
    join(root, 'net.d', '1.conflist'),
    JSON.stringify({ cniVersion: '1.1.0', name: 'net', plugins: [{ type: 'noting' }] }),
  );
  const network = createNetwork({
    native: {} as NetworkOptions['native'],
    config: {
      default: 'none',
      rules: 'auto',
      bridge: '',
      subnet: '',
      confDir: join(root, 'net.d'),
      binDirs: [join(root, 'bin')],
      hostLocalDir: join(root, 'networks'),
      pluginTimeoutMs: 20_000,
      cacheDir: join(root, 'cache'),
    },
    recordDir: dirOf,
    step: noStep,
    log: (level, { sandbox }, message) =>
      void (typeof sandbox === 'string' && said.push(`${level} ${sandbox} ${message}`)),
  });
  return { network, said, given: () => JSON.parse(readFileSync(`${input}-GC`, 'utf8')) as Record<string, unknown> };
}

test('a record survives its round trip', (t) => {
  const { records, add, dirOf } = room(t);
  add('a');
  t.deepEqual(records.read(id('a')), record(id('a')));
  t.deepEqual(records.ids(), [id('a')]);
  t.deepEqual(readdirSync(dirOf(id('a'))), ['network.json']);
  records.remove(id('a'));
  t.is(records.read(id('a')), null);
});

test('a record that does not fit on the disk leaves the one before, and nothing else', (t) => {
  const { dirOf, records, add } = room(t);
  const file = add('a');
  const source = new URL('../../../src/network/record.ts', import.meta.url).href;
  const large = { ...record(id('a')), result: 'x'.repeat(4000) };
  const script = `
    import { NetworkRecords } from ${JSON.stringify(source)};
    process.on('SIGXFSZ', () => {});
    try {
      new NetworkRecords(() => ${JSON.stringify(dirOf(id('a')))}, () => {}).write(${JSON.stringify(large)}, { sync: true });
      process.exit(0);
    } catch (error) {
      process.exit(error.code === 'EFBIG' ? 7 : 8);
    }`;
  const { status } = spawnSync('bash', [
    '-c',
    'ulimit -f 2; exec "$0" --input-type=module -e "$1"',
    process.execPath,
    script,
  ]);
  t.is(status, 7);
  t.deepEqual(records.read(id('a')), record(id('a')));
  t.deepEqual(readdirSync(join(file, '..')), ['network.json']);
});

test('a damaged record and one of a newer release are left alone, and the network starts', async (t) => {
  const { root, dirOf, records, add } = room(t);
  add('a');
  const torn = add('b');
  const newer = add('c');
  writeFileSync(torn, readFileSync(torn, 'utf8').slice(0, 100));
  writeFileSync(newer, readFileSync(newer, 'utf8').replace('"version":1', '"version":2'));
  const before = [torn, newer].map((file) => readFileSync(file, 'utf8'));
  t.true(t.throws(() => records.read(id('c')), { instanceOf: UnreadableRecord })?.newer);
  const { network, said, given } = networkOf(root, dirOf);
  await network.start();
  await network.status(); // no plugin runs in the background any more
  t.deepEqual(
    network.attachments().map(({ sandboxId }) => sandboxId),
    [id('a')],
  );
  t.deepEqual(
    said.toSorted(),
    ['b', 'c'].map((digit) => `error ${id(digit)} a network record cannot be read and is left alone`),
  );
  await network.collect(() => new Set([id('a'), id('b'), id('c')]));
  const valid = given()['cni.dev/valid-attachments'] as { readonly containerID: string }[];
  t.deepEqual(
    valid.map(({ containerID }) => containerID).toSorted(),
    [id('a'), id('b'), id('c')],
    'plugins must not collect them',
  );
  t.deepEqual(
    [torn, newer].map((file) => readFileSync(file, 'utf8')),
    before,
  );
});

test('a record whose sync failed is written anew; one that was released meanwhile is not', async (t) => {
  const { dirOf, add } = room(t);
  const file = add('a');
  add('b');
  const disk = { bad: true, synced: [] as string[] };
  const records = new NetworkRecords(
    dirOf,
    () => undefined,
    async (path) => {
      if (disk.bad) throw Object.assign(new Error('EIO: a test has it fail'), { code: 'EIO' });
      disk.synced.push(path);
    },
  );
  const later = { ...record(id('a')), result: 'later' };
  records.write(later, { sync: false });
  records.write(record(id('b')), { sync: false });
  const before = statSync(file).ino;
  await t.throwsAsync(records.flush(), { message: /EIO/ });
  t.is(statSync(file).ino, before);
  records.remove(id('b'));
  disk.bad = false;
  await records.flush();
  t.not(statSync(file).ino, before, 'it is another file');
  t.deepEqual(disk.synced, [file, dirOf(id('a'))]);
  t.deepEqual(records.read(id('a')), later);
  t.is(records.read(id('b')), null);
  disk.synced = [];
  await records.flush();
  t.deepEqual(disk.synced, [], 'nothing is owed');
});

test('a sync that fails late does not bring back a record that was written anew meanwhile', async (t) => {
  const { dirOf, add } = room(t);
  add('a');
  const waiting: ((error?: Error) => void)[] = [];
  const records = new NetworkRecords(
    dirOf,
    () => undefined,
    () => new Promise((resolve, reject) => waiting.push((error) => (error ? reject(error) : resolve()))),
  );
  const later = (result: string) => ({ ...record(id('a')), result });
  records.write(later('one'), { sync: false });
  const first = records.flush();
  records.write(later('two'), { sync: true });
  waiting.shift()?.(new Error('EIO: a test has it fail'));
  await t.throwsAsync(first, { message: /EIO/ });
  await records.flush();
  t.is(waiting.length, 0, 'nothing is owed');
  t.deepEqual(records.read(id('a')), later('two'));
});
