// Completion in the shells themselves: what a press of TAB shows. No daemon is needed: names of its things are in the
// tests of the command.
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { completionScript, shells } from '../../src/cli/shells.ts';
import { dist } from '../helpers/daemon.ts';

const run = promisify(execFile);
const dir = mkdtempSync('/tmp/pwt-completion-');
const scripts = join(dir, 'scripts');
mkdirSync(join(scripts, 'some-directory'), { recursive: true });
writeFileSync(join(scripts, 'some-file'), '');
// zsh finds a function by the name of its file
const script = {
  bash: join(scripts, 'podwright.bash'),
  zsh: join(scripts, '_podwright'),
  fish: join(scripts, 'podwright.fish'),
};
for (const shell of shells) writeFileSync(script[shell], completionScript(shell));
test.after.always('the scripts go', () => rmSync(dir, { recursive: true }));

/** Only what a shell needs: none of the settings of who runs this. */
const env = { PATH: `${dist}:${process.env['PATH'] ?? '/usr/bin:/bin'}`, HOME: dir, TERM: 'dumb', LC_ALL: 'C.UTF-8' };

/** Runs a shell's own words to their end. */
const said = async (shell: string, ...args: readonly string[]): Promise<string> =>
  (await run(shell, args, { env, timeout: 60_000, cwd: scripts })).stdout;

/** What each shell shows for a line. */
const shown = {
  bash: (line: string) =>
    said(
      'bash',
      '--norc',
      '-c',
      'source "$1"; COMP_LINE=$2 COMP_POINT=${#2}; _podwright; printf "%s\\n" "${COMPREPLY[@]}"',
      'bash',
      script.bash,
      line,
    ),
  fish: (line: string) => said('fish', '--no-config', '-c', `source ${script.fish}; complete -C '${line}'`),
  // a terminal of its own, in which TAB lists
  zsh: (line: string, last: string) =>
    said(
      'zsh',
      '-f',
      '-c',
      [
        'zmodload zsh/zpty; zpty z zsh -f -i',
        'zpty -w z "fpath=($1 \\$fpath); autoload -Uz compinit; compinit -u -d $1/dump; LISTMAX=0; PS1=\'% \'"',
        "zpty -w z \"bindkey '^I' list-choices; stty -echo columns 200; print RE''ADY\"",
        "zpty -r -m z out '*READY*'",
        'zpty -w -n z "$2"$\'\\t\'',
        // read until what is looked for is there: the timeout is for a list that never has it
        'zpty -r -m z out "*$3*"; print -r -- "$out"; zpty -d z',
      ].join('; '),
      'zsh',
      scripts,
      line,
      last,
    ),
};

for (const shell of shells) {
  const missing = spawnSync(shell, ['--version']).error === undefined ? '' : ` [${shell} is not installed]`;
  const when = missing === '' ? test : test.skip;
  when(`${shell}: verbs, options, their values, files${missing}`, async (t) => {
    t.regex(await shown[shell]('podwright im', 'images'), /^images\b/m);
    t.regex(await shown[shell]('podwright completion z', 'zsh'), /^.*\bzsh\b/m);
    t.regex(await shown[shell]('podwright images --ou', '--output'), /^.*--output\b/m);
    t.regex(await shown[shell]('podwright -o js', 'json'), /^.*\bjson\b/m);
    const files = await shown[shell]('podwright load some-', 'some-file');
    t.regex(files, /\bsome-file\b/);
    t.regex(files, /\bsome-directory\b/);
  });
}
