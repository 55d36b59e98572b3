// How a change goes on outside of whoever started it.
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { startDetached, transientUnit } from '../../../src/node/detach.ts';
import { startLasting } from '../../../src/node/programs.ts';
import { readText } from '../../../src/node/files.ts';
import { until } from '../../../src/node/wait.ts';

const work = mkdtempSync('/tmp/pwu-detach-');
test.after.always(() => rmSync(work, { recursive: true }));

test("systemd's unit has the caller's directory, and the words as they are", (t) => {
  const words = transientUnit(['/n/node$', 's.js', '--daemon-stop', 'kill $PID ${X} 100%'], {
    log: '/j/log',
    directory: '/home/a',
  });
  t.is(words[0], 'systemd-run');
  for (const property of ['Type=exec', 'WorkingDirectory=/home/a', 'StandardOutput=append:/j/log'])
    t.true(words.includes(`--property=${property}`), property);
  t.deepEqual(words.slice(words.indexOf('--') + 1), ['/n/node$', 's.js', '--daemon-stop', 'kill $$PID $${X} 100%']);
});

test('the directory of the log is there before systemd is asked', async (t) => {
  const log = join(work, 'new/journals/log');
  let asked: readonly string[] = [];
  await startDetached(['node', 'switch', '--detach', '--config', 'mine.toml'], {
    log,
    directory: work,
    systemd: true,
    run: async (argv) => {
      t.true(existsSync(join(work, 'new/journals')));
      asked = argv;
      return '';
    },
  });
  t.is(statSync(join(work, 'new/journals')).mode & 0o777, 0o700);
  t.deepEqual(asked.slice(-4), ['node', 'switch', '--config', 'mine.toml']);
});

test('what goes on by itself has the directory that it was given', async (t) => {
  const log = join(work, 'pwd.log');
  startLasting(['/bin/sh', '-c', 'pwd'], log, work);
  await until(async () => (readText(log) === `${work}\n` ? null : 'not yet'), {
    signal: AbortSignal.timeout(20_000),
    everyMs: 20,
    failure: (complaint) => new Error(complaint),
  });
  t.pass();
});
