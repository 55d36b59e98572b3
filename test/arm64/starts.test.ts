// The release for arm64 on a machine of another architecture: made, whole, and started by an emulator in user space
// (qemu-user). That has no openat2 and makes no namespaces: it unpacks no image and starts no pod.
import test from 'ava';
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultSeccompProfile } from '../../src/oci/seccomp-default.ts';
import { readRelease, treeFaults } from '../../src/release/tree.ts';
import { TestDaemon } from '../helpers/daemon.ts';

const top = join(import.meta.dirname, '../..');
const dir = mkdtempSync('/tmp/pwa-');
const tree = join(dir, 'tree');
/** The tree as it can be run here. */
const emulated = join(dir, 'emulated');
const bin = join(emulated, 'bin');
const lib = join(emulated, 'lib/podwright');
const emulator = ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu'] as const;
const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { version: string };

const run = (command: string, ...args: readonly string[]): string => execFileSync(command, args, { encoding: 'utf8' });

function release(verb: string, out: string): void {
  const env = { ...process.env, AS_BUILT: '1', DPKG_DEB_COMPRESSOR_TYPE: 'gzip', DPKG_DEB_COMPRESSOR_LEVEL: '1' };
  execFileSync(join(top, 'hack/release.sh'), ['--arch', 'arm64', verb, out], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

test.before('the tree is made, and a copy in which Node is called by the emulator', () => {
  release('tree', tree);
  cpSync(tree, emulated, { recursive: true, verbatimSymlinks: true });
  renameSync(join(lib, 'node'), join(lib, 'node.arm64'));
  writeFileSync(join(lib, 'node'), `#!/bin/sh\nexec ${emulator.join(' ')} ${lib}/node.arm64 "$@"\n`);
  chmodSync(join(lib, 'node'), 0o755);
});
test.after.always('it is removed', () => rmSync(dir, { recursive: true, force: true }));

/** `e_machine` of elf(5): 183 is EM_AARCH64. Alignment of segments, for kernels whose pages have 64 KiB. */
function elf(file: string): { readonly machine: number; readonly aligned: boolean } {
  const bytes = readFileSync(file);
  const headers = Number(bytes.readBigUInt64LE(32));
  const segments = Array.from({ length: bytes.readUInt16LE(56) }, (_, i) => headers + i * bytes.readUInt16LE(54));
  const loaded = segments.filter((at) => bytes.readUInt32LE(at) === 1);
  return {
    machine: bytes.readUInt16LE(18),
    aligned: loaded.length > 0 && loaded.every((at) => bytes.readBigUInt64LE(at + 48) % 65_536n === 0n),
  };
}

test.serial('the tree says that it is for arm64, and is', async (t) => {
  const said = await readRelease(tree);
  t.is(said.arch, 'arm64');
  t.deepEqual(await treeFaults(tree, said, 5), []);
  for (const name of ['node', 'addon.node', 'podwright-monitor'])
    t.deepEqual(elf(join(tree, 'lib/podwright', name)), { machine: 183, aligned: true }, name);
});

test.serial('what starts says who it is', (t) => {
  t.is(run(join(lib, 'node'), '-p', 'process.arch'), 'arm64\n');
  for (const name of ['podwright', 'podwrightd']) t.is(run(join(bin, name), '--version'), `${version}\n`);
  t.is(run(join(bin, 'podwrightd'), '--check'), 'configuration is right: no file, all defaults\n');
  t.regex(run(join(bin, 'podwright'), '--help'), /^Usage: podwright/);
  t.is(run(emulator[0], join(lib, 'podwright-monitor'), '--version'), `podwright-monitor ${version}\n`);
});

test.serial('the addon compiles filters for arm64', (t) => {
  const profile = JSON.stringify(defaultSeccompProfile([], 'arm64'));
  const script = `console.log(JSON.stringify(require(process.argv[1]).seccompCompile({ profileJson: process.argv[2] })))`;
  const answer = JSON.parse(run(join(lib, 'node'), '-e', script, join(lib, 'addon.node'), profile)) as {
    readonly ok: { readonly bpf: string; readonly instructions: number };
  };
  const filter = Buffer.from(answer.ok.bpf, 'base64');
  t.is(filter.length, 8 * answer.ok.instructions);
  // load the architecture (offset 4 of seccomp_data), then ask for AUDIT_ARCH_AARCH64 first
  t.deepEqual([filter.readUInt16LE(0), filter.readUInt32LE(4)], [0x20, 4]);
  t.deepEqual([filter.readUInt16LE(8), filter.readUInt32LE(12)], [0x15, 0xc00000b7]);
});

test.serial('a daemon serves, and ends when it is told to', async (t) => {
  const daemon = new TestDaemon({ network: 'none', dist: bin });
  t.teardown(() => daemon.destroy());
  daemon.spawn();
  await daemon.ready();
  t.is((await daemon.runtime.Version({})).runtime_version, version);
  t.truthy((await daemon.runtime.RuntimeConfig({})).linux);
  t.deepEqual((await daemon.runtime.ListPodSandbox({})).items, []);

  await daemon.shutdown();
});

test.serial('the Debian package is for arm64, and its programs still start without what was stripped', (t) => {
  const [deb, root] = [join(dir, 'podwright.deb'), join(dir, 'root')];
  release('deb', deb);
  t.is(run('dpkg-deb', '--field', deb, 'Architecture'), 'arm64\n');
  t.regex(run('dpkg-deb', '--field', deb, 'Depends'), /^libc6 \(>= 2\.\d+\), /);
  run('dpkg-deb', '--extract', deb, root);
  const installed = join(root, 'usr/lib/podwright');
  const script = 'console.log(process.arch, typeof require(process.argv[1]).seccompCompile)';
  const [command, ...flags] = emulator;
  t.is(
    run(command, ...flags, join(installed, 'node'), '-e', script, join(installed, 'addon.node')),
    'arm64 function\n',
  );
});
