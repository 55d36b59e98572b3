// The first commands of docs/install.md, as they stand: a node of its own of a tarball. `sudo` is a program of this test that
// adds where all is put; what was installed is taken away again.
import { execFile, execFileSync } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { version } from '../../src/config/version.ts';
import { settle } from '../helpers/daemon.ts';
import { processesWith } from '../helpers/processes.ts';
import { networkResidue, podResidue } from '../helpers/residue.ts';

const top = join(import.meta.dirname, '../..');
const dir = mkdtempSync('/tmp/pwt-install-');
const at = (name: string): string => join(dir, name);
const [prefix, configDir, journalDir, root, state] = [
  'podwright',
  'etc-podwright',
  'podwright-node',
  'root',
  'state',
].map(at) as [string, string, string, string, string];
const bridge = `pw-t${randomBytes(4).toString('hex')}`;
const subnet = `10.${randomInt(200, 220)}.${randomInt(256)}.0/24`;
const options = [
  `--prefix=${prefix}`,
  `--config-dir=${configDir}`,
  `--journal-dir=${journalDir}`,
  `--config=${at('config.toml')}`,
  `--link-dir=${at('bin')}`,
  '--daemon=self',
  `--daemon-log=${at('log')}`,
  '--free=100',
];

const page = readFileSync(join(top, 'docs/install.md'), 'utf8');
const [, block = ''] = /^```sh\n(tar [^]*?)^```$/m.exec(page) ?? [];
// the page names what a release for the usual machine is called
const arch = process.arch === 'x64' ? 'amd64' : process.arch;
const script = block.replaceAll('linux-amd64', `linux-${arch}`);

interface Ended {
  readonly code: number;
  readonly text: string;
}

/** Runs a script where the tarball lies. */
function run(text: string): Promise<Ended> {
  const { promise, resolve } = Promise.withResolvers<Ended>();
  const env = { ...process.env, PATH: `${at('bin')}:${process.env['PATH'] ?? ''}` };
  execFile('bash', ['-ec', text], { env, cwd: dir, timeout: 120_000 }, (error, stdout, stderr) => {
    const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
    resolve({ code, text: `${stdout}${stderr}` });
  });
  return promise;
}

const uninstall = (): Promise<Ended> =>
  run(`podwright-${version}-linux-${arch}/bin/podwright uninstall --purge --journal-dir=${journalDir}`);

test.before('a tarball, and a sudo', () => {
  const env = { ...process.env, AS_BUILT: '1', GZIP_LEVEL: '1' };
  const out = at(`podwright-${version}-linux-${arch}.tar.gz`);
  execFileSync(join(top, 'hack/release.sh'), ['tarball', out], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const head = [`root = "${root}"`, `state = "${state}"`];
  const network = [`conf_dir = "${at('net.d')}"`, 'default = "bridge"', `bridge = "${bridge}"`, `subnet = "${subnet}"`];
  const config = [...head, '[network]', ...network, '[metrics]', 'address = ""'];
  writeFileSync(at('config.toml'), `${config.join('\n')}\n`);
  mkdirSync(at('bin'));
  const words = options.map((option) => `'${option}'`).join(' ');
  const sudo = [
    '#!/bin/sh',
    'program=$1; verb=$2; shift 2',
    `case $verb in install) set -- "$@" ${words} ;; status) set -- "$@" --socket '${state}/podwright.sock' ;; esac`,
    'exec "$program" "$verb" "$@"',
  ];
  writeFileSync(at('bin/sudo'), `${sudo.join('\n')}\n`, { mode: 0o755 });
});

test.after.always('all is taken away', async () => {
  if (existsSync(journalDir)) await uninstall();
  rmSync(dir, { recursive: true, force: true });
});

test.serial('the page names the release as it is called', (t) => {
  t.regex(script, new RegExp(`^tar -xzf podwright-${version}-linux-${arch}\\.tar\\.gz `));
  t.regex(script, /^sudo \S+\/bin\/podwright install /m);
});

test.serial('installed from the tarball it serves', async (t) => {
  const { code, text } = await run(script);
  t.is(code, 0, text);
  t.regex(text, /self-test/);
  t.regex(text, new RegExp(`podwright ${version.replaceAll('.', '\\.')}`));
  t.is(processesWith('podwrightd.js', prefix).length, 1);
});

test.serial('the same command again changes nothing', async (t) => {
  const { code, text } = await run(/^sudo .* install/m.exec(script)?.[0] ?? '');
  t.is(code, 0, text);
  t.notRegex(text, /preflight/);
  const other = await run(`sudo podwright-${version}-linux-${arch}/bin/podwright install --timeout 300`);
  t.is(other.code, 0, other.text);
  t.regex(other.text, /upgrade/);
});

test.serial('uninstalled it leaves nothing', async (t) => {
  const { code, text } = await uninstall();
  t.is(code, 0, text);
  t.deepEqual(processesWith('podwrightd.js', prefix), []);
  const belongings = { root, state, bridge, subnet, ids: new Set<string>() };
  t.deepEqual(await settle(() => podResidue(belongings)), []);
  t.deepEqual(await networkResidue(belongings), []);
  const left = readdirSync(dir).filter((name) => !name.startsWith(`podwright-${version}`));
  t.deepEqual(left.toSorted(), ['bin', 'config.toml']);
  t.deepEqual(readdirSync(at('bin')), ['sudo']);
});
