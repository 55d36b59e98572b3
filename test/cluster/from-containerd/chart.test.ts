// The Helm chart on a node that starts on containerd: beside it, then below the kubelet, to the next release and back, and
// away again. Brings a cluster of its own up, and takes it down. Needs helm: hack/kubernetes/install.sh all.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { V1Node } from '@kubernetes/client-node';
import test from 'ava';
import { parse as parseToml } from 'smol-toml';
import { version } from '../../../src/config/version.ts';
import type { Journal } from '../../../src/node/journal.ts';
import { Cluster, type Ended, hackCluster, runToEnd } from '../../helpers/cluster.ts';
import { chart, Helm } from '../../helpers/helm.ts';
import { installerImage, type PlainRegistry, pushArchive, startPlainRegistry } from '../../helpers/installer-image.ts';
import { identity, MovingPods, movingMs, rulesTo } from '../../helpers/moving-pods.ts';
import { processesWith } from '../../helpers/processes.ts';
import { nextVersion, otherRelease, releaseTree } from '../../helpers/releases.ts';
import { until } from '../../helpers/until.ts';

const root = join(import.meta.dirname, '../../..');
const work = mkdtempSync('/tmp/pwch-');
const system = 'podwright-system';

let cluster: Cluster;
let pods: MovingPods;
let helm: Helm;
let registry: PlainRegistry;
/** Whether the cluster is this test's own: another's is refused, and left alone. */
let ours = false;
const dir = (): string => cluster.where.DIR;

/** Where the chart puts things on this node; a purge removes only what has podwright in its name. */
const places = () => ({
  prefix: `${dir()}/podwright-opt`,
  configDir: `${dir()}/podwright-etc`,
  journalDir: `${dir()}/podwright-node`,
});

/** helm install or upgrade with the values of this cluster and some more, awaited until all pods are ready. */
function bring(verb: 'install' | 'upgrade', more: object): Promise<Ended> {
  const flags = ['-n', system, '-f', helm.values({ ...values(), ...more }), '--wait', '--timeout', '8m'];
  return helm.run(verb, 'pw', chart, ...flags, ...(verb === 'install' ? ['--create-namespace'] : []));
}

/** `helm test`: every node is as wished. */
const tested = (): Promise<Ended> => helm.run('test', 'pw', '-n', system, '--logs', '--timeout', '3m');

/** Settings of podwrightd for the cluster. */
const config = (): object => ({
  ...parseToml(readFileSync(join(dir(), 'podwright.toml'), 'utf8')),
  root: `${dir()}/podwright-root`,
  state: `${dir()}/podwright-state`,
  metrics: { socket: `${dir()}/podwright-metrics/metrics.sock` },
});

const image = (tag: string): object => ({ image: { repository: `${registry.host}/podwright/installer`, tag } });

const values = (): object => ({
  ...image(version),
  apiServer: { host: cluster.where.NODE_IP, port: 16_443 },
  host: { process: 'kubelet', linkDir: '', ...places() },
  config: config(),
  daemon: { supervisor: 'self' },
  rollout: { minReadySeconds: 1 },
});

/** hack/cluster as the host is told it: the installer's environment is that of its image. */
const hack = (): string => `HOME=${homedir()} PODWRIGHT_CLUSTER_DIR=${dir()} ${root}/hack/cluster`;

/** The kubelet of the cluster, moved. */
const moved = (about: object = {}): object => ({
  kubelet: {
    switch: true,
    restart: 'command',
    stopCommand: `${hack()} pause kubelet`,
    startCommand: `${hack()} resume kubelet`,
    dropIn: `${dir()}/kubelet.d/90-podwright.conf`,
    fromEndpoint: `unix://${cluster.where.RUNTIME_SOCKET.replace(/^unix:\/\//, '')}`,
    kubeconfig: cluster.where.KUBECONFIG,
    timeoutSeconds: 300,
    ...about,
  },
});

const node = (): Promise<V1Node> => cluster.core.readNode({ name: cluster.where.NODE });
const runtimeOf = ({ status }: V1Node): string => status?.nodeInfo?.containerRuntimeVersion ?? '';

/** Labels and annotations of ours. */
const said = ({ metadata }: V1Node): Record<string, string> =>
  Object.fromEntries(
    Object.entries({ ...metadata?.labels, ...metadata?.annotations }).filter(
      ([name]) => name.startsWith('podwright.io/') && name !== 'podwright.io/attempt',
    ),
  );

/** Waits until the node's object says the runtime of a release. */
const runs = (runtime: string): Promise<true> =>
  until(
    `the node is on ${runtime}`,
    async () => {
      if (runtimeOf(await node()) === runtime) return true;
      await new Promise((resolve) => setTimeout(resolve, 500));
      return false;
    },
    movingMs,
  );

/** What the installer said last, for whoever reads of a failure. */
async function lastWords(): Promise<string> {
  const journal = join(places().journalDir, 'journal.json');
  const installer = ['logs', '-n', system, '-l', 'app.kubernetes.io/component=installer', '--tail=30'];
  const args = ['--kubeconfig', cluster.where.KUBECONFIG, ...installer];
  const log = await runToEnd(join(cluster.where.BIN, 'kubectl'), args);
  return `${log.stdout}${log.stderr}${existsSync(journal) ? readFileSync(journal, 'utf8').slice(0, 4000) : ''}`;
}

test.before('a cluster on containerd, the image of two releases, pods', async () => {
  const { stdout } = await runToEnd(join(root, 'hack/cluster'), ['env']);
  registry = await startPlainRegistry(work);
  const trees = { [version]: join(work, 'now'), [nextVersion]: join(work, 'next') };
  await releaseTree(join(work, 'now'));
  otherRelease(join(work, 'now'), join(work, 'next'), { version: nextVersion });
  for (const [tag, tree] of Object.entries(trees)) {
    const name = `${registry.host}/podwright/installer:${tag}`;
    await installerImage(tree, join(work, `${tag}.tar`), name);
    await pushArchive(join(work, `${tag}.tar`), name);
    rmSync(join(work, `${tag}.tar`));
  }
  ours = !existsSync(/^DIR=(.*)$/m.exec(stdout)?.[1] ?? '/');
  await hackCluster('up', '--new', '--runtime', 'containerd');
  cluster = new Cluster();
  helm = new Helm(cluster, work);
  await cluster.open();
  pods = new MovingPods(cluster, 18_474);
  await pods.make();
  await pods.serveOn('containerd');
});

test.after.always('the chart is away, and so is the cluster', async (t) => {
  if (cluster !== undefined && !t.passed) t.log(await lastWords());
  const podwright = join(work, 'now/bin/podwright');
  if (cluster !== undefined && existsSync(places().journalDir))
    for (const verb of [
      ['node', 'resume'],
      ['uninstall', '--purge'],
    ])
      await runToEnd(podwright, [...verb, `--journal-dir=${places().journalDir}`], { timeoutMs: movingMs });
  if (ours) await hackCluster('down');
  await registry?.close();
  rmSync(work, { recursive: true, force: true });
});

test.serial('as shipped the release is brought and tried, and the kubelet stays where it is', async (t) => {
  const before = identity(await pods.readyOn('containerd'));
  const { code, stderr } = await bring('install', {});
  t.is(code, 0, stderr);
  t.deepEqual(said(await node()), { 'podwright.io/release': version, 'podwright.io/status': 'runs without pods' });
  t.regex(runtimeOf(await node()), /^containerd:/);
  t.deepEqual(identity(await pods.readyOn('containerd')), before);
  t.is(processesWith('podwrightd.js', places().prefix).length, 1, 'podwrightd runs beside');
  const { code: ended, stdout, stderr: why } = await tested();
  t.is(ended, 0, stdout + why);
});

test.serial('on request the node is moved, with all its pods', async (t) => {
  const { code, stderr } = await bring('upgrade', moved());
  t.is(code, 0, stderr);
  await pods.serveOn('podwright');
  await until('the node says so', async () => said(await node())['podwright.io/runtime'] === 'podwright', movingMs);
  const now = await node();
  t.deepEqual(said(now), {
    'podwright.io/release': version,
    'podwright.io/runtime': 'podwright',
    'podwright.io/status': 'runs the pods',
  });
  t.not(now.spec?.unschedulable, true);
  const { stdout } = await cluster.kubectl('describe', 'node', cluster.where.NODE);
  t.regex(stdout, new RegExp(`Container Runtime Version: +podwright://${version.replaceAll('.', '\\.')}\n`));
  t.deepEqual(processesWith('containerd-shim'), [], 'no process of the old pods');
  t.deepEqual(await rulesTo('10.77.'), [], 'no host port leads to one of them');
  const pod = await cluster.pod({ runtimeClassName: 'podwright' });
  await cluster.ready(pod);
  const { code: ended, stdout: lines, stderr: why } = await tested();
  t.is(ended, 0, lines + why);
});

test.serial('an upgrade and a rollback leave the pods alone', async (t) => {
  const before = identity(await pods.readyOn('podwright'));
  const up = await bring('upgrade', { ...moved(), ...image(nextVersion) });
  t.is(up.code, 0, up.stderr);
  await runs(`podwright://${nextVersion}`);
  t.is(said(await node())['podwright.io/release'], nextVersion);
  t.deepEqual(identity(await pods.readyOn('podwright')), before, 'the same containers, never restarted');
  const back = await helm.run('rollback', 'pw', '-n', system, '--wait', '--timeout', '5m');
  t.is(back.code, 0, back.stderr);
  await runs(`podwright://${version}`);
  t.is(said(await node())['podwright.io/release'], version);
  t.deepEqual(identity(await pods.readyOn('podwright')), before);
  const [pod] = await cluster.pods('app=many');
  t.is(await cluster.sh(pod?.metadata?.name ?? '', 'echo $((6 * 7))'), '42', 'that can be entered');
  t.is(await pods.answer(), 'hello');
});

test.serial('a command that is mended counts from the upgrade on, and the pods are left alone', async (t) => {
  const before = identity(await pods.readyOn('podwright'));
  const startCommand = `true; ${hack()} resume kubelet`;
  const { code, stderr } = await bring('upgrade', moved({ startCommand }));
  t.is(code, 0, stderr);
  const { data } = JSON.parse(readFileSync(join(places().journalDir, 'journal.json'), 'utf8')) as { data: Journal };
  t.like(data, { kind: 'upgrade', outcome: 'done' });
  t.like(data.settings.kubelet?.control, { start: startCommand }, 'what a revert or an uninstall is going to run');
  t.is(said(await node())['podwright.io/status'], 'runs the pods');
  t.deepEqual(identity(await pods.readyOn('podwright')), before);
});

test.serial('uninstalled, the node is on containerd and nothing is left', async (t) => {
  const { code, stderr } = await helm.run('uninstall', 'pw', '-n', system, '--wait', '--timeout', '8m');
  t.is(code, 0, stderr);
  await pods.serveOn('containerd');
  t.regex(runtimeOf(await node()), /^containerd:/);
  t.deepEqual(said(await node()), {});
  t.deepEqual(processesWith('podwrightd.js', dir()), []);
  t.deepEqual(processesWith('podwright-monitor', dir()), []);
  t.deepEqual(await rulesTo('10.98.'), []);
  t.deepEqual(
    readdirSync(dir()).filter((name) => name.startsWith('podwright-')),
    [],
    'no directory of podwright',
  );
  t.false(existsSync(join(dir(), 'kubelet.d/90-podwright.conf')));
  const kinds = 'all,configmap,lease,serviceaccount,role,rolebinding,clusterrole,clusterrolebinding,runtimeclass';
  const selector = 'app.kubernetes.io/instance=pw';
  // helm waits for the DaemonSets; their pods go after them
  await cluster.until('nothing of the release is left in the API', async () => {
    const { stdout, stderr } = await cluster.kubectl('get', kinds, '-A', '-l', selector, '-o', 'name');
    if (stdout + stderr !== '') throw new Error(stdout + stderr);
    return true;
  });
});
