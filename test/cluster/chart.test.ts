// What helm makes of the chart, by the word of the API server and of kubeconform. Needs both programs: hack/kubernetes/install.sh all.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parseAllDocuments } from 'yaml';
import { type Ended, runToEnd, useCluster } from '../helpers/cluster.ts';
import { chart, Helm } from '../helpers/helm.ts';
import { type OpenApi, writeSchemas } from '../helpers/kube-schemas.ts';

const cluster = useCluster(test);
const work = mkdtempSync('/tmp/pwchart-');
const helm = new Helm(cluster, work);
const namespaces = ['pwchart-release', 'pwchart-own'] as const;
const [system, own] = namespaces;
const kubectl = (input: string, ...args: readonly string[]): Promise<Ended> =>
  runToEnd(join(cluster.where.BIN, 'kubectl'), ['--kubeconfig', cluster.where.KUBECONFIG, ...args], { input });

/** The kinds of others that the chart makes objects of, with the fields that it may fill. */
const serviceMonitors = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'servicemonitors.monitoring.coreos.com' },
  spec: {
    group: 'monitoring.coreos.com',
    scope: 'Namespaced',
    names: { kind: 'ServiceMonitor', plural: 'servicemonitors', singular: 'servicemonitor' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            required: ['spec'],
            properties: {
              spec: {
                type: 'object',
                required: ['endpoints', 'selector'],
                properties: {
                  namespaceSelector: {
                    type: 'object',
                    properties: { matchNames: { type: 'array', items: { type: 'string' } } },
                  },
                  selector: {
                    type: 'object',
                    properties: { matchLabels: { type: 'object', additionalProperties: { type: 'string' } } },
                  },
                  endpoints: {
                    type: 'array',
                    items: {
                      type: 'object',
                      properties: {
                        port: { type: 'string' },
                        path: { type: 'string' },
                        scheme: { type: 'string', enum: ['http', 'https'] },
                        interval: { type: 'string' },
                        scrapeTimeout: { type: 'string' },
                        bearerTokenFile: { type: 'string' },
                        tlsConfig: {
                          type: 'object',
                          properties: {
                            insecureSkipVerify: { type: 'boolean' },
                            serverName: { type: 'string' },
                            ca: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
                          },
                        },
                        relabelings: {
                          type: 'array',
                          items: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
                        },
                      },
                    },
                  },
                },
              },
            },
          },
        },
      },
    ],
  },
};

const conflist = JSON.stringify({ cniVersion: '1.0.0', name: 'podwright', plugins: [{ type: 'bridge' }] });

/** Values that differ in what they make, by name. */
const sets: Readonly<Record<string, object>> = {
  'without values': {},
  'with the kubelet moved by systemd': { kubelet: { switch: true, config: '/var/lib/kubelet/config.yaml' } },
  'with the kubelet moved by commands': {
    kubelet: { switch: true, restart: 'command', stopCommand: 'stop $(cat pid)', startCommand: 'start' },
    daemon: { supervisor: 'command', stopCommand: 'stop it', startCommand: 'start it' },
    apiServer: { host: '10.0.0.1', port: 6443 },
    host: { process: 'kubelet' },
  },
  'with everything on': {
    fullnameOverride: 'podwright-everything',
    commonLabels: { team: 'nodes' },
    image: { digest: `sha256:${'a'.repeat(64)}`, pullPolicy: 'Always' },
    imagePullSecrets: [{ name: 'pull' }],
    namespace: { create: true, name: own },
    apiServer: { host: 'api.example', port: 6443 },
    config: { log: { level: 'debug' }, runtimes: { gvisor: { path: '/usr/local/bin/runsc' } } },
    kubelet: { switch: true, dropIn: '/etc/kubernetes/kubelet.conf.d/90-podwright.conf' },
    rollout: { maxUnavailable: '25%', minReadySeconds: 30 },
    installer: {
      podAnnotations: { note: 'one' },
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchExpressions: [{ key: 'pool', operator: 'In', values: ['a'] }] }],
          },
        },
      },
    },
    cni: { config: conflist },
    metrics: {
      tls: { secretName: 'served' },
      serviceMonitor: {
        enabled: true,
        labels: { release: 'prometheus' },
        serviceAccount: { name: 'prometheus', namespace: 'monitoring' },
      },
    },
    dashboard: { annotations: { 'k8s-sidecar-target-directory': 'Nodes' } },
  },
  'with everything off': {
    kubelet: { switch: false },
    uninstall: { restore: false, purge: false },
    runtimeClasses: { create: false },
    rbac: { create: false },
    metrics: { enabled: false },
    dashboard: { enabled: false },
    installer: { nodeSelector: {}, tolerations: [], priorityClassName: '' },
  },
};

/** How many objects each set is of at least: one that makes nothing is right by every schema. */
const fewest: Readonly<Record<string, number>> = { 'with everything off': 6 };

const apis = ['admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy', 'monitoring.coreos.com/v1/ServiceMonitor'];
const rendered = (values: object): Promise<string> =>
  helm.template(system, values, '--kube-version', '1.37.1', ...apis.flatMap((api) => ['--api-versions', api]));

interface Rendered {
  readonly kind: string;
  readonly metadata: { readonly namespace?: string };
  readonly spec?: { readonly serviceAccountName?: string };
}

const objects = (text: string): readonly Rendered[] =>
  parseAllDocuments(text)
    .map((one) => one.toJSON() as Rendered | null)
    .filter((one) => one !== null);
const kinds = (text: string): readonly string[] => objects(text).map(({ kind }) => kind);

/** Makes the service accounts of pods: a dry run makes none, helm makes those of its hooks one after the other. */
async function makeAccounts(text: string): Promise<void> {
  for (const { kind, metadata, spec } of objects(text)) {
    const name = spec?.serviceAccountName;
    if (kind !== 'Pod' || name === undefined) continue;
    await cluster.core
      .createNamespacedServiceAccount({ namespace: metadata.namespace ?? '', body: { metadata: { name } } })
      .catch((error: { code?: number }) => {
        if (error.code !== 409) throw error; // of the set before
      });
  }
}

/** Where kubeconform finds its schemas. */
let location = '';
const conforms = (text: string): Promise<Ended> =>
  runToEnd(
    join(cluster.where.BIN, 'kubeconform'),
    ['-strict', '-summary', '-output', 'json', '-schema-location', location],
    { input: text },
  );

/** A document that the API server serves, such as /openapi/v3. */
async function raw<T>(path: string): Promise<T> {
  const { stdout, stderr, code } = await kubectl('', 'get', '--raw', path);
  if (code !== 0) throw new Error(`${path}: ${stderr}`);
  return JSON.parse(stdout) as T;
}

test.before('namespaces, the kind of Prometheus, and schemas of this API', async () => {
  for (const name of namespaces) await cluster.core.createNamespace({ body: { metadata: { name } } });
  const { code, stderr } = await kubectl(JSON.stringify(serviceMonitors), 'create', '-f', '-');
  if (code !== 0) throw new Error(stderr);
  const group = 'apis/monitoring.coreos.com/v1';
  const { paths } = await cluster.until('the API tells of the kind of Prometheus', async () => {
    const found = await raw<{ paths: Readonly<Record<string, { serverRelativeURL: string }>> }>('/openapi/v3');
    return group in found.paths ? found : null;
  });
  const used = Object.keys(paths).filter((path) => /^(api\/v1|apis\/[^/]+\/v1)$/.test(path));
  const documents: OpenApi[] = [];
  for (const path of used) documents.push(await raw<OpenApi>(paths[path]?.serverRelativeURL ?? ''));
  const dir = join(work, 'schemas');
  mkdirSync(dir);
  location = writeSchemas(dir, documents);
});

test.after.always('namespaces and the kind are gone', async () => {
  await kubectl('', 'delete', 'crd', serviceMonitors.metadata.name, '--ignore-not-found', '--timeout=60s');
  await kubectl('', 'delete', 'namespace', ...namespaces, '--ignore-not-found', '--timeout=60s');
  rmSync(work, { recursive: true, force: true });
});

test.serial('helm lint has nothing to say', async (t) => {
  for (const [name, values] of Object.entries(sets)) {
    const { code, stdout } = await helm.run('lint', '--strict', chart, '-n', system, '-f', helm.values(values));
    t.is(code, 0, `${name}: ${stdout}`);
    t.notRegex(stdout, /\[(WARNING|ERROR)\]/, name);
  }
});

for (const [name, values] of Object.entries(sets)) {
  test.serial(`${name}: the API server takes every object`, async (t) => {
    const text = await rendered(values);
    const count = kinds(text).length;
    t.true(count >= (fewest[name] ?? 20), `${count} objects`);
    await makeAccounts(text);
    const { code, stdout, stderr } = await kubectl(text, 'apply', '--dry-run=server', '--validate=strict', '-f', '-');
    t.is(code, 0, stderr);
    t.is(
      stdout
        .trim()
        .split('\n')
        .filter((line) => line.endsWith('(server dry run)')).length,
      count,
      stdout,
    );
  });

  test.serial(`${name}: kubeconform finds every object right by the schemas of this API`, async (t) => {
    const text = await rendered(values);
    const { stdout, stderr, code } = await conforms(text);
    t.is(code, 0, stdout + stderr);
    t.like(JSON.parse(stdout), { summary: { valid: kinds(text).length, invalid: 0, errors: 0, skipped: 0 } });
  });
}

test.serial('what is wrong would be found: an unknown field, a wrong type, a kind that is not there', async (t) => {
  const wrong = [
    {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: 'a' },
      spec: { selector: {}, template: {}, pace: 1 },
    },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'b' }, data: { port: 1 } },
    { apiVersion: 'monitoring.coreos.com/v1', kind: 'ServiceMonitor', metadata: { name: 'c' }, spec: {} },
    { apiVersion: 'v1', kind: 'Confmap', metadata: { name: 'd' } },
  ];
  const { stdout, code } = await conforms(wrong.map((one) => `${JSON.stringify(one)}\n`).join('---\n'));
  t.is(code, 1);
  t.like(JSON.parse(stdout), { summary: { valid: 0, invalid: 3, errors: 1 } }, stdout);
});

test.serial('the installer finds by itself that the cluster has a Prometheus', async (t) => {
  const dry = ['--dry-run=server', '-o', 'json', '-f', helm.values({})];
  const { stdout, stderr, code } = await helm.run('install', 'pw', chart, '-n', system, ...dry);
  t.is(code, 0, stderr);
  const { manifest } = JSON.parse(stdout) as { manifest: string };
  t.true(kinds(manifest).includes('ServiceMonitor'));
  t.true(kinds(manifest).includes('ValidatingAdmissionPolicy'));
});
