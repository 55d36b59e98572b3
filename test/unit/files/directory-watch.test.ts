import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { DirectoryWatch } from '../../../src/files/directory-watch.ts';

async function until(t: { log: (...said: string[]) => void }, what: string, look: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!look()) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

test('a directory is watched, also before it is there and after it was replaced', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'pw-watch-'));
  const dir = join(root, 'etc', 'net.d');
  let changes = 0;
  const watching: DirectoryWatch = new DirectoryWatch({
    dirs: () => [dir],
    onChange: () => (changes += 1),
    onError: (error) => t.fail(String(error)),
  });
  t.teardown(() => {
    watching.close();
    rmSync(root, { recursive: true });
  });
  watching.start();
  const seen = async (what: string, change: () => void): Promise<void> => {
    const before = changes;
    change();
    await until(t, what, () => changes > before);
  };
  await seen('its parent', () => mkdirSync(join(root, 'etc')));
  await seen('it', () => mkdirSync(dir));
  await seen('a file', () => writeFileSync(join(dir, '10.conflist'), '{}'));
  await seen('a change of it', () => writeFileSync(join(dir, '10.conflist'), '{"a":1}'));
  await seen('a file by rename', () => {
    writeFileSync(join(root, 'new'), '{}');
    renameSync(join(root, 'new'), join(dir, '20.conflist'));
  });
  await seen('its going', () => renameSync(dir, join(root, 'old')));
  await seen('another in its place', () => mkdirSync(dir));
  await seen('a file in that', () => writeFileSync(join(dir, '10.conflist'), '{}'));
  watching.close();
  const before = changes;
  writeFileSync(join(dir, '30.conflist'), '{}');
  watching.arm();
  t.is(changes, before, 'closed is closed');
});
