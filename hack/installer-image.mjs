// Makes the installer image of the chart, without Docker: release trees (hack/release.sh tree) over the few files of
// Debian's packages that Node and a shell need.
//
//   node hack/installer-image.mjs --tree DIR [--tree DIR ...] --out FILE.tar|DIR --name REFERENCE [--base ARCH=DIR ...]
//
// Writes an OCI layout, as an archive when --out ends with .tar: an index of one image for each tree, whose architecture
// RELEASE.json says. Everything in it bears the release's time, so that the same trees and packages give the same digest,
// which is printed. To bring it to a registry:
//   podwright load FILE.tar && podwright push REFERENCE        or  skopeo copy --all oci-archive:FILE.tar docker://REFERENCE
// --base takes a directory with the files of the packages for an architecture; else apt-get downloads them (for another
// architecture than this machine's: dpkg --add-architecture ARCH && apt-get update). Needs tar, apt-get and dpkg-deb.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';

/** Whose files the base is made of: what Node links with, and a static shell with nsenter. */
const packages = ['libc6', 'libgcc-s1', 'libstdc++6', 'busybox-static'];

/** Files of packages that are kept: libraries and programs, and what their licences ask to go with them. */
const kept =
  /^(usr\/)?(lib|lib64)\/([^/]+-linux-gnu\/)?(lib[^/]+|ld-linux-[^/]+)\.so(\.[^/]*)?$|^(usr\/)?bin\/busybox$|^usr\/share\/doc\/[^/]+\/copyright$/;

/** What the launcher, probes and hooks call, and what one wants when looking into the pod. */
const applets =
  'cat chroot cp df env find grep head id ls mkdir mount nsenter ps readlink rm sed sh sleep tail test tr umount wc'.split(
    ' ',
  );

const run = (program, args, options = {}) =>
  execFileSync(program, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 30,
    ...options,
  });
const digestOf = (bytes) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** The base of an architecture as a directory below `work`. */
function base(arch, given, work) {
  const from = given ?? download(arch, work);
  const root = join(work, `base-${arch}`);
  for (const path of readdirSync(from, { recursive: true })) {
    if (!kept.test(path)) continue;
    mkdirSync(dirname(join(root, path)), { recursive: true });
    cpSync(join(from, path), join(root, path), { verbatimSymlinks: true });
  }
  linkMerged(root);
  if (!existsSync(join(root, 'bin/busybox'))) throw new Error(`no busybox is in the packages for ${arch}`);
  mkdirSync(join(root, 'etc'), { recursive: true });
  for (const name of applets) symlinkSync('busybox', join(root, 'bin', name));
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n');
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
  for (const name of ['tmp', 'run', 'proc', 'sys', 'dev', 'host']) mkdirSync(join(root, name), { recursive: true });
  setModes(root);
  chmodSync(join(root, 'tmp'), 0o1777);
  return root;
}

/** Newer packages have everything below usr, and programs and their loader are looked for above it. */
function linkMerged(root) {
  for (const name of ['bin', 'lib', 'lib64'])
    if (existsSync(join(root, 'usr', name)) && !existsSync(join(root, name)))
      symlinkSync(`usr/${name}`, join(root, name));
}

/** Modes that do not depend on the umask of whoever makes the image. */
function setModes(directory) {
  for (const one of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, one.name);
    if (one.isDirectory()) setModes(path);
    else if (one.isFile()) chmodSync(path, (statSync(path).mode & 0o100) === 0 ? 0o644 : 0o755);
  }
  chmodSync(directory, 0o755);
}

function download(arch, work) {
  const files = join(work, `packages-${arch}`);
  const debs = join(work, `debs-${arch}`);
  mkdirSync(debs);
  run('apt-get', ['-o', 'APT::Sandbox::User=root', '-qq', 'download', ...packages.map((name) => `${name}:${arch}`)], {
    cwd: debs,
  });
  for (const deb of readdirSync(debs).sort()) run('dpkg-deb', ['-x', join(debs, deb), files]);
  return files;
}

/** A layer of a directory's files, put below `prefix` of the image. */
function layer(root, prefix, epoch) {
  const move =
    prefix === '' ? [] : [`--transform=flags=r;s,^\\./,./${prefix}/,`, `--transform=flags=r;s,^\\.$,./${prefix},`];
  const tar = run(
    'tar',
    [
      '--sort=name',
      '--owner=0',
      '--group=0',
      '--numeric-owner',
      '--format=gnu',
      `--mtime=@${epoch}`,
      ...move,
      // those of the base are set already, and /tmp has one of its own
      ...(prefix === '' ? [] : ['--mode=u=rwX,go=rX']),
      '-C',
      root,
      '-c',
      '.',
    ],
    { encoding: 'buffer', env: { ...process.env, LC_ALL: 'C' } },
  );
  // all but the names is in the content: level 6 is half the time of 9, for 1 % of size
  return { diffId: digestOf(tar), bytes: gzipSync(tar, { level: 6 }) };
}

/** Adds blobs to a layout. */
function layout(directory) {
  mkdirSync(join(directory, 'blobs/sha256'), { recursive: true });
  return (bytes, mediaType, more = {}) => {
    const digest = digestOf(bytes);
    writeFileSync(join(directory, 'blobs', digest.replace(':', '/')), bytes);
    return { mediaType, digest, size: bytes.length, ...more };
  };
}

const json = (value) => Buffer.from(JSON.stringify(value));
const media = (kind) => `application/vnd.oci.image.${kind}`;

/** One image: answers its manifest's descriptor. */
function image(put, tree, baseOf) {
  const release = JSON.parse(readFileSync(join(tree, 'RELEASE.json'), 'utf8'));
  const { arch, epoch, version, commit } = release;
  const created = new Date(epoch * 1000).toISOString().replace('.000', '');
  const layers = [layer(baseOf(arch), '', epoch), layer(tree, 'release', epoch)];
  const labels = {
    'org.opencontainers.image.title': 'podwright installer',
    'org.opencontainers.image.version': version,
    'org.opencontainers.image.revision': commit,
    'org.opencontainers.image.licenses': 'Apache-2.0',
  };
  const config = {
    architecture: arch,
    os: 'linux',
    created,
    config: {
      Entrypoint: ['/release/bin/podwright'],
      Env: ['PATH=/release/bin:/bin'],
      WorkingDir: '/',
      Labels: labels,
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: ['base', `release ${version}`].map((what) => ({
      created,
      created_by: `hack/installer-image.mjs: ${what}`,
    })),
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: media('manifest.v1+json'),
    config: put(json(config), media('config.v1+json')),
    layers: layers.map(({ bytes }) => put(bytes, media('layer.v1.tar+gzip'))),
    annotations: labels,
  };
  return put(json(manifest), media('manifest.v1+json'), { platform: { os: 'linux', architecture: arch } });
}

function write({ trees, out, name, bases }) {
  const work = mkdtempSync(join(tmpdir(), 'podwright-image-'));
  try {
    const directory = join(work, 'layout');
    const put = layout(directory);
    const made = new Map();
    const baseOf = (arch) => made.get(arch) ?? made.set(arch, base(arch, bases.get(arch), work)).get(arch);
    const manifests = trees.map((tree) => image(put, tree, baseOf));
    const architectures = new Set(manifests.map(({ platform }) => platform.architecture));
    if (architectures.size < trees.length) throw new Error('two trees are of one architecture');
    const index = put(
      json({ schemaVersion: 2, mediaType: media('index.v1+json'), manifests }),
      media('index.v1+json'),
      {
        annotations: {
          'org.opencontainers.image.ref.name': name.slice(name.lastIndexOf(':') + 1),
          'io.containerd.image.name': name,
        },
      },
    );
    writeFileSync(join(directory, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }));
    writeFileSync(
      join(directory, 'index.json'),
      json({ schemaVersion: 2, mediaType: media('index.v1+json'), manifests: [index] }),
    );
    place(directory, out);
    return index.digest;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function place(directory, out) {
  if (!out.endsWith('.tar')) {
    if (existsSync(out)) throw new Error(`${out} is there already`);
    cpSync(directory, out, { recursive: true });
    return;
  }
  const fixed = [
    '--sort=name',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--mtime=@0',
    '--format=gnu',
    '--mode=u=rwX,go=rX',
  ];
  run('tar', [...fixed, '-C', directory, '-cf', `${out}.new`, 'oci-layout', 'index.json', 'blobs']);
  renameSync(`${out}.new`, out);
}

const { values } = parseArgs({
  options: {
    tree: { type: 'string', multiple: true, default: [] },
    base: { type: 'string', multiple: true, default: [] },
    out: { type: 'string', default: '' },
    name: { type: 'string', default: '' },
  },
});
if (values.tree.length === 0 || values.out === '' || !/:[^/]+$/.test(values.name)) {
  console.error(
    'usage: node hack/installer-image.mjs --tree DIR ... --out FILE.tar|DIR --name REPOSITORY:TAG [--base ARCH=DIR ...]',
  );
  process.exit(2);
}
try {
  const bases = new Map(values.base.map((one) => one.split(/=(.*)/s).slice(0, 2)));
  console.log(write({ trees: values.tree, out: values.out, name: values.name, bases }));
} catch (error) {
  console.error(`installer-image: ${error.message}`);
  process.exit(1);
}
