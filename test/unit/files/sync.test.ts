import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { replaceFile } from '../../../src/files/sync.ts';

function directory(t: ExecutionContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'pw-replace-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  return dir;
}
const modeOf = (file: string): number => statSync(file).mode & 0o777;

test('a file is replaced whole, for root alone unless told otherwise, and nothing stays beside it', (t) => {
  const dir = directory(t);
  const file = join(dir, 'record');
  writeFileSync(file, 'something longer than what comes');
  chmodSync(file, 0o666);
  replaceFile(file, 'new', { sync: true });
  t.is(readFileSync(file, 'utf8'), 'new');
  t.is(modeOf(file), 0o600);
  replaceFile(file, new Uint8Array([1, 2]), { sync: false, mode: 0o640 });
  t.deepEqual([...readFileSync(file)], [1, 2]);
  t.is(modeOf(file), 0o640);
  t.deepEqual(readdirSync(dir), ['record']);
});

test('what a replacement that was killed left beside is written over from its beginning', (t) => {
  const file = join(directory(t), 'record');
  writeFileSync(`${file}.new`, 'half of something that is long');
  replaceFile(file, 'new', { sync: false });
  t.is(readFileSync(file, 'utf8'), 'new');
  t.false(existsSync(`${file}.new`));
});

test('when it fails, what was there stays and nothing is beside it', (t) => {
  const dir = directory(t);
  const taken = join(dir, 'taken');
  mkdirSync(taken);
  writeFileSync(join(taken, 'inside'), '');
  t.throws(() => replaceFile(taken, 'text', { sync: false, beside: join(dir, '.beside') }), { code: 'EISDIR' });
  t.deepEqual(readdirSync(dir), ['taken']);
  t.deepEqual(readdirSync(taken), ['inside']);
  t.throws(() => replaceFile(join(dir, 'no', 'file'), 'text', { sync: false }), { code: 'ENOENT' });
  t.deepEqual(readdirSync(dir), ['taken']);
});
