// What the API server is told, by the leave that docs/kubernetes.md gives and no more.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Cluster, hackCluster, scripted } from '../helpers/cluster.ts';

const cluster = new Cluster();
const { DIR, NODE } = cluster.where;
const own = join(DIR, 'kube-test');
const dropIn = join(DIR, 'conf.d', '50-kubernetes.toml');
const account = 'podwright-node';

/** Runs kubectl; its output. */
async function kubectl(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await cluster.kubectl(...args);
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** The rules of docs/kubernetes.md. */
const rules = (): string => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/kubernetes.md'), 'utf8');
  const found = /```yaml\n(apiVersion: rbac[^`]*)```/.exec(page)?.[1];
  if (found === undefined) throw new Error('docs/kubernetes.md has no rules');
  return found;
};

/** A kubeconfig of a service account that has them. */
async function writeAccess(): Promise<void> {
  mkdirSync(own, { recursive: true });
  writeFileSync(join(own, 'rules.yaml'), rules());
  await kubectl('apply', '-f', join(own, 'rules.yaml'));
  await kubectl('create', 'serviceaccount', account);
  const subject = `--serviceaccount=${cluster.namespace}:${account}`;
  await kubectl('create', 'clusterrolebinding', account, `--clusterrole=${account}`, subject);
  writeFileSync(join(own, 'token'), await kubectl('create', 'token', account));
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'c',
    clusters: [
      {
        name: 'k',
        cluster: {
          server: await kubectl('config', 'view', '-o', 'jsonpath={.clusters[0].cluster.server}'),
          'certificate-authority': join(DIR, 'pki/ca.crt'),
        },
      },
    ],
    users: [{ name: 'u', user: { tokenFile: 'token' } }],
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
  };
  writeFileSync(join(own, 'kubeconfig'), JSON.stringify(config));
}

test.before('podwright is given leave', async () => {
  await cluster.open();
  await writeAccess();
  mkdirSync(join(DIR, 'conf.d'), { recursive: true });
  const settings = { kubeconfig: join(own, 'kubeconfig'), node_name: NODE };
  const lines = Object.entries(settings).map(([key, value]) => `${key} = "${value}"\n`);
  writeFileSync(dropIn, `[kubernetes]\n${lines.join('')}runtime_classes = true\n`);
  await hackCluster('restart', 'runtime');
});
test.after.always('it tells nothing any more', async () => {
  rmSync(dropIn, { force: true });
  await hackCluster('restart', 'runtime');
  await cluster.kubectl('delete', 'runtimeclass', '-l', 'app.kubernetes.io/managed-by=podwright');
  await cluster.kubectl('delete', 'clusterrolebinding,clusterrole', account);
  rmSync(own, { recursive: true, force: true });
  await cluster.close();
});

test.serial('kubectl describe node has the condition', async (t) => {
  await kubectl('wait', '--for=condition=PodwrightHealthy', `node/${NODE}`, '--timeout=90s');
  t.regex(
    await kubectl('describe', 'node', NODE),
    /PodwrightHealthy +True .* Healthy +podwright [\d.]+\S*: nothing is wrong/,
  );
});

test.serial('a handler has its class, and a pod of that class runs here', async (t) => {
  await cluster.until('the class is there', () => kubectl('get', 'runtimeclass', 'podwright'));
  const name = await cluster.readyPod({ runtimeClassName: 'podwright' });
  const pod = await cluster.read(name);
  t.is(pod.spec?.nodeName, NODE);
  t.is(pod.spec?.nodeSelector?.['podwright.handler.podwright'], 'true');
});

test.serial('kubectl describe pod has an OOM kill with limits and usage', async (t) => {
  const limited = { resources: { limits: { memory: '24Mi' } } };
  const name = await cluster.pod({ restartPolicy: 'Never', containers: [scripted('exec tail /dev/zero', limited)] });
  const text = await cluster.until('the event is there', async () => {
    const described = await kubectl('describe', 'pod', name);
    return /OOMKilling.*/.exec(described)?.[0];
  });
  // a pod of one container has the same limit as that: either is met first
  t.regex(text, /main was OOM killed: (its own limit|the limit of its pod) of 25165824 bytes was reached/);
  t.regex(text, /the container uses .* may use 24Mi/);
  t.regex(text, /its pod uses/);
});

test.serial('kubectl describe pod has the host of a pull that failed', async (t) => {
  const name = await cluster.pod({ containers: [{ name: 'main', image: '127.0.0.1:1/no/such:1' }] });
  const text = await cluster.until('the event is there', async () => {
    const described = await kubectl('describe', 'pod', name);
    return /ImagePullFailed.*/.exec(described)?.[0];
  });
  t.regex(text, /podwrightd.*could not pull image 127\.0\.0\.1:1\/no\/such:1 from 127\.0\.0\.1:1: .*no connection/);
});
