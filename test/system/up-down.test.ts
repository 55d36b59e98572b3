// The two commands of the README, on directories, a bridge and a subnet of their own.
import test from 'ava';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { settle } from '../helpers/daemon.ts';
import { networkResidue, podResidue } from '../helpers/residue.ts';

const run = promisify(execFile);
const hack = join(import.meta.dirname, '../../hack');
const cli = join(import.meta.dirname, '../../dist/podwright');

const random = randomBytes(4);
const dir = mkdtempSync('/tmp/pwt-');
const root = join(dir, 'root');
const state = join(dir, 'state');
const socket = join(state, 'podwright.sock');
const bridge = `pw-t${random.toString('hex')}`;
const subnet = `10.${200 + (random.readUInt8(0) % 20)}.${random.readUInt8(1)}.0/24`;
const flags = [
  `--config=${join(dir, 'config.toml')}`,
  `--root=${root}`,
  `--state=${state}`,
  `--cni-conf-dir=${join(dir, 'net.d')}`,
  `--network-bridge=${bridge}`,
  `--network-subnet=${subnet}`,
  '--metrics-address=',
];

const ids = new Set<string>();

/** Ids of all pods and containers that are there now. */
async function remember(): Promise<string[]> {
  const found: string[] = [];
  for (const args of [['pods'], ['ps', '--all']]) {
    const { stdout } = await run(cli, ['-r', socket, '-o', 'json', ...args]);
    found.push(...(JSON.parse(stdout) as { id: string }[]).map(({ id }) => id));
  }
  for (const id of found) ids.add(id);
  return found.sort();
}

test.before(() => writeFileSync(join(dir, 'config.toml'), ''));

test.after.always(async () => {
  if (existsSync(state)) await run(join(hack, 'down.sh'), ['--purge', ...flags]);
  rmSync(dir, { recursive: true, force: true });
});

test.serial('up runs a pod that answers, and shows it', async (t) => {
  const { stdout } = await run(join(hack, 'up.sh'), flags);
  t.regex(stdout, /^localhost\/podwright-demo:latest sha256:[0-9a-f]{64}$/m);
  t.regex(stdout, new RegExp(`^pod [0-9a-f]{13} has address ${subnet.replace('0/24', '')}\\d+$`, 'm'));
  t.regex(stdout, /^ {4}hello from pod demo, 10\.\d+\.\d+\.\d+$/m);
  t.regex(stdout, /stdout F web server on port 8080$/m);
  t.regex(stdout, /^ {4}cpu [\d.]+ ms, memory \d+ KiB of 65536 KiB, writable layer \d+ KiB$/m);
  t.true(stdout.includes(`export CONTAINER_RUNTIME_ENDPOINT=unix://${socket}`));
  t.is((await remember()).length, 2);
});

test.serial('up again shows the same pod', async (t) => {
  const before = await remember();
  const { stdout } = await run(join(hack, 'up.sh'), flags);
  t.regex(stdout, /hello from pod demo/);
  t.notRegex(stdout, /pod started/);
  t.deepEqual(await remember(), before);
});

test.serial('the command line tool tells about it', async (t) => {
  const { stdout: status } = await run(cli, ['-r', socket, 'status']);
  t.regex(status, /^NetworkReady {2}yes$/m);
  const { stdout: trace } = await run(cli, ['-r', socket, 'trace', 'demo']);
  for (const rpc of ['RunPodSandbox', 'CreateContainer', 'StartContainer']) t.true(trace.includes(`${rpc}  pod `), rpc);
  const { stdout: doctor } = await run(cli, ['-r', socket, 'doctor']);
  t.is(doctor, 'nothing is wrong\n');
});

test.serial('down --purge refuses a root that others use too before it ends anything', async (t) => {
  const before = await remember();
  const other = join(root, 'theirs');
  writeFileSync(other, '');
  const error = await t.throwsAsync(run(join(hack, 'down.sh'), ['--purge', ...flags]));
  t.regex(error?.message ?? '', /not purged: .* has what is not podwright's: theirs\n$/);
  rmSync(other);
  t.deepEqual(await remember(), before);
});

test.serial('down ends a pod whose daemon was killed, and leaves nothing but images', async (t) => {
  process.kill(Number(readFileSync(join(state, 'podwrightd.pid'), 'utf8')), 'SIGKILL');
  const { stderr } = await run(join(hack, 'down.sh'), flags);
  t.regex(stderr, /removed pod default\/demo/);
  t.regex(stderr, /all is gone\n$/);
  const belongings = { root, state, bridge, subnet, ids };
  // what was thrown away and is not freed yet the next daemon frees, as the root directory stays
  const left = async () => (await podResidue(belongings)).filter((each) => !each.startsWith('trash '));
  t.deepEqual(await settle(left), []);
  t.deepEqual(await networkResidue(belongings), []);
  t.false(existsSync(state));
  t.true(existsSync(join(root, 'images')));
});

test.serial('down --purge that is cut short is finished by the next', async (t) => {
  const bin = join(dir, 'bin');
  mkdirSync(bin);
  // removes one of the root's things, and then the whole is killed
  const script = `#!/bin/bash\nfor path; do case $path in ${root}*) /bin/rm -rf "$path"; kill -9 $PPID; exit 1 ;; esac; done\nexec /bin/rm "$@"\n`;
  writeFileSync(join(bin, 'rm'), script, { mode: 0o755 });
  const env = { ...process.env, PATH: `${bin}:${process.env['PATH']}` };
  await t.throwsAsync(run(join(hack, 'down.sh'), ['--purge', ...flags], { env }));
  t.true(existsSync(join(root, 'lock')));
});

test.serial('down again has nothing to do, and --purge removes the root', async (t) => {
  const { stderr } = await run(join(hack, 'down.sh'), ['--purge', ...flags]);
  t.regex(stderr, /all is gone\n$/);
  t.false(existsSync(root));
});
