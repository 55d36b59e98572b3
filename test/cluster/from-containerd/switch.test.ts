// A node that starts on containerd is moved to podwright by `podwright node switch`, to the next release and back, and to
// containerd again. Brings a cluster of its own up, and takes it down.
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { version } from '../../../src/config/version.ts';
import { Cluster, type Ended, hackCluster, runToEnd } from '../../helpers/cluster.ts';
import { identity, MovingPods, movingMs, rulesTo } from '../../helpers/moving-pods.ts';
import { processesWith } from '../../helpers/processes.ts';
import { nextVersion, otherRelease, releaseTree } from '../../helpers/releases.ts';
import { until } from '../../helpers/until.ts';

const hack = join(import.meta.dirname, '../../../hack/cluster');
const work = mkdtempSync('/tmp/pwsw-');
const trees = { now: join(work, 'now'), next: join(work, 'next'), damaged: join(work, 'damaged') };

let cluster: Cluster;
let pods: MovingPods;
/** Whether the cluster is this test's own: another's is refused, and left alone. */
let ours = false;
const dir = (): string => cluster.where.DIR;

/** Options of every `podwright node switch` of this cluster. */
const options = (): readonly string[] => [
  `--prefix=${dir()}/opt`,
  `--config-dir=${dir()}/etc-podwright`,
  `--journal-dir=${dir()}/node`,
  '--link-dir=',
  '--daemon=self',
  `--daemon-log=${dir()}/logs/podwrightd.log`,
  '--free=100',
  '--kubelet-restart=command',
  `--kubelet-stop=${hack} pause kubelet`,
  `--kubelet-start=${hack} resume kubelet`,
  `--kubelet-drop-in=${dir()}/kubelet.d/90-podwright.conf`,
  `--from-endpoint=${cluster.where.RUNTIME_SOCKET}`,
  `--kubeconfig=${cluster.where.KUBECONFIG}`,
  `--node=${cluster.where.NODE}`,
  '--timeout=300',
];

/** The cluster's own settings for podwright, and where it keeps its state; some replaced. */
function settings(change: (text: string) => string = (text) => text): string {
  const file = join(work, 'config.toml');
  const places = `root = "${dir()}/root"\nstate = "${dir()}/state"\n`;
  writeFileSync(file, change(places + readFileSync(join(dir(), 'podwright.toml'), 'utf8')));
  return `--config=${file}`;
}

/** Runs the tool of this build's release to its end. */
function podwright(...args: readonly string[]): Promise<Ended> {
  const { promise, resolve } = Promise.withResolvers<Ended>();
  const child = started(...args);
  const said = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk: Buffer) => (said.stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (said.stderr += chunk.toString()));
  child.once('close', (code) => resolve({ ...said, code: code ?? -1 }));
  return promise;
}

const started = (...args: readonly string[]): ChildProcess => spawn(join(trees.now, 'bin/podwright'), args);

interface Status {
  readonly state: string;
  readonly on: { readonly type: string; readonly version: string } | null;
  readonly transaction: {
    readonly step: string | null;
    readonly failure: { readonly step: string; readonly message: string } | null;
  };
}
const status = async (): Promise<Status> =>
  JSON.parse((await podwright('-o', 'json', 'node', 'status', `--journal-dir=${dir()}/node`)).stdout) as Status;

const nodeRuntime = async (): Promise<string> =>
  (await cluster.core.readNode({ name: cluster.where.NODE })).status?.nodeInfo?.containerRuntimeVersion ?? '';

test.before('a cluster on containerd, releases, pods', async () => {
  await releaseTree(trees.now);
  otherRelease(trees.now, trees.next, { version: nextVersion });
  const { stdout } = await runToEnd(hack, ['env']);
  ours = !existsSync(/^DIR=(.*)$/m.exec(stdout)?.[1] ?? '/');
  await hackCluster('up', '--new', '--runtime', 'containerd');
  cluster = new Cluster();
  await cluster.open();
  pods = new MovingPods(cluster, 18_473);
  await pods.make();
});

test.after.always('podwright is away, and so is the cluster', async () => {
  if (cluster !== undefined && existsSync(join(dir(), 'node')))
    for (const verb of [
      ['node', 'resume'],
      ['uninstall', '--purge'],
    ])
      await podwright(...verb, `--journal-dir=${dir()}/node`);
  if (ours) await hackCluster('down');
  rmSync(work, { recursive: true, force: true });
});

test.serial('the pods run on containerd', async (t) => {
  await pods.serveOn('containerd');
  t.regex(await nodeRuntime(), /^containerd:\/\//);
});

test.serial('what cannot be is refused, and nothing is changed', async (t) => {
  const before = identity(await pods.readyOn('containerd'));
  cpSync(trees.next, trees.damaged, { recursive: true, verbatimSymlinks: true });
  writeFileSync(join(trees.damaged, 'lib/podwright/package.json'), '{"type": "module"}');
  const { code, stdout, stderr } = await podwright(
    'node',
    'switch',
    ...options(),
    '--release',
    trees.damaged,
    settings(),
  );
  t.is(code, 1, stdout);
  t.regex(stdout + stderr, /lib\/podwright\/package\.json has another content/);
  t.is((await status()).state, 'none', 'it was not even put in place');
  t.deepEqual(identity(await pods.readyOn('containerd')), before);
  rmSync(join(dir(), 'opt'), { recursive: true, force: true });
});

test.serial('a self-test that fails brings everything back to containerd', async (t) => {
  const elsewhere = settings((text) => text.replace(/^conf_dir = .*$/m, `conf_dir = "${work}/nowhere"`));
  const { code, stderr } = await podwright('node', 'switch', ...options(), '--release', trees.now, elsewhere);
  t.is(code, 1);
  const { state, transaction } = await status();
  t.is(state, 'walked-back', stderr);
  t.regex(transaction.failure?.message ?? '', /podwright has none: NetworkPluginNotReady/);
  await pods.serveOn('containerd');
  t.deepEqual(processesWith('podwrightd', `${dir()}/`), []);
  t.deepEqual(processesWith('podwright-monitor', `${dir()}/`), []);
  t.false(existsSync(join(dir(), 'state')));
  t.true((await cluster.core.readNode({ name: cluster.where.NODE })).spec?.unschedulable !== true);
});

test.serial('killed in the middle and resumed, all is on podwright and nothing is left on containerd', async (t) => {
  const child = started('node', 'switch', ...options(), '--release', trees.now, settings());
  const ended = new Promise((resolve) => void child.once('exit', resolve));
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await until('it comes to the daemon', () => said.includes('start-daemon') || child.exitCode !== null, movingMs);
  child.kill('SIGKILL');
  await ended;
  t.is((await status()).state, 'interrupted', said);
  const { code, stderr } = await podwright('node', 'resume', `--journal-dir=${dir()}/node`);
  t.is(code, 0, stderr);
  const { state, on } = await status();
  t.is(state, 'done');
  t.like(on, { type: 'podwright', version });
  await pods.serveOn('podwright');
  t.is(await nodeRuntime(), `podwright://${version}`);
  t.deepEqual(processesWith('containerd-shim'), []);
  t.deepEqual(await rulesTo('10.77.'), [], 'no host port leads to a pod of containerd');
  t.true((await cluster.core.readNode({ name: cluster.where.NODE })).spec?.unschedulable !== true);
});

for (const [name, tree, to] of [
  ['an upgrade', 'next', nextVersion],
  ['a rollback', 'now', version],
] as const)
  test.serial(`${name} leaves the pods alone`, async (t) => {
    const before = identity(await pods.readyOn('podwright'));
    const { code, stderr } = await podwright('node', 'switch', ...options(), '--release', trees[tree]);
    t.is(code, 0, stderr);
    t.like((await status()).on, { type: 'podwright', version: to });
    t.is(await nodeRuntime(), `podwright://${to}`);
    const after = identity(await pods.readyOn('podwright'));
    t.deepEqual(after, before, 'the same containers, never restarted');
    const [pod] = await cluster.pods('app=many');
    t.is(await cluster.sh(pod?.metadata?.name ?? '', 'echo $((6 * 7))'), '42', 'that can be entered');
    t.is(await pods.answer(), 'hello');
    const again = await podwright('node', 'switch', ...options(), '--release', trees[tree]);
    t.is(again.code, 0);
    t.is(again.stderr, '', 'once more there is nothing to do');
  });

test.serial('uninstalled, the node is on containerd and nothing is left of podwright', async (t) => {
  const { code, stderr } = await podwright('uninstall', '--purge', `--journal-dir=${dir()}/node`);
  t.is(code, 0, stderr);
  await pods.serveOn('containerd');
  t.regex(await nodeRuntime(), /^containerd:\/\//);
  t.deepEqual(
    processesWith('podwright', `${dir()}/`).filter((line) => /podwrightd|podwright-monitor/.test(line)),
    [],
  );
  t.deepEqual(await rulesTo('10.98.'), []);
  for (const name of ['opt', 'etc-podwright', 'root', 'state', 'node', 'kubelet.d/90-podwright.conf'])
    t.false(existsSync(join(dir(), name)), `${name} is gone`);
});
