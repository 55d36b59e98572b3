// One change of a node at a time, and what others may look at meanwhile.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { type Journal, newJournal, type Side } from '../../../src/node/journal.ts';
import { journalStore, lockJournal } from '../../../src/node/journal-file.ts';
import { isLocked, takeLock, takeLockWithin } from '../../../src/node/lock.ts';
import { encodeRecord } from '../../../src/state/record.ts';

const work = mkdtempSync('/tmp/pwu-lock-');
test.after.always(() => rmSync(work, { recursive: true }));

let serial = 0;
const room = (): string => {
  const dir = join(work, String((serial += 1)));
  mkdirSync(dir);
  return dir;
};

test('one at a time changes a node', async (t) => {
  const dir = join(room(), 'a directory whose path is longer than the address of a socket may be'.repeat(2));
  const first = await takeLock(dir);
  t.not(first, null);
  t.is(await takeLock(dir), null);
  t.true(await isLocked(dir));
  t.not(await takeLock(room()), null, 'another node');
  first?.release();
  t.not(await takeLockWithin(dir, 20_000), null);
  t.deepEqual(readdirSync(dir), ['lock-2'], 'what was there before is gone');
});

test('of many at once one has the lock', async (t) => {
  const dir = room();
  for (let round = 0; round < 5; round += 1) {
    const taken = await Promise.all(Array.from({ length: 10 }, () => takeLock(dir)));
    const held = taken.filter((lock) => lock !== null);
    t.true(held.length <= 1);
    for (const lock of held) lock.release();
    const last = await takeLockWithin(dir, 20_000);
    t.not(last, null);
    last?.release();
  }
  t.true(readdirSync(dir).length <= 2);
});

test('the lock of a process that was killed is free', async (t) => {
  const dir = room();
  const script = `import { takeLock } from '${join(import.meta.dirname, '../../../src/node/lock.ts')}';
await takeLock('${dir}'); console.log('held'); setInterval(() => 0, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  t.true(await isLocked(dir));
  t.is(await takeLock(dir), null);
  child.kill('SIGKILL');
  await once(child, 'exit');
  t.false(await isLocked(dir));
  const lock = await takeLock(dir);
  t.not(lock, null);
  lock?.release();
});

const none: Side = { type: 'none' };
const journal: Journal = newJournal({
  id: 'x',
  kind: 'install',
  from: none,
  to: none,
  settings: {
    prefix: '/p',
    configDir: '/c',
    configFile: '/c/config.toml',
    linkDir: null,
    daemon: { by: 'self', log: '/l' },
    kubelet: null,
    kubernetes: null,
    graceMs: 1,
    timeoutMs: 1,
    freeBytes: 0,
  },
  bootId: 'b',
  now: 'n',
  previous: null,
});

test('who reads the journal leaves the write of another alone; who takes the lock ends one that was interrupted', async (t) => {
  const dir = room();
  const store = journalStore(dir);
  store.write(journal);
  const fresh = join(dir, '.journal.json.new');
  writeFileSync(fresh, encodeRecord({ ...journal, step: 'place' }));
  t.deepEqual(store.read(), journal);
  t.true(existsSync(fresh), 'it is about to be renamed');
  const lock = await lockJournal(dir);
  t.false(existsSync(fresh));
  t.deepEqual(store.read(), journal);
  await t.throwsAsync(lockJournal(dir), { message: /is being changed already/ });
  lock.release();
});
