// Commands on pages for people: of each a test has the like, or it is said here that none has; and each has the verbs and
// options that it is given, by its own command line, by its own text where it is a script of ours, else by that test. That
// the test comes to run it, and with the same values, is not seen here: only of pages that a test reads is that so.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Command } from 'commander';
import { buildProgram } from '../../src/cli/program.ts';
import { daemonCommand } from '../../src/config/flags.ts';
import type { Terminal } from '../../src/cli/session.ts';

const pages = [
  'README.md',
  'charts/podwright/README.md',
  ...readdirSync('docs')
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];

interface Block {
  readonly page: string;
  readonly language: string;
  readonly text: string;
}

const blocks: readonly Block[] = pages.flatMap((page) =>
  [...readFileSync(page, 'utf8').matchAll(/^```(.*)\n([^]*?)^```$/gm)].map(([, language = '', text = '']) => ({
    page,
    language,
    text,
  })),
);

/** The commands of a block, each on one line, without comments, redirections to root and what follows a pipe. */
const commandsOf = ({ text }: Block): readonly string[] =>
  text
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map((line) => line.replace(/(^|\s)#.*/, ''))
    .flatMap((line) => line.split(/&&|;|\|/))
    .map((one) =>
      one
        .trim()
        .replace(/^sudo /, '')
        .replaceAll(/ +/g, ' '),
    )
    .filter((one) => one !== '' && !one.startsWith('export '));

/** Who runs a command that begins so: the test, or what runs suites, and words of it that it has. */
const ranBy: readonly (readonly [string, string, string])[] = [
  ['npm run up', 'test/system/up-down.test.ts', "'up.sh'"],
  ['crictl pods', 'test/conformance/crictl.test.ts', "'pods'"],
  ['crictl exec -s', 'test/conformance/crictl.test.ts', "'exec', '-s'"],
  ['dist/podwright trace', 'test/system/up-down.test.ts', "'trace'"],
  ['dist/podwrightd --check', 'test/system/daemon.test.ts', "'--check'"],
  ['dist/podwrightd --print-config', 'test/system/daemon.test.ts', "'--print-config'"],
  ['dist/podwrightd', 'test/helpers/daemon.ts', "'podwrightd'"],
  ['tar -xzf', 'test/system/install-docs.test.ts', 'docs/install.md'],
  ['podwright-0.1.0-linux-amd64/bin/podwright install', 'test/system/install-docs.test.ts', 'docs/install.md'],
  ['podwright status', 'test/system/install-docs.test.ts', 'docs/install.md'],
  ['podwright node switch', 'test/cluster/from-containerd/switch.test.ts', "'node', 'switch'"],
  ['podwright pull', 'test/system/images.test.ts', "'pull'"],
  ['podwright load', 'test/system/save.test.ts', "'load'"],
  ['podwright push', 'test/system/image-commands.test.ts', "'push'"],
  // by a pod of the chart, whose metrics `helm test` asks for
  ['podwright metrics-relay', 'test/cluster/from-containerd/chart.test.ts', "helm.run('test'"],
  ['systemctl show -p', 'test/system/systemd.test.ts', "['show', '-p'"],
  ['hack/cluster', 'test/helpers/cluster.ts', 'hack/cluster'],
  ['hack/release.sh tree', 'test/helpers/releases.ts', "['tree'"],
  ['hack/release.sh tarball', 'test/system/install-docs.test.ts', "['tarball'"],
  ['hack/release.sh deb', 'test/system/package.test.ts', "['deb'"],
  ['hack/release.sh sbom', 'test/unit/release/sbom.test.ts', 'billOfMaterials'],
  ['hack/release.sh --arch arm64', 'test/arm64/starts.test.ts', "['--arch', 'arm64'"],
  ['hack/testbed', 'hack/run-suites.mjs', "'hack/testbed', 'run'"],
  ['node hack/installer-image.mjs', 'test/helpers/installer-image.ts', 'installer-image.mjs'],
  ['skopeo copy', 'test/helpers/installer-image.ts', "'skopeo'"],
  ['helm install', 'test/cluster/from-containerd/chart.test.ts', "bring('install'"],
];

/** What no test runs as it stands, and why. */
const ranByNone: readonly (readonly [string, string])[] = [
  ['npm test', 'it is what runs the tests'],
  ['npm run build', 'every suite begins with it'],
  ['hack/testkit/install.sh', 'hack/test.sh calls it before the suites that need the kit'],
  ['NO_BIG=1 hack/testkit/images.sh', 'hack/test.sh calls it before the suites that need the kit'],
  ['hack/release.sh check', 'two builds of the whole, by hand before a release'],
  [
    'systemctl status podwright.slice',
    'for people: test/system/systemd.test.ts asks systemctl list-units for the same',
  ],
  ['kubectl label node', 'by hand, where a shutdown could not: test/contract/kube-node.test.ts has it do the same'],
  ['kubectl proxy', 'by hand, where a shutdown could not: test/contract/kube-node.test.ts has it do the same'],
  ['kubectl label namespace', 'for clusters that enforce a level, which that of the tests does not'],
];

/** The table's row for a command: the longest beginning. */
const rowFor = (command: string): readonly string[] | undefined =>
  [...ranBy, ...ranByNone]
    .filter(([begins]) => command === begins || command.startsWith(`${begins} `))
    .toSorted(([a], [b]) => b.length - a.length)[0];

test('every block says what it is in', (t) => {
  t.true(blocks.length > 30, `${blocks.length} blocks`);
  t.deepEqual(
    blocks.filter(({ language }) => !/^(sh|sh run|json|toml|yaml|text)$/.test(language)),
    [],
  );
});

test('of every command a test has the like, or it is said that none has', (t) => {
  const shown = blocks.filter(({ language }) => language === 'sh');
  const commands = shown.flatMap((block) => commandsOf(block).map((command) => ({ page: block.page, command })));
  t.true(commands.length > 30, `${commands.length} commands`);
  const used = new Set<string | undefined>();
  const wrong: string[] = [];
  for (const { page, command } of commands) {
    const row = rowFor(command);
    used.add(row?.[0]);
    if (row === undefined) wrong.push(`${page}: ${command} is in neither list`);
  }
  for (const [begins, file, has] of ranBy)
    if (!existsSync(file) || !readFileSync(file, 'utf8').includes(has))
      wrong.push(`${file} has no ${has} of ${begins}`);
  for (const [begins] of [...ranBy, ...ranByNone]) if (!used.has(begins)) wrong.push(`${begins} is on no page`);
  t.deepEqual(wrong, []);
});

test('what is run as it stands is on the page that its test reads', (t) => {
  const pagesRun = new Set(blocks.filter(({ language }) => language === 'sh run').map(({ page }) => page));
  t.deepEqual([...pagesRun], ['docs/operators.md']);
});

/** What is wrong with the words after `podwright`; null for nothing. */
function wrongWords(program: Command, words: readonly string[]): string | null {
  let at = program;
  const own: Command[] = [program];
  for (const word of words) {
    if (word.startsWith('-')) {
      const flag = word.replace(/=.*/, '');
      const known = own.some((one) => one.options.some(({ short, long }) => short === flag || long === flag));
      if (!known) return `no option ${flag}`;
      continue;
    }
    const next = at.commands.find((one) => one.name() === word);
    if (next === undefined && at === program) return `no command ${word}`;
    if (next !== undefined) own.push((at = next));
  }
  return at.commands.length > 0 ? `${at.name()} wants a command` : null;
}

test('commands of podwright and their options are those that it has', (t) => {
  const shell = { terminal: { out: () => undefined } as unknown as Terminal, exitCode: 0 };
  const program = buildProgram(shell, () => undefined);
  const given = blocks
    .filter(({ language }) => language.startsWith('sh'))
    .flatMap((block) => commandsOf(block).map((command) => ({ page: block.page, command })))
    .map(({ page, command }) => ({ page, command, words: /^\S*\bpodwright (.*)$/.exec(command)?.[1]?.split(' ') }))
    .filter(({ words }) => words !== undefined);
  t.true(given.length > 20, `${given.length} commands`);
  for (const { page, command, words = [] } of given) t.is(wrongWords(program, words), null, `${page}: ${command}`);
  t.is(wrongWords(program, ['node', 'swich']), 'node wants a command');
  t.is(wrongWords(program, ['metrics-relay', '--listem', ':1']), 'no option --listem');
  t.is(wrongWords(program, ['nothing']), 'no command nothing');
});

/** Options of programs that are not ours and that no test gives, by the command that begins so. */
const givenByNone: readonly (readonly [string, string])[] = [
  ['helm install', '--set'], // tests give files; what it sets is looked up below
];

const hasWord = (text: string, word: string): boolean => text.split(/[^\w-]+/).includes(word);

/** What is wrong with a command of a program other than podwright; null for nothing. */
function wrongUse(command: string): string | null {
  const [program = '', ...given] = command.replace(/^(\w+=\S+ )*(node )?/, '').split(' ');
  const end = given.indexOf('--');
  const words = end === -1 ? given : given.slice(0, end);
  const flags = words.filter((word) => word.startsWith('-')).map((word) => word.replace(/=.*/, ''));
  const [verb = '', second = ''] = words;
  const absent = (text: string, wanted: readonly string[], where: string): string | null => {
    const missing = wanted.find((word) => !hasWord(text, word));
    return missing === undefined ? null : `no ${missing} in ${where}`;
  };
  if (/(^|\/)podwrightd$/.test(program)) return wrongWords(daemonCommand(), words);
  if (program === 'npm') {
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { readonly scripts: object };
    const script = verb === 'run' ? second : verb;
    return script in scripts ? null : `no script ${script}`;
  }
  if (program.startsWith('hack/')) {
    if (!existsSync(program)) return `no ${program}`;
    const own = command.includes('hack/cluster kubectl') ? [verb] : [verb, ...flags]; // the rest is kubectl's
    return absent(
      readFileSync(program, 'utf8'),
      own.filter((word) => word !== ''),
      program,
    );
  }
  const [begins = '', file = ''] = rowFor(command) ?? [];
  if (!existsSync(file)) return null; // run by none
  const excused = givenByNone.flatMap(([one, flag]) => (one === begins ? [flag] : []));
  return absent(
    readFileSync(file, 'utf8'),
    flags.filter((flag) => !excused.includes(flag)),
    file,
  );
}

/** Values that commands set which are none of the chart's. */
function unknownValues(command: string): readonly string[] {
  type Schema = { readonly properties?: Readonly<Record<string, Schema>> };
  const schema = JSON.parse(readFileSync('charts/podwright/values.schema.json', 'utf8')) as Schema;
  const isThere = (key: string): boolean =>
    key.split('.').reduce<Schema | undefined>((one, part) => one?.properties?.[part], schema) !== undefined;
  return [...command.matchAll(/ --set[ =]([\w.]+)=/g)].map(([, key = '']) => key).filter((key) => !isThere(key));
}

test('commands of other programs have the verbs and options that they are given', (t) => {
  const given = blocks
    .filter(({ language }) => language.startsWith('sh'))
    .flatMap((block) => commandsOf(block).map((command) => ({ page: block.page, command })))
    .filter(({ command }) => !/^\S*\bpodwright /.test(command));
  t.true(given.length > 30, `${given.length} commands`);
  for (const { page, command } of given) {
    t.is(wrongUse(command), null, `${page}: ${command}`);
    t.deepEqual(unknownValues(command), [], `${page}: ${command}`);
  }
  t.is(wrongUse('hack/release.sh debb OUT'), 'no debb in hack/release.sh');
  t.is(wrongUse('hack/cluster restart runtime -8'), 'no -8 in hack/cluster');
  t.is(wrongUse('node hack/nothing.mjs'), 'no hack/nothing.mjs');
  t.is(wrongUse('npm run upp'), 'no script upp');
  t.is(wrongUse('dist/podwrightd --chek'), 'no option --chek');
  t.is(wrongUse('helm install x --atomic'), 'no --atomic in test/cluster/from-containerd/chart.test.ts');
  t.deepEqual(unknownValues('helm install x --set image.repo=a --set metrics.port=1'), ['image.repo']);
});
