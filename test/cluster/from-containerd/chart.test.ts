// The Helm chart on a node that starts on containerd: beside it, then below the kubelet, to the next release and back, and
// away again. Brings a cluster of its own up, and takes it down. Needs helm and kubeconform: hack/kubernetes/install.sh all.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { V1Node, V1Pod } from '@kubernetes/client-node';
import test from 'ava';
import { parse as parseToml } from 'smol-toml';
import { version } from '../../../src/config/version.ts';
import {
  Cluster,
  container,
  type Ended,
  hackCluster,
  isReady,
  type Manifest,
  podSpec,
  restartsOf,
  runToEnd,
  scripted,
} from '../../helpers/cluster.ts';
import { installerImage, type PlainRegistry, pushArchive, startPlainRegistry } from '../../helpers/installer-image.ts';
import { processesWith } from '../../helpers/processes.ts';
import { nextVersion, otherRelease, releaseTree } from '../../helpers/releases.ts';
import { until } from '../../helpers/until.ts';

const root = join(import.meta.dirname, '../../..');
const chart = join(root, 'charts/podwright');
const work = mkdtempSync('/tmp/pwch-');
const system = 'podwright-system';
const hostPort = 18_474;
const waitMs = 240_000;

let cluster: Cluster;
let registry: PlainRegistry;
const dir = (): string => cluster.where.DIR;
const program = (name: string): string => join(cluster.where.BIN, name);

/** Runs helm to its end on the cluster. */
function helm(...args: readonly string[]): Promise<Ended> {
  const places = ['KUBECONFIG', 'HELM_CACHE_HOME', 'HELM_CONFIG_HOME', 'HELM_DATA_HOME'];
  const values = [cluster.where.KUBECONFIG, ...['cache', 'config', 'data'].map((name) => join(work, name))];
  return runToEnd('env', [...places.map((name, at) => `${name}=${values[at]}`), program('helm'), ...args], {
    timeoutMs: waitMs * 2,
  });
}

/** helm install or upgrade with the values of this cluster and some more, awaited until all pods are ready. */
function bring(verb: 'install' | 'upgrade', more: object): Promise<Ended> {
  const file = join(work, 'values.json');
  writeFileSync(file, JSON.stringify({ ...values(), ...more }));
  const args = ['pw', chart, '-n', system, '--create-namespace', '-f', file, '--wait', '--timeout', '8m'];
  return helm(verb, ...args.filter((arg) => verb === 'install' || arg !== '--create-namespace'));
}

/** Settings of podwrightd for the cluster. */
const config = (): object => ({
  ...parseToml(readFileSync(join(dir(), 'podwright.toml'), 'utf8')),
  root: `${dir()}/root`,
  state: `${dir()}/state`,
});

const image = (tag: string): object => ({ image: { repository: `${registry.host}/podwright/installer`, tag } });

const values = (): object => ({
  ...image(version),
  apiServer: { host: cluster.where.NODE_IP, port: 16_443 },
  host: {
    process: 'kubelet',
    prefix: `${dir()}/opt`,
    configDir: `${dir()}/etc`,
    journalDir: `${dir()}/node`,
    linkDir: '',
  },
  config: config(),
  daemon: { supervisor: 'self' },
  rollout: { minReadySeconds: 1 },
});

/** The kubelet of the cluster, moved. */
const moved = (): object => ({
  kubelet: {
    switch: true,
    restart: 'command',
    stopCommand: `${root}/hack/cluster pause kubelet`,
    startCommand: `${root}/hack/cluster resume kubelet`,
    dropIn: `${dir()}/kubelet.d/90-podwright.conf`,
    fromEndpoint: `unix://${cluster.where.RUNTIME_SOCKET.replace(/^unix:\/\//, '')}`,
    kubeconfig: cluster.where.KUBECONFIG,
    timeoutSeconds: 300,
  },
});

const deployment = (name: string, replicas: number, spec: Parameters<typeof podSpec>[0]): Manifest => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    replicas,
    strategy: { type: 'Recreate' },
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: podSpec(spec) },
  },
});

/** Pods of the two Deployments once all are Ready, with containers of the runtime. */
const readyOn = (runtime: string): Promise<V1Pod[]> =>
  until(
    `all pods are Ready on ${runtime}`,
    async () => {
      const pods = await cluster.pods('app in (web,many)').catch(() => []);
      const there = pods.filter(
        (pod) => isReady(pod) && pod.status?.containerStatuses?.[0]?.containerID?.startsWith(`${runtime}://`),
      );
      if (pods.length === 3 && there.length === 3) return there;
      await new Promise((resolve) => setTimeout(resolve, 500));
      return null;
    },
    waitMs,
  );

const identity = (pods: readonly V1Pod[]): unknown =>
  pods.map((pod) => [pod.metadata?.name, pod.status?.containerStatuses?.[0]?.containerID, restartsOf(pod)]).sort();

const node = (): Promise<V1Node> => cluster.core.readNode({ name: cluster.where.NODE });
const runtimeOf = ({ status }: V1Node): string => status?.nodeInfo?.containerRuntimeVersion ?? '';

/** Labels and annotations of ours. */
const said = ({ metadata }: V1Node): Record<string, string> =>
  Object.fromEntries(
    Object.entries({ ...metadata?.labels, ...metadata?.annotations }).filter(
      ([name]) => name.startsWith('podwright.io/') && name !== 'podwright.io/attempt',
    ),
  );

const answer = (): Promise<string | null> =>
  fetch(`http://${cluster.where.NODE_IP}:${hostPort}/`, { signal: AbortSignal.timeout(3000) }).then(
    async (response) => (await response.text()).trim(),
    () => null,
  );

const rendered = async (...more: readonly string[]): Promise<string> => {
  writeFileSync(join(work, 'all.json'), JSON.stringify({ ...values(), ...moved() }));
  const { stdout, stderr, code } = await helm(
    'template',
    'pw',
    chart,
    '-n',
    system,
    '-f',
    join(work, 'all.json'),
    ...more,
  );
  if (code !== 0) throw new Error(stderr);
  return stdout;
};

test.before('a cluster on containerd, the image of two releases, pods', async () => {
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
  await hackCluster('up', '--new', '--runtime', 'containerd');
  cluster = new Cluster();
  await cluster.open();
  const ports = [{ containerPort: 8080, hostPort }];
  const serve = 'mkdir -p /tmp/w; echo hello > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w';
  await cluster.make(
    deployment('web', 1, { containers: [scripted(serve, { ports })] }),
    deployment('many', 2, { containers: [container()] }),
  );
  await readyOn('containerd');
});

test.after.always('the chart is away, and so is the cluster', async (t) => {
  if (cluster !== undefined) {
    const podwright = join(dir(), 'opt/current/bin/podwright');
    if (!t.passed && existsSync(join(dir(), 'node')))
      t.log(readFileSync(join(dir(), 'node/journal.json'), 'utf8').slice(0, 4000));
    if (existsSync(podwright))
      await runToEnd(join(work, 'now/bin/podwright'), ['uninstall', '--purge', `--journal-dir=${dir()}/node`], {
        timeoutMs: waitMs,
      });
  }
  await hackCluster('down');
  await registry.close();
  rmSync(work, { recursive: true, force: true });
});

test.serial('helm finds nothing to say, and the API server takes every object', async (t) => {
  const { code, stdout } = await helm('lint', '--strict', chart);
  t.is(code, 0, stdout);
  await cluster.kubectl('create', 'namespace', system);
  const objects = await rendered(
    '--kube-version',
    '1.37.1',
    '--api-versions',
    'admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy',
  );
  const dry = await cluster.kubectlWith(objects, 'apply', '-n', '', '--dry-run=server', '-f', '-');
  t.is(dry.code, 0, dry.stderr);
  t.true(dry.stdout.split('\n').filter((line) => line.endsWith('(server dry run)')).length >= 20, dry.stdout);
});

test.serial('kubeconform finds every object right by the schemas of this API', async (t) => {
  const schemas = join(work, 'schemas');
  mkdirSync(schemas);
  const { stdout: openapi } = await cluster.kubectl('get', '--raw', '/openapi/v2');
  const { definitions } = JSON.parse(openapi.replaceAll('#/definitions/', '_definitions.json#/definitions/')) as {
    definitions: Record<
      string,
      { 'x-kubernetes-group-version-kind'?: { group: string; version: string; kind: string }[] }
    >;
  };
  writeFileSync(join(schemas, '_definitions.json'), JSON.stringify({ definitions }));
  for (const [name, { 'x-kubernetes-group-version-kind': kinds = [] }] of Object.entries(definitions))
    for (const { group, version: number, kind } of kinds.length === 1 ? kinds : []) {
      const file = [kind, ...(group === '' ? [] : [group.split('.')[0]]), number].join('-').toLowerCase();
      writeFileSync(join(schemas, `${file}.json`), JSON.stringify({ $ref: `_definitions.json#/definitions/${name}` }));
    }
  const location = `${schemas}/{{ .ResourceKind }}{{ .KindSuffix }}.json`;
  const { stdout, stderr, code } = await runToEnd(
    program('kubeconform'),
    ['-summary', '-output', 'json', '-schema-location', location],
    { input: await rendered() },
  );
  t.is(code, 0, stdout + stderr);
  t.like(JSON.parse(stdout), { summary: { invalid: 0, errors: 0, skipped: 0 } });
});

test.serial('as shipped the release is brought and tried, and the kubelet stays where it is', async (t) => {
  const before = identity(await readyOn('containerd'));
  const { code, stderr } = await bring('install', {});
  t.is(code, 0, stderr);
  t.deepEqual(said(await node()), { 'podwright.io/release': version, 'podwright.io/status': 'runs without pods' });
  t.regex(runtimeOf(await node()), /^containerd:/);
  t.deepEqual(identity(await readyOn('containerd')), before);
  t.is(processesWith('podwrightd.js', `${dir()}/opt`).length, 1, 'podwrightd runs beside');
  const tested = await helm('test', 'pw', '-n', system, '--logs', '--timeout', '3m');
  t.is(tested.code, 0, tested.stdout + tested.stderr);
});

test.serial('on request the node is moved, with all its pods', async (t) => {
  const { code, stderr } = await bring('upgrade', moved());
  t.is(code, 0, stderr);
  await readyOn('podwright');
  await until('the node says so', async () => said(await node())['podwright.io/runtime'] === 'podwright', waitMs);
  const now = await node();
  t.is(runtimeOf(now), `podwright://${version}`);
  t.deepEqual(said(now), {
    'podwright.io/release': version,
    'podwright.io/runtime': 'podwright',
    'podwright.io/status': 'runs the pods',
  });
  t.not(now.spec?.unschedulable, true);
  await until('the host port answers', async () => (await answer()) === 'hello', waitMs);
  t.deepEqual(processesWith('containerd-shim'), [], 'no process of the old pods');
  const pod = await cluster.pod({ runtimeClassName: 'podwright' });
  await cluster.ready(pod);
  const tested = await helm('test', 'pw', '-n', system, '--logs', '--timeout', '3m');
  t.is(tested.code, 0, tested.stdout + tested.stderr);
});

test.serial('an upgrade and a rollback leave the pods alone', async (t) => {
  const before = identity(await readyOn('podwright'));
  const up = await bring('upgrade', { ...moved(), ...image(nextVersion) });
  t.is(up.code, 0, up.stderr);
  await until('the next release runs', async () => runtimeOf(await node()) === `podwright://${nextVersion}`, waitMs);
  t.is(said(await node())['podwright.io/release'], nextVersion);
  t.deepEqual(identity(await readyOn('podwright')), before, 'the same containers, never restarted');
  const back = await helm('rollback', 'pw', '-n', system, '--wait', '--timeout', '5m');
  t.is(back.code, 0, back.stderr);
  await until('the first release runs', async () => runtimeOf(await node()) === `podwright://${version}`, waitMs);
  t.deepEqual(identity(await readyOn('podwright')), before);
  t.is(await answer(), 'hello');
});

test.serial('uninstalled, the node is on containerd and nothing is left', async (t) => {
  const { code, stderr } = await helm('uninstall', 'pw', '-n', system, '--wait', '--timeout', '8m');
  t.is(code, 0, stderr);
  await readyOn('containerd');
  t.regex(runtimeOf(await node()), /^containerd:/);
  t.deepEqual(said(await node()), {});
  await until('the host port answers', async () => (await answer()) === 'hello', waitMs);
  const gone = (): readonly string[] =>
    ['opt', 'etc', 'root', 'state', 'node', 'kubelet.d/90-podwright.conf'].filter((name) =>
      existsSync(join(dir(), name)),
    );
  await until('the files are gone', () => gone().length === 0, waitMs).catch(() => undefined);
  t.deepEqual(gone(), []);
  t.deepEqual(processesWith('podwrightd.js', `${dir()}/opt`), []);
  t.deepEqual(processesWith('podwright-monitor', dir()), []);
  const left = await cluster.kubectl(
    'get',
    'all,cm,lease,sa',
    '-n',
    system,
    '-l',
    'app.kubernetes.io/instance=pw',
    '-o',
    'name',
  );
  t.is(left.stdout, '');
});
