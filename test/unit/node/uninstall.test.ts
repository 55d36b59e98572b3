// What is taken off a host in the end, and what is not ours to take.
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import { armBoot } from '../../../src/node/boot-unit.ts';
import { daemonHand } from '../../../src/node/daemon-control.ts';
import { namesIn, removeTree } from '../../../src/node/files.ts';
import { ended, newJournal, type Settings } from '../../../src/node/journal.ts';
import { removeInstalled } from '../../../src/node/uninstall.ts';

const work = mkdtempSync('/tmp/pwu-uninstall-');
test.after.always(() => rmSync(work, { recursive: true }));

let serial = 0;
/** A host of files with these, each with its own path as text. */
function host(...files: string[]): string {
  const dir = join(work, String((serial += 1)));
  for (const file of files) {
    mkdirSync(dirname(join(dir, file)), { recursive: true });
    writeFileSync(join(dir, file), file);
  }
  return dir;
}

const settingsOf = (dir: string, configDir: string): Settings => ({
  prefix: join(dir, 'opt'),
  configDir: join(dir, configDir),
  configFile: join(dir, configDir, 'conf.d/50-helm.toml'),
  linkDir: null,
  daemon: { by: 'systemd', unit: 'podwrightd.service', unitDir: join(dir, 'units') },
  kubelet: null,
  kubernetes: null,
  graceMs: 1,
  timeoutMs: 1,
  freeBytes: 0,
});

const purge = (dir: string, configDir: string, take?: (path: string) => Promise<void>): Promise<readonly string[]> => {
  const run = async (): Promise<string> =>
    `root = "${join(dir, 'root')}"\nstate = "${join(dir, 'run')}"\nsocket = "${join(dir, 'sock')}"\n`;
  const settings = settingsOf(dir, configDir);
  const about = { run, settings, journalDir: join(dir, 'journal'), purge: true };
  return removeInstalled(take === undefined ? about : { ...about, take });
};

const ours = [
  'opt/releases/1.0.0/RELEASE.json',
  'opt/releases/1.0.0/bin/podwrightd',
  'opt/releases/.staging-00/half',
  'root/lock',
  'root/images/one',
  'root/layers/one',
  'journal/journal.json',
  'journal/.journal.json.new',
  'journal/log',
  'journal/lock-3',
];

test('a purge takes all that is ours, and the directories that are empty then', async (t) => {
  const dir = host(...ours, 'etc-podwright/config.toml', 'etc-podwright/conf.d/mine.toml');
  await purge(dir, 'etc-podwright');
  t.deepEqual(namesIn(dir), []);
});

/** A host whose root is known when there is no release any more. */
function configured(): string {
  const dir = host(...ours, 'etc/conf.d/50-helm.toml');
  writeFileSync(join(dir, 'etc/config.toml'), `root = "${join(dir, 'root')}"\n`);
  return dir;
}

test('a purge that is cut short anywhere is finished by the next', async (t) => {
  const steps: string[] = [];
  const whole = configured();
  await purge(whole, 'etc', async (path) => {
    steps.push(path.slice(whole.length));
    await removeTree(path);
  });
  t.true(steps.indexOf('/root') < steps.indexOf('/opt/releases/1.0.0'), 'a release is there to go on');
  for (const [at, step] of steps.entries()) {
    const dir = configured();
    let done = 0;
    const cut = purge(dir, 'etc', async (path) => {
      if (done === at) {
        // what a kill leaves of a tree: the first of its names are gone
        const [first] = statSync(path).isDirectory() ? namesIn(path) : [];
        if (first !== undefined) await removeTree(join(path, first));
        throw new Error('killed');
      }
      done += 1;
      await removeTree(path);
    });
    await t.throwsAsync(cut, { message: 'killed' });
    await purge(dir, 'etc');
    t.deepEqual([namesIn(dir), namesIn(join(dir, 'etc'))], [['etc'], ['config.toml']], `cut short at ${step}`);
  }
});

test('a purge leaves what others have in directories that were named to it', async (t) => {
  const others = [
    'opt/releases/theirs/file',
    'opt/other',
    'journal/theirs',
    'etc/config.toml',
    'etc/conf.d/theirs.toml',
  ];
  const dir = host(...ours, ...others, 'etc/conf.d/50-helm.toml');
  await purge(dir, 'etc');
  for (const file of others) t.true(existsSync(join(dir, file)), file);
  for (const file of [...ours, 'etc/conf.d/50-helm.toml']) t.false(existsSync(join(dir, file)), file);
});

for (const [name, files, why] of [
  ['podwrightd never worked in', ['root/images/one'], /^purge .*\/root: podwrightd has never worked in it/],
  ['others use too', ['root/lock', 'root/images/one', 'root/dpkg/status'], /it has what is not podwright's: dpkg;/],
] as const)
  test(`a purge refuses a root that ${name}, and removes nothing`, async (t) => {
    const dir = host(...ours.filter((file) => !file.startsWith('root/')), ...files);
    await t.throwsAsync(purge(dir, 'etc'), { message: why });
    for (const file of files) t.true(existsSync(join(dir, file)), file);
    t.true(existsSync(join(dir, 'opt/releases/1.0.0/RELEASE.json')));
  });

test('a purge takes a root that is empty, or has what a file system begins with', async (t) => {
  const dir = host(...ours.filter((file) => !file.startsWith('root/')));
  mkdirSync(join(dir, 'root'));
  await purge(dir, 'etc');
  t.false(existsSync(join(dir, 'root')));
  const other = host(...ours, 'root/lost+found/one', 'root/user-namespaces-probe/lower');
  await purge(other, 'etc');
  t.false(existsSync(join(other, 'root')));
});

test('what a link leads to is looked at for mounts, and removed with the link', async (t) => {
  const dir = host('real/file');
  symlinkSync('/proc', join(dir, 'proc'));
  await t.throwsAsync(removeTree(join(dir, 'proc')), { message: /mounted there is \/proc/ });
  symlinkSync('real', join(dir, 'link'));
  await removeTree(join(dir, 'link'));
  t.deepEqual(namesIn(dir), ['proc']);
});

test('a unit is disabled only where it is', async (t) => {
  const dir = host('units/other');
  const ran: string[] = [];
  const run = async (argv: readonly string[]): Promise<string> => {
    ran.push(argv.join(' '));
    return '';
  };
  const hand = daemonHand({ run, settings: settingsOf(dir, 'etc'), state: dir });
  await hand.disable(AbortSignal.timeout(20_000));
  t.deepEqual(ran, []);
  writeFileSync(join(dir, 'units/podwrightd.service'), '');
  await hand.disable(AbortSignal.timeout(20_000));
  t.deepEqual(ran, ['systemctl disable podwrightd.service']);
});

test('the unit of an ended change goes', async (t) => {
  const dir = host('units/podwright-node-resume.service');
  const ran: string[] = [];
  const run = async (argv: readonly string[]): Promise<string> => {
    ran.push(argv.join(' '));
    return '';
  };
  const to = { type: 'podwright', release: '/r', version: '1.0.0', endpoint: 'unix:///s', config: null } as const;
  const settings = settingsOf(dir, 'etc');
  const begun = { id: 'x', kind: 'install', from: { type: 'none' }, to, settings, bootId: 'b', now: 'n' } as const;
  const over = ended(newJournal({ ...begun, previous: null }), 'done', 'n');
  for (let twice = 0; twice < 2; twice += 1) await armBoot(run, over, join(dir, 'journal'));
  t.deepEqual(namesIn(join(dir, 'units')), []);
  t.deepEqual(ran, ['systemctl disable podwright-node-resume.service', 'systemctl daemon-reload']);
});
