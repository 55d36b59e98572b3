// The release tree, made once from the build: what lies in it, and that it runs from any place.
import test from 'ava';
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { TestDaemon } from '../helpers/daemon.ts';

const run = promisify(execFile);
const top = join(import.meta.dirname, '../..');
const dir = mkdtempSync('/tmp/pwr-');
const tree = join(dir, 'releases/1');
const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { version: string };

interface Release {
  readonly version: string;
  readonly commit: string;
  readonly arch: string;
  readonly records: { readonly oldest: number; readonly newest: number; readonly writes: number };
  readonly monitorProtocol: { readonly oldest: number; readonly newest: number };
  readonly files: readonly { path: string; mode?: string; size?: number; sha256?: string; link?: string }[];
}

const release = (): Release => JSON.parse(readFileSync(join(tree, 'RELEASE.json'), 'utf8')) as Release;

test.before('the tree is written', () => {
  const env = { ...process.env, AS_BUILT: '1' };
  execFileSync(join(top, 'hack/release.sh'), ['tree', tree], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  symlinkSync('releases/1', join(dir, 'current'));
});

test.after.always('it is removed', () => rmSync(dir, { recursive: true, force: true }));

test.serial('RELEASE.json lists every file with its digest, and nothing else is there', (t) => {
  const { files, ...about } = release();
  t.is(about.version, version);
  t.regex(about.commit, /^([0-9a-f]{40}(-dirty)?|unknown)$/);
  t.true(about.records.oldest <= about.records.writes && about.records.writes <= about.records.newest);
  t.true(about.monitorProtocol.oldest <= about.monitorProtocol.newest);
  for (const { path, mode, size, sha256, link } of files) {
    const at = join(tree, path);
    if (link !== undefined) {
      t.is(readlinkSync(at), link);
      t.true(existsSync(at), `${path} leads somewhere`);
      continue;
    }
    const content = readFileSync(at);
    t.deepEqual([content.length, createHash('sha256').update(content).digest('hex')], [size, sha256], path);
    t.is((lstatSync(at).mode & 0o7777).toString(8).padStart(4, '0'), String(mode), path);
  }
  const found = readdirSync(tree, { recursive: true, encoding: 'utf8' }).filter((path) => {
    return !lstatSync(join(tree, path)).isDirectory();
  });
  t.deepEqual(found.toSorted(), [...files.map(({ path }) => path), 'RELEASE.json'].toSorted());
});

test.serial('it names no place of the machine that built it', (t) => {
  const texts = release().files.filter(({ path, link }) => {
    return link === undefined && /^(bin|etc|share\/man|lib\/systemd)/.test(path);
  });
  for (const { path } of texts) t.false(readFileSync(join(tree, path), 'utf8').includes(top), path);
  t.regex(
    readFileSync(join(tree, 'lib/systemd/system/podwrightd.service'), 'utf8'),
    /^ExecStart=\/opt\/podwright\/current\/bin\/podwrightd$/m,
  );
});

test.serial('the programs run from any place and through links', async (t) => {
  symlinkSync('current/bin/podwright', join(dir, 'pw'));
  symlinkSync('current/bin/podwrightd', join(dir, 'pwd'));
  for (const program of [join(tree, 'bin/podwright'), join(dir, 'current/bin/podwright'), join(dir, 'pw'), '../pwd'])
    t.is((await run(program, ['--version'], { cwd: join(dir, 'releases') })).stdout, `${version}\n`, program);
  const env = { ...process.env, PATH: `${join(dir, 'current/bin')}:${process.env['PATH']}` };
  t.is((await run('podwrightd', ['--version'], { env, cwd: '/' })).stdout, `${version}\n`);
  const checked = await run(join(dir, 'pwd'), ['--config', join(tree, 'etc/podwright/config.toml'), '--check']);
  t.regex(checked.stdout, /^configuration is right/);
});

test.serial('a daemon of it serves, also when the link to it is moved meanwhile', async (t) => {
  const daemon = new TestDaemon({ dist: join(dir, 'current/bin'), network: 'none' });
  try {
    await daemon.start();
    rmSync(join(dir, 'current'));
    t.is((await daemon.runtime.Version({})).runtime_version, version);
    await daemon.shutdown();
  } finally {
    await daemon.destroy();
  }
});
