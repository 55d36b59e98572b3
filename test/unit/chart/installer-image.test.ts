// The installer image: what of the packages is in it, and that only what goes in decides its digest.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';

const script = join(import.meta.dirname, '../../../hack/installer-image.mjs');

/** Files of packages, each with its mode, and a small release tree. */
function make(t: ExecutionContext, files: Readonly<Record<string, number>>) {
  const dir = mkdtempSync(join(tmpdir(), 'pw-image-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const put = (path: string, text: string, mode: number): void => {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
    chmodSync(join(dir, path), mode);
  };
  for (const [path, mode] of Object.entries(files)) put(`base/${path}`, path, mode);
  const release = { arch: 'amd64', epoch: 1_700_000_000, version: '1.2.3', commit: 'c' };
  put('tree/RELEASE.json', JSON.stringify(release), 0o644);
  put('tree/bin/podwright', '#!/bin/sh\n', 0o755);
  const build = (out: string, umask: string): string =>
    execFileSync(
      'sh',
      [
        '-c',
        'umask "$1"; shift; exec "$@"',
        'sh',
        umask,
        process.execPath,
        script,
        `--tree=${join(dir, 'tree')}`,
        `--base=amd64=${join(dir, 'base')}`,
        `--out=${join(dir, out)}`,
        '--name=r/i:1',
      ],
      { encoding: 'utf8', stdio: 'pipe' },
    ).trim();
  return { dir, build };
}

type Descriptor = { readonly digest: string };

/** Lines of `tar -tv` without owner, size and time: "drwxr-xr-x ./bin/", of both layers. */
function entries(layout: string): readonly string[] {
  const blob = (digest: string): string => join(layout, 'blobs', digest.replace(':', '/'));
  const read = (path: string): { readonly manifests?: Descriptor[]; readonly layers?: Descriptor[] } =>
    JSON.parse(readFileSync(path, 'utf8')) as ReturnType<typeof read>;
  const [index] = read(join(layout, 'index.json')).manifests ?? [];
  const [manifest] = read(blob(index?.digest ?? '')).manifests ?? [];
  const { layers = [] } = read(blob(manifest?.digest ?? ''));
  const list = layers.map(({ digest }) => execFileSync('tar', ['-tvzf', blob(digest)], { encoding: 'utf8' }));
  return list
    .join('')
    .split('\n')
    .filter(Boolean)
    .map((line) => line.replace(/^(\S+) .*? \d\d:\d\d /, '$1 '));
}

const merged = {
  'usr/bin/busybox': 0o755,
  'usr/lib64/ld-linux-x86-64.so.2': 0o755,
  'usr/lib/x86_64-linux-gnu/libc.so.6': 0o755,
  'usr/share/doc/libc6/copyright': 0o640,
  'usr/share/doc/libc6/README': 0o644,
};
const split = {
  'bin/busybox': 0o755,
  'lib64/ld-linux-x86-64.so.2': 0o755,
  'lib/x86_64-linux-gnu/libc.so.6': 0o755,
  'usr/lib/x86_64-linux-gnu/libstdc++.so.6': 0o644,
};

test('packages with everything below usr have their programs and loader where these are looked for', (t) => {
  const { dir, build } = make(t, merged);
  symlinkSync('libc.so.6', join(dir, 'base/usr/lib/x86_64-linux-gnu/libc.so'));
  build('layout', '022');
  const found = entries(join(dir, 'layout'));
  for (const line of [
    '-rwxr-xr-x ./usr/bin/busybox',
    'lrwxrwxrwx ./usr/bin/nsenter -> busybox',
    'lrwxrwxrwx ./bin -> usr/bin',
    'lrwxrwxrwx ./lib -> usr/lib',
    'lrwxrwxrwx ./lib64 -> usr/lib64',
    '-rw-r--r-- ./usr/share/doc/libc6/copyright',
    'drwxrwxrwt ./tmp/',
    '-rwxr-xr-x ./release/bin/podwright',
  ])
    t.true(found.includes(line), `${line} of\n${found.join('\n')}`);
  t.false(found.some((line) => line.endsWith('README')));
});

test('packages of before have theirs, and the umask of whoever makes the image is not in it', (t) => {
  const { dir, build } = make(t, split);
  const digest = build('open', '002');
  t.regex(digest, /^sha256:[0-9a-f]{64}$/);
  t.is(build('closed', '077'), digest);
  const found = entries(join(dir, 'closed'));
  t.deepEqual(
    found.filter((line) => line.startsWith('d') && !line.startsWith('drwxr-xr-x ')),
    ['drwxrwxrwt ./tmp/'],
  );
  t.true(found.includes('lrwxrwxrwx ./bin/nsenter -> busybox'));
  t.true(found.includes('-rwxr-xr-x ./lib64/ld-linux-x86-64.so.2'));
});

test('packages without a shell are refused', (t) => {
  const { build } = make(t, { 'usr/lib/x86_64-linux-gnu/libc.so.6': 0o755 });
  t.throws(() => build('layout', '022'), { message: /no busybox is in the packages for amd64/ });
});
