// The commands of docs/operators.md that are marked `sh run`, as they stand, against a daemon with a pod. Only the two
// programs are wrapped: they get the socket, or the directories, of the test's daemon.
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { dist, endsWithoutResidue, useDaemon } from '../helpers/daemon.ts';
import { pull, runPod, scripted, start } from '../helpers/pods.ts';

const daemon = useDaemon(test);
const page = readFileSync(join(import.meta.dirname, '../../docs/operators.md'), 'utf8');

/** Each block under the heading that it stands below. */
const blocks = page.split(/^#+ /m).flatMap((section) => {
  const [title = ''] = section.split('\n', 1);
  return [...section.matchAll(/^```sh run\n([^`]*)^```$/gm)].map((match, at) => ({
    title: at === 0 ? title : `${title} (${at + 1})`,
    script: match[1] ?? '',
  }));
});

/** How a script ended. */
function run(script: string): Promise<{ readonly code: number; readonly text: string }> {
  const { promise, resolve } = Promise.withResolvers<{ code: number; text: string }>();
  const env = { ...process.env, PATH: `${daemon.dir}/bin:${process.env['PATH'] ?? ''}` };
  execFile('bash', ['-ec', script], { env, timeout: 120_000 }, (error, stdout, stderr) => {
    const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
    resolve({ code, text: `${stdout}${stderr}` });
  });
  return promise;
}

test.before('a pod, and the programs', async () => {
  await pull(daemon);
  await start(daemon, await runPod(daemon, { metadata: { name: 'web' } }), scripted('sleep 3600'));
  const bin = join(daemon.dir, 'bin');
  mkdirSync(bin);
  const wrap = (name: string, args: string): void =>
    writeFileSync(join(bin, name), `#!/bin/sh\nexec '${dist}/${name}' ${args} "$@"\n`, { mode: 0o755 });
  wrap('podwright', `--socket '${daemon.socket}'`);
  wrap('podwrightd', `--root '${daemon.root}' --state '${daemon.state}'`);
});

test.serial('there are commands to run', (t) => {
  t.true(blocks.length >= 7, `${blocks.length} blocks`);
});

for (const { title, script } of blocks) {
  test.serial(`commands of "${title}"`, async (t) => {
    const { code, text } = await run(script);
    t.is(code, 0, `${script}\n${text}`);
    t.not(text.trim(), '', script);
  });
}

test.serial('the settings that are named are there', async (t) => {
  const { text } = await run('podwrightd --print-config');
  const rows = page.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('|---'));
  const named = rows.flatMap((row) => [...(row.split('|').at(-2) ?? '').matchAll(/`([a-z]+)\.([a-z_]+)\b[^`/]*`/g)]);
  t.true(named.length > 15);
  for (const [, section = '', key = ''] of named) {
    if (key === 'toml' || key === 'json') continue; // a file's name
    const body = new RegExp(`^\\[${section}\\]\\n([^]*?)(?=^\\[|(?![^]))`, 'm').exec(text)?.[1] ?? '';
    t.regex(body, new RegExp(`^#? ?${key} = `, 'm'), `${section}.${key}`);
  }
});

endsWithoutResidue(test, daemon);
