// What the Debian package's scripts do to a host: run with a service manager that only writes down what it is told, in a
// mount namespace whose /run, /var/lib, /var/cache and /etc are empty and its own.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';

const scripts = join(import.meta.dirname, '../../hack/release/debian');
const dir = mkdtempSync('/tmp/pwt-maintainer-');
test.after.always('the programs go', () => rmSync(dir, { recursive: true }));

const programs = join(dir, 'programs');
mkdirSync(programs);
for (const name of ['systemctl', 'deb-systemd-helper', 'deb-systemd-invoke'])
  writeFileSync(
    join(programs, name),
    `#!/bin/sh\necho "${name} $*" >> /run/told\ncase "$* " in $FAILS) exit 1 ;; esac\nexit 0\n`,
    { mode: 0o755 },
  );

const canUnshare = spawnSync('unshare', ['--mount', 'true']).status === 0;
const when = canUnshare ? test : test.skip;
const why = canUnshare ? '' : ' [no mount namespace of its own can be made here]';

interface Host {
  /** Whether systemd runs. */
  readonly systemd?: boolean;
  /** Whether a pod runs. */
  readonly pods?: boolean;
  /** Pattern of sh: the words of programs that fail. */
  readonly fails?: string;
}

/** Runs a script on such a host; what programs were told, what is left of podwright's directories, what it said. */
function run(script: string, args: readonly string[], { systemd = true, pods = false, fails = '-' }: Host = {}) {
  const own = ['/run', '/var/lib', '/var/cache', '/etc'].map((path) => `mount -t tmpfs tmpfs ${path}`);
  const kept = [
    '/var/lib/podwright/images',
    '/var/cache/podwright',
    '/run/podwright/sockets',
    '/etc/podwright',
    '/var/lib/other',
  ];
  const lines = [
    'set -e',
    ...own,
    `mkdir -p ${kept.join(' ')} ${systemd ? '/run/systemd/system' : ''}`,
    ...(pods ? ['touch /run/podwright/sockets/one'] : []),
    'code=0; "$@" || code=$?',
    'echo "code $code"; echo ---; [ ! -e /run/told ] || cat /run/told; echo ---',
    'cd /; for each in var/lib/* var/cache/* run/podwright etc/*; do [ ! -e "$each" ] || echo "$each"; done',
  ];
  const { stdout, stderr } = spawnSync(
    'unshare',
    ['--mount', '--propagation', 'private', 'sh', '-c', lines.join('\n'), 'sh', 'sh', join(scripts, script), ...args],
    {
      encoding: 'utf8',
      timeout: 60_000,
      env: { PATH: `${programs}:/usr/sbin:/usr/bin:/sbin:/bin`, FAILS: fails },
    },
  );
  const [code = '', told = '', left = ''] = stdout.split('---\n');
  const all = (text: string): string[] => text.split('\n').filter(Boolean);
  return { code: code.trim(), told: all(told), left: all(left), said: stderr };
}

const everything = ['var/lib/other', 'var/lib/podwright', 'var/cache/podwright', 'run/podwright', 'etc/podwright'];
const unit = 'podwrightd.service';
const begun = [`deb-systemd-helper unmask ${unit}`, `deb-systemd-helper --quiet was-enabled ${unit}`];
const enabled = [...begun, `deb-systemd-helper enable ${unit}`];
const reload = 'systemctl --system daemon-reload';

const cases: readonly (readonly [
  name: string,
  script: string,
  args: readonly string[],
  told: readonly string[],
  host?: Host,
])[] = [
  ['installed', 'postinst', ['configure', ''], [...enabled, reload, `deb-systemd-invoke start ${unit}`]],
  ['upgraded', 'postinst', ['configure', '0.0.9-1'], [...enabled, reload, `deb-systemd-invoke restart ${unit}`]],
  [
    'upgraded where the unit was disabled',
    'postinst',
    ['configure', '0.0.9-1'],
    [...begun, `deb-systemd-helper update-state ${unit}`, reload, `deb-systemd-invoke restart ${unit}`],
    { fails: '*was-enabled*' },
  ],
  ['installed without systemd', 'postinst', ['configure', ''], enabled, { systemd: false }],
  [
    'installed where it does not start',
    'postinst',
    ['configure', ''],
    [...enabled, reload, `deb-systemd-invoke start ${unit}`],
    { fails: 'start*' },
  ],
  ['triggered', 'postinst', ['triggered', 'x'], []],
  ['about to be upgraded', 'prerm', ['upgrade', '0.2.0-1'], []],
  ['about to be removed', 'prerm', ['remove'], [`deb-systemd-invoke stop ${unit}`]],
  ['about to be removed without systemd', 'prerm', ['remove'], [], { systemd: false }],
  ['removed', 'postrm', ['remove'], [reload]],
  ['replaced', 'postrm', ['upgrade', '0.2.0-1'], []],
];
for (const [name, script, args, told, host] of cases)
  when(`${name}: the service manager is told, nothing is lost${why}`, (t) => {
    const done = run(script, args, host);
    t.is(done.code, 'code 0', done.said);
    t.deepEqual(done.told, told);
    t.deepEqual(done.left, everything);
    t.is(done.said, '');
  });

when(`removed under pods: it is said how they end${why}`, (t) => {
  const { code, said, left } = run('prerm', ['remove'], { pods: true });
  t.is(code, 'code 0');
  t.regex(said, /^podwright: pods still run; "podwright shutdown"/);
  t.deepEqual(left, everything);
});

const forgotten = [`deb-systemd-helper purge ${unit}`, `deb-systemd-helper unmask ${unit}`];

when(`purged: what is podwright’s goes, and nothing else${why}`, (t) => {
  const { code, told, left, said } = run('postrm', ['purge']);
  t.is(code, 'code 0', said);
  t.deepEqual(told, forgotten);
  t.deepEqual(left, ['var/lib/other']);
});

when(`purged under pods: what they run from stays, and it is said${why}`, (t) => {
  const { code, left, said } = run('postrm', ['purge'], { pods: true });
  t.is(code, 'code 0');
  t.regex(said, /^podwright: pods still run: /);
  t.deepEqual(left, ['var/lib/other', 'var/lib/podwright', 'run/podwright']);
});
