import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { HostLocalStore } from '../../../src/network/bridge/host-local.ts';
import { parseRange, type RangeSet } from '../../../src/network/bridge/ranges.ts';

const set = (subnet: string): RangeSet => [parseRange({ subnet, rangeStart: null, rangeEnd: null, gateway: null })];
const owner = (sandboxId: string) => ({ sandboxId, interface: 'eth0' });

// the lock of the addon without waiting: these tests are alone with their files
const lock = async (path: string): Promise<number> => {
  mkdirSync(dirname(path), { recursive: true });
  return openSync(path, 'a');
};

function store(t: ExecutionContext) {
  const dir = mkdtempSync(join(tmpdir(), 'pw-ipam-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const file = (name: string): string => join(dir, 'net', name);
  return {
    file,
    text: (name: string) => readFileSync(file(name), 'utf8'),
    make: () => new HostLocalStore(dir, 'net', lock),
  };
}

test('files are those of the plugin', async (t) => {
  const { make, text, file } = store(t);
  const addresses = await make().reserve(owner('one'), [set('10.0.0.0/24'), set('fd00::/64')]);
  t.deepEqual(addresses, ['10.0.0.2', 'fd00::2']);
  t.is(text('10.0.0.2'), 'one\r\neth0');
  t.is(text('last_reserved_ip.0'), '10.0.0.2');
  t.is(text('last_reserved_ip.1'), 'fd00::2');
  t.true(existsSync(file('lock')));
});

test("another program's and an earlier daemon's allocations are respected", async (t) => {
  const { make, file } = store(t);
  const first = make();
  t.deepEqual(await first.reserve(owner('one'), [set('10.0.0.0/24')]), ['10.0.0.2']);
  writeFileSync(file('10.0.0.3'), 'plugin\r\neth0');
  t.deepEqual(await make().reserve(owner('two'), [set('10.0.0.0/24')]), ['10.0.0.4']);
  await first.release(owner('one'), ['10.0.0.2']);
  t.deepEqual(await make().reserve(owner('three'), [set('10.0.0.0/24')]), ['10.0.0.5'], 'a released one rests');
});

test('many at once get one each', async (t) => {
  const { make } = store(t);
  const one = make();
  const all = await Promise.all(
    Array.from({ length: 50 }, (_, at) => one.reserve(owner(`s${at}`), [set('10.0.0.0/24')])),
  );
  t.is(new Set(all.flat()).size, 50);
});

test("only the owner's are released, known or not", async (t) => {
  const { make, file } = store(t);
  const one = make();
  await one.reserve(owner('one'), [set('10.0.0.0/24'), set('fd00::/64')]);
  await one.reserve(owner('two'), [set('10.0.0.0/24'), set('fd00::/64')]);
  t.deepEqual(await one.release(owner('one'), ['10.0.0.2', '10.0.0.3']), ['10.0.0.2']);
  t.deepEqual(await one.release(owner('one'), null), ['fd00::2']);
  t.deepEqual(await one.release(owner('one'), null), []);
  t.true(existsSync(file('10.0.0.3')));
  writeFileSync(file('10.0.0.9'), 'old');
  t.deepEqual(await one.release(owner('old'), null), ['10.0.0.9'], 'old plugins wrote the id alone');
});

test('an exhausted set gives nothing and keeps nothing', async (t) => {
  const { make, file } = store(t);
  const one = make();
  for (const id of ['a', 'b', 'c', 'd', 'e']) await one.reserve(owner(id), [set('10.0.0.0/29')]);
  const error = await t.throwsAsync(one.reserve(owner('f'), [set('10.1.0.0/24'), set('10.0.0.0/29')]));
  t.is(error?.message, 'no address is left in subnet 10.0.0.0/29');
  t.is((error as { kind?: string }).kind, 'resource-exhausted');
  t.deepEqual(
    readdirSync(file('.')).filter((name) => name.startsWith('10.1')),
    [],
  );
});

test('what a crash left half written is used again when it is needed', async (t) => {
  const { make, file, text } = store(t);
  const one = make();
  for (const id of ['a', 'b', 'c', 'd']) await one.reserve(owner(id), [set('10.0.0.0/29')]);
  writeFileSync(file('10.0.0.6'), '');
  writeFileSync(file('last_reserved_ip.0'), 'garbage');
  t.deepEqual(await one.reserve(owner('e'), [set('10.0.0.0/29')]), ['10.0.0.6']);
  t.is(text('10.0.0.6'), 'e\r\neth0');
});

test('collecting leaves the living alone', async (t) => {
  const { make, file } = store(t);
  const one = make();
  await one.reserve(owner('alive'), [set('10.0.0.0/24')]);
  await one.reserve(owner('dead'), [set('10.0.0.0/24')]);
  writeFileSync(file('10.0.0.77'), '');
  t.deepEqual((await one.collect(new Set(['alive']))).sort(), ['10.0.0.3', '10.0.0.77']);
  t.deepEqual(readdirSync(file('.')).sort(), ['10.0.0.2', 'last_reserved_ip.0', 'lock']);
});

test('an address whose reservation fails half-way is free again', async (t) => {
  const { make, file } = store(t);
  mkdirSync(file('last_reserved_ip.1'), { recursive: true }); // cannot be written
  const both = [set('10.0.0.0/24'), set('fd00::/64')];
  await t.throwsAsync(make().reserve(owner('one'), both), { code: 'EISDIR' });
  t.deepEqual([existsSync(file('10.0.0.2')), existsSync(file('fd00::2'))], [false, false]);
  rmSync(file('last_reserved_ip.1'), { recursive: true });
  t.deepEqual(await make().reserve(owner('one'), both), ['10.0.0.3', 'fd00::2']);
});
