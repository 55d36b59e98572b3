// The Debian package, made from the build and unpacked by dpkg into a root of its own; its maintainer scripts do not run here.
import test from 'ava';
import { execFileSync, spawnSync } from 'node:child_process';
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

const top = join(import.meta.dirname, '../..');
const dir = mkdtempSync('/tmp/pwr-');
const root = join(dir, 'root');
const deb = join(dir, 'podwright.deb');
const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { version: string };
const hasDpkg = spawnSync('dpkg-deb', ['--version']).status === 0;
const when = hasDpkg ? test.serial : test.serial.skip;
const why = hasDpkg ? '' : ' [dpkg-deb is not installed]';

const run = (command: string, ...args: readonly string[]): string =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' });
const dpkg = (...args: readonly string[]): string => run('dpkg', `--root=${root}`, '--log=/dev/null', ...args);

test.after.always('it is removed', () => rmSync(dir, { recursive: true, force: true }));

when(`the package is made, and dpkg unpacks and verifies it${why}`, (t) => {
  const env = { ...process.env, AS_BUILT: '1', DPKG_DEB_COMPRESSOR_TYPE: 'gzip', DPKG_DEB_COMPRESSOR_LEVEL: '1' };
  execFileSync(join(top, 'hack/release.sh'), ['deb', deb], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  for (const name of ['var/lib/dpkg/info', 'var/lib/dpkg/updates']) mkdirSync(join(root, name), { recursive: true });
  for (const name of ['status', 'available']) writeFileSync(join(root, 'var/lib/dpkg', name), '');
  dpkg('--force-depends', '--force-script-chrootless', '--unpack', deb);
  const wrong = dpkg('--verify', 'podwright').split('\n');
  t.deepEqual(
    wrong.filter((line) => line !== '' && !/ c \/etc\//.test(line)),
    [],
    'conffiles come with configuring',
  );
});

when(`what it says of itself${why}`, (t) => {
  const field = (name: string): string => run('dpkg-deb', '--field', deb, name).trim();
  t.is(field('Version'), `${version}-1`);
  t.is(field('Architecture'), process.arch === 'arm64' ? 'arm64' : 'amd64');
  t.regex(field('Depends'), /^libc6 \(>= 2\.\d+\), /);
  const control = (name: string): string => run('dpkg-deb', '--info', deb, name);
  t.is(control('conffiles'), '/etc/podwright/config.toml\n');
  for (const name of ['postinst', 'prerm', 'postrm']) t.regex(control(name), /^#!\/bin\/sh\n.*\nset -e\n/s, name);
  const owners = run('dpkg-deb', '--contents', deb).trim().split('\n');
  for (const line of owners) t.regex(line, /^\S{10} root\/root /, 'nothing belongs to who built it');
});

when(`what it installs runs from there${why}`, (t) => {
  for (const name of ['podwright', 'podwrightd']) t.is(run(join(root, 'usr/bin', name), '--version'), `${version}\n`);
  const config = join(root, 'etc/podwright/config.toml.dpkg-new');
  t.regex(run(join(root, 'usr/bin/podwrightd'), '--config', config, '--check'), /^configuration is right/);
  t.regex(run(join(root, 'usr/lib/podwright/podwright-monitor'), '--version'), /^podwright-monitor /);
  t.regex(run(join(root, 'usr/bin/podwrightd'), '--help'), /^Usage: podwrightd/);
});

when(`where a distribution wants things${why}`, (t) => {
  const text = (path: string): string => readFileSync(join(root, path), 'utf8');
  t.regex(text('usr/lib/systemd/system/podwrightd.service'), /^ExecStart=\/usr\/bin\/podwrightd$/m);
  t.is(readlinkSync(join(root, 'usr/lib/podwright/.compile-cache')), '/var/cache/podwright');
  t.is(lstatSync(join(root, 'var/cache/podwright')).mode & 0o777, 0o700);
  const release = JSON.parse(text('usr/lib/podwright/RELEASE.json')) as Record<string, unknown>;
  t.is(release['version'], version);
  t.deepEqual(Object.keys(release['records'] as object), ['oldest', 'newest', 'writes']);
  for (const page of ['man1/podwright.1', 'man5/podwright-config.5', 'man8/podwrightd.8'])
    t.regex(gunzipSync(readFileSync(join(root, `usr/share/man/${page}.gz`))).toString(), /^\.TH /, page);
  t.true(text('usr/share/bash-completion/completions/podwright').includes('complete -F _podwright podwright'));
});
