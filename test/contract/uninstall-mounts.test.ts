// A purge where the daemon's root is a file system of its own: emptied, left mounted. In a mount namespace nobody else sees.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';

const source = new URL('../../src/node/uninstall.ts', import.meta.url).href;

/** Purges a host of files below `dir` in a mount namespace, after `mounts`; answers what is left of its root, and what it said. */
function purge(t: { teardown: (work: () => void) => void }, mounts: string): { left: string[]; said: string } {
  const dir = mkdtempSync('/tmp/pwu-purge-');
  t.teardown(() => rmSync(dir, { recursive: true }));
  for (const name of ['root', 'journal', 'opt/releases/1.0.0']) mkdirSync(join(dir, name), { recursive: true });
  writeFileSync(join(dir, 'opt/releases/1.0.0/RELEASE.json'), '{}');
  const settings = {
    prefix: `${dir}/opt`,
    configDir: `${dir}/etc`,
    configFile: `${dir}/etc/config.toml`,
    linkDir: null,
    daemon: { by: 'systemd', unit: 'podwrightd.service', unitDir: `${dir}/units` },
    kubelet: null,
    kubernetes: null,
    graceMs: 1,
    timeoutMs: 1,
    freeBytes: 0,
  };
  mkdirSync(join(dir, 'etc'));
  writeFileSync(settings.configFile, `root = "${dir}/root"\n`);
  const script = `
    import { readdirSync } from 'node:fs';
    import { removeInstalled } from ${JSON.stringify(source)};
    const about = { run: async () => '', settings: ${JSON.stringify(settings)}, journalDir: '${dir}/journal', purge: true };
    const said = await removeInstalled(about).then((removed) => removed.join(' '), (error) => error.message);
    process.stdout.write(JSON.stringify({ left: readdirSync('${dir}/root', { recursive: true }).sort(), said }));`;
  const fill = 'mkdir -p root/layers/a root/lost+found && touch root/lock root/layers/a/file';
  const shell = `cd "$1" && ${mounts.replace('FILL', fill)} && cd / && exec "$0" --input-type=module -e "$2"`;
  const { stdout, stderr, status } = spawnSync(
    'unshare',
    ['--mount', '--propagation', 'private', 'sh', '-c', shell, process.execPath, dir, script],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`ended with ${status}: ${stderr}`);
  return JSON.parse(stdout) as { left: string[]; said: string };
}

test.before('mounts can be made', () => void execFileSync('unshare', ['--mount', 'true']));

test('a root that is a disk of its own is emptied, and its mount stays', (t) => {
  const { left, said } = purge(t, 'mount -t tmpfs tmpfs root && FILL');
  t.deepEqual(left, ['lost+found']);
  t.regex(said, /root\/lock /);
});

test('a root with something mounted below it is refused, and all of it stays', (t) => {
  const { left, said } = purge(t, 'FILL && mount -t tmpfs tmpfs root/layers/a && touch root/layers/a/mounted');
  t.deepEqual(left, ['layers', 'layers/a', 'layers/a/mounted', 'lock', 'lost+found']);
  t.regex(said, /^remove \/tmp\/.*root: mounted there is .*root\/layers\/a$/);
});
