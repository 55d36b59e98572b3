// The files of NRI: which programs there are, which configuration counts, when there is room for a socket.
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { firstFile, programsIn, roomForSocket } from '../../../src/state/nri-files.ts';

function directory(t: { readonly teardown: (fn: () => void) => void }): string {
  const dir = mkdtempSync('/tmp/pwt-nri-files-');
  t.teardown(() => rmSync(dir, { recursive: true }));
  return dir;
}

test('programs are files that may be run, by name; no directory, no programs', async (t) => {
  const dir = directory(t);
  for (const [name, mode] of [
    ['20-b', 0o755],
    ['10-a', 0o700],
    ['30-text', 0o644],
  ] as const) {
    writeFileSync(join(dir, name), '');
    chmodSync(join(dir, name), mode);
  }
  mkdirSync(join(dir, '40-directory'));
  symlinkSync('/nowhere', join(dir, '50-link'));
  t.deepEqual(await programsIn(dir), ['10-a', '20-b']);
  t.deepEqual(await programsIn(join(dir, 'none')), []);
  await t.throwsAsync(programsIn('/proc/self/mem/x\0'), { message: /read the plugins/ });
});

test('the first file that is there counts; one that cannot be read is told of', async (t) => {
  const dir = directory(t);
  const [first, second] = [join(dir, '10-a.conf'), join(dir, 'a.conf')];
  t.is(await firstFile([first, second]), '');
  writeFileSync(second, 'second');
  t.is(await firstFile([first, second]), 'second');
  writeFileSync(first, 'first');
  t.is(await firstFile([first, second]), 'first');
  mkdirSync(join(dir, 'is-directory.conf'));
  await t.throwsAsync(firstFile([join(dir, 'is-directory.conf')]), { message: /read plugin configuration/ });
});

test('a socket that nobody serves makes room, one that is served does not', async (t) => {
  const path = join(directory(t), 'run/nri.sock');
  await roomForSocket(path);
  t.is(statSync(join(path, '..')).mode & 0o777, 0o700);
  writeFileSync(path, ''); // what a daemon that was killed left
  await roomForSocket(path);
  t.false(existsSync(path));
  const server = createServer().listen(path);
  await new Promise<void>((resolve) => server.once('listening', resolve));
  await t.throwsAsync(roomForSocket(path), { message: /another process serves NRI/ });
  await new Promise((resolve) => server.close(resolve));
});
