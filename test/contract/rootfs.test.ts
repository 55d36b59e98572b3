// The addon's rootfs calls as TypeScript sees them: shapes, nulls, failures. What they do inside is tested by cargo.
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { errno, NativeError } from '../../src/native/errors.ts';
import { loadNative, type Native } from '../../src/native/load.ts';

const addon = process.env['PODWRIGHT_ADDON'] ?? resolve('dist/addon.node');
const cannotRun =
  process.getuid?.() !== 0 ? 'needs root' : existsSync(addon) ? null : `no addon at ${addon}: run hack/build.sh`;
const real = cannotRun === null ? test : test.skip;
const title = (what: string): string => (cannotRun === null ? what : `${what} (${cannotRun})`);
const native = cannotRun === null ? loadNative(addon) : (null as unknown as Native);

function scratch(t: ExecutionContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'podwright-rootfs-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const write = (path: string, data: string): void => {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, data);
};

real(title('a file is read through layers, null where there is none'), async (t) => {
  const dir = scratch(t);
  const [low, top] = [join(dir, 'low'), join(dir, 'top')];
  write(join(low, 'etc/passwd'), 'low');
  write(join(low, 'etc/group'), 'group');
  write(join(top, 'etc/passwd'), 'top');
  symlinkSync('/etc/group', join(top, 'link'));
  const read = (path: string, maxBytes = 1000): Promise<string | null> =>
    native.readThrough({ layers: [top, low], path, maxBytes });
  t.is(await read('/etc/passwd'), 'top');
  t.is(await read('link'), 'group');
  t.is(await read('etc/shadow'), null);
  const failure = await t.throwsAsync(read('etc/passwd', 2), { instanceOf: NativeError });
  t.is(failure?.errno, 27);
  t.is(failure?.object, 'etc/passwd');
});

real(title('a snapshot is prepared, measured and removed'), async (t) => {
  const dir = scratch(t);
  const { upper, work } = await native.prepareSnapshot({ dir: join(dir, 'snapshot') });
  t.deepEqual([statSync(upper).mode & 0o777, statSync(work).mode & 0o777], [0o755, 0o700]);
  write(join(upper, 'a/file'), 'x'.repeat(10_000));
  const usage = await native.layerUsage({ dir: upper });
  t.is(usage.inodes, 3);
  t.true(usage.bytes >= 10_000);
  const trashDir = join(dir, 'trash');
  t.deepEqual(await native.removeTree({ path: join(dir, 'snapshot'), trashDir }), { removed: true });
  t.false(existsSync(join(dir, 'snapshot')));
  t.deepEqual(await native.removeTree({ path: join(dir, 'snapshot'), trashDir }), { removed: false });
  await native.sweepTrash({ trashDir });
  t.deepEqual(readdirSync(trashDir), []);
  const failure = await t.throwsAsync(native.layerUsage({ dir: upper }), { instanceOf: NativeError });
  t.is(failure?.errno, errno.ENOENT);
});

real(title('directories and files appear whole'), async (t) => {
  const dir = scratch(t);
  const [a, b, to] = [join(dir, 'a'), join(dir, 'b'), join(dir, 'to')];
  mkdirSync(join(a, 'diff'), { recursive: true });
  mkdirSync(join(b, 'diff'), { recursive: true });
  await native.writeFileAtomic({ path: join(a, 'layer.json'), data: '{"é":1}', mode: 0o640, sync: true });
  t.deepEqual(await native.commitDir({ from: a, to }), { committed: true });
  t.deepEqual(await native.commitDir({ from: b, to }), { committed: false });
  t.deepEqual(readdirSync(dir), ['to']);
  t.is(readFileSync(join(to, 'layer.json'), 'utf8'), '{"é":1}');
  t.is(lstatSync(join(to, 'layer.json')).mode & 0o777, 0o640);
  t.is(await native.syncFs({ path: to }), null);
  t.is(await native.inheritDirectories({ layerDir: to, below: [] }), 0);
});

real(title('a file system tells its size'), async (t) => {
  const info = await native.fsInfo({ path: '/proc' });
  t.is(info.mountpoint, '/proc');
  const own = await native.fsInfo({ path: tmpdir() });
  t.true(own.totalBytes > own.availableBytes && own.availableBytes > 0);
  t.regex(own.fsId, /^\d+:\d+$/);
});

real(title('unknown arguments are refused'), (t) => {
  t.throws(() => native.fsInfo({ path: '/', more: 1 } as { path: string }), { message: /unknown field/ });
});
