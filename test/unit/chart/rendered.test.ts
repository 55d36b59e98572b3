// What helm makes of the chart, object by object.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import { parse as parseToml } from 'smol-toml';
import { parseAllDocuments } from 'yaml';
import { flatten, merge } from '../../../src/config/merge.ts';

const chart = join(import.meta.dirname, '../../../charts/podwright');
const kit = execFileSync(join(chart, '../../hack/kubernetes/install.sh'), ['--where'], { encoding: 'utf8' }).trim();
const helm = join(kit, 'helm');
const ready = existsSync(helm) ? test : test.skip;
const why = existsSync(helm) ? '' : ' [skipped: no helm, which hack/kubernetes/install.sh helm builds]';

// oxlint-disable-next-line typescript/no-explicit-any -- documents of the API, of which a test looks at a place or two
type Loose = Record<string, any>;

/** Objects of the chart with some values: `kind/name` with the release's prefix left out. */
function render(values: object = {}, ...flags: string[]): Map<string, Loose> {
  const args = [
    'template',
    'pw',
    chart,
    '-n',
    'system',
    '-f',
    '-',
    '--include-crds',
    '--kube-version',
    '1.37.1',
    ...flags,
  ];
  const text = execFileSync(helm, args, { encoding: 'utf8', input: JSON.stringify(values), stdio: 'pipe' });
  const documents = parseAllDocuments(text).map((one) => one.toJSON() as Loose | null);
  const objects = documents.filter((one) => one !== null);
  return new Map(objects.map((one) => [`${one['kind']}/${one['metadata'].name.replace('pw-podwright-', '')}`, one]));
}

const refusal = (values: object): string => {
  try {
    render(values);
    return '';
  } catch (error) {
    return String((error as { stderr?: unknown }).stderr);
  }
};

const podOf = (objects: Map<string, Loose>, name: string): Loose => objects.get(name)?.['spec'].template.spec as Loose;

ready(`without values: no switch, nothing public, each part apart${why}`, (t) => {
  const objects = render();
  const installer = podOf(objects, 'DaemonSet/installer');
  const [container] = installer['containers'];
  t.false((container.args as string[]).includes('--switch'));
  t.true(container.securityContext.privileged);
  t.true(installer['hostPID']);
  t.is(installer['hostNetwork'], undefined);
  t.is(container.ports, undefined);
  const relay = podOf(objects, 'DaemonSet/metrics');
  t.is(relay['hostPID'], undefined);
  t.is(relay['hostNetwork'], undefined);
  t.deepEqual(relay['containers'][0].securityContext.capabilities, { drop: ['ALL'] });
  t.is(relay['containers'][0].securityContext.privileged, undefined);
  t.deepEqual(
    relay['volumes'].map((one: Loose) => one['hostPath']?.path),
    ['/run/podwright-metrics'],
    'not the directory with the socket of the CRI',
  );
  const strategy = objects.get('DaemonSet/installer')?.['spec'].updateStrategy.rollingUpdate;
  t.deepEqual(strategy, { maxUnavailable: 1, maxSurge: 0 });
  for (const [name, object] of objects)
    for (const one of object['spec']?.template?.spec?.containers ?? [])
      for (const port of one.ports ?? []) t.is(port.hostPort, undefined, name);
});

ready(`roles are no wider than what is done with them${why}`, (t) => {
  const objects = render();
  const rules = (name: string): unknown => objects.get(name)?.['rules'];
  t.deepEqual(rules('ClusterRole/installer'), [{ apiGroups: [''], resources: ['nodes'], verbs: ['get', 'patch'] }]);
  t.deepEqual(rules('Role/installer'), [
    {
      apiGroups: ['coordination.k8s.io'],
      resources: ['leases'],
      resourceNames: ['pw-podwright-turn'],
      verbs: ['get', 'update'],
    },
  ]);
  const lists = (resource: string): unknown => ({ apiGroups: [''], resources: [resource], verbs: ['list'] });
  t.deepEqual(rules('ClusterRole/retire'), [lists('nodes')]);
  t.deepEqual(rules('ClusterRole/test'), [lists('nodes'), { nonResourceURLs: ['/metrics'], verbs: ['get'] }]);
  for (const name of ['retire', 'test']) {
    t.deepEqual(rules(`Role/${name}`), [lists('pods')], 'pods of its own namespace only');
    t.is(objects.get(`Role/${name}`)?.['metadata'].namespace, 'system');
    for (const scope of ['', 'Cluster'])
      t.like(objects.get(`${scope}RoleBinding/${name}`), {
        roleRef: { kind: `${scope}Role`, name: `pw-podwright-${name}` },
        subjects: [{ kind: 'ServiceAccount', name: `pw-podwright-${name}`, namespace: 'system' }],
      });
  }
  for (const [name, object] of objects)
    for (const rule of object['rules'] ?? []) {
      t.false([...(rule.verbs ?? []), ...(rule.resources ?? []), ...(rule.apiGroups ?? [])].includes('*'), name);
    }
  t.false([...render({ rbac: { create: false } }).keys()].some((name) => name.includes('Role')));
});

ready(`every pod is for nodes of Linux, for which the image is${why}`, (t) => {
  const objects = render();
  const specs = [
    ...['DaemonSet/installer', 'DaemonSet/metrics', 'Job/retire'].map((name) => podOf(objects, name)),
    objects.get('Pod/test')?.['spec'] as Loose,
  ];
  for (const spec of specs) t.deepEqual(spec['nodeSelector'], { 'kubernetes.io/os': 'linux' });
  const pods = [...objects].filter(([, { kind, spec }]) => kind === 'Pod' || spec?.template !== undefined);
  t.is(pods.length, specs.length, 'no other pods');
});

ready(`the configuration is TOML that podwrightd takes as it was meant${why}`, (t) => {
  const config = {
    root: '/data/podwright-1',
    own: { monitors_cpus: 0.5, daemon_cpus: 1.5, work_cpus: 2 },
    runtimes: { crun: { path: '/usr/bin/crun', args: ['--a "b"'], writable_layer_limit: '1GiB' } },
    image: { max_ratio: 300, max_layer_bytes: 34359738368, keep_blobs: true, pinned: ['a/*', 'b'] },
    grpc: { drain_timeout: '7s' },
    registry: { auth_files: [] },
  };
  const text = render({ config }).get('ConfigMap/config')?.['data']['config.toml'] as string;
  const read = merge([flatten('helm', parseToml(text))]);
  t.is(read.node.root, '/data/podwright-1');
  t.like(read.own, { monitorsCpus: 0.5, daemonCpus: 1.5, workCpus: 2 });
  t.deepEqual(read.node.runtimes['crun']?.args, ['--a "b"']);
  t.is(read.node.runtimes['crun']?.writableLayerLimit, 2 ** 30);
  t.like(read.image, { maxRatio: 300, maxLayerBytes: 34359738368, keepBlobs: true, pinned: ['a/*', 'b'] });
  t.is(read.grpc.drainTimeoutMs, 7000);
  t.is(read.metrics.socket, '/run/podwright-metrics/metrics.sock');
  const none = render({ metrics: { enabled: false } }).get('ConfigMap/config')?.['data']['config.toml'] as string;
  t.deepEqual(parseToml(none), {});
});

ready(`a change of the configuration rolls the nodes, a change of nothing does not${why}`, (t) => {
  const template = (values: object): unknown => render(values).get('DaemonSet/installer')?.['spec'].template;
  t.deepEqual(template({}), template({}));
  t.notDeepEqual(template({}), template({ config: { log: { level: 'debug' } } }));
});

ready(`RuntimeClasses: ours and one for each handler, for nodes on podwright only${why}`, (t) => {
  const objects = render({ config: { runtimes: { crun: { path: '/usr/bin/crun' } } } });
  for (const [name, handler] of Object.entries({ podwright: 'podwright', crun: 'crun' })) {
    const one = objects.get(`RuntimeClass/${name === 'podwright' ? name : `podwright-${name}`}`);
    t.is(one?.['handler'], handler);
    t.deepEqual(one?.['scheduling'], { nodeSelector: { 'podwright.io/runtime': 'podwright' } });
  }
});

ready(`the switch is told all that the host needs${why}`, (t) => {
  const kubelet = {
    switch: true,
    restart: 'command',
    stopCommand: 'stop "it" $(now)',
    startCommand: 'start',
    dropIn: '/etc/k/90.conf',
    kubeconfig: '/k.conf',
    timeoutSeconds: 90,
  };
  const daemon = { supervisor: 'self' };
  const args = podOf(render({ kubelet, daemon }), 'DaemonSet/installer')['containers'][0].args as string[];
  t.deepEqual(args.slice(0, 2), ['installer', 'run']);
  for (const flag of [
    '--lease=system/pw-podwright-turn',
    '--link-dir=/usr/local/bin',
    '--switch',
    '--purge',
    '--kubelet-restart=command',
    '--kubelet-stop=stop "it" $$(now)', // Kubernetes makes $ of it
    '--kubelet-start=start',
    '--kubelet-drop-in=/etc/k/90.conf',
    '--kubeconfig=/k.conf',
    '--daemon=self',
    '--timeout=90',
    '--grace=120',
  ])
    t.true(args.includes(flag), `${flag} of ${args.join(' ')}`);
  t.false(args.some((flag) => flag.startsWith('--kubelet-unit')));
});

ready(`what cannot work is refused with what to do${why}`, (t) => {
  t.regex(refusal({ kubelet: { switch: true, restart: 'command' } }), /needs kubelet.stopCommand/);
  t.regex(refusal({ daemon: { supervisor: 'command' } }), /needs daemon.stopCommand/);
  t.regex(refusal({ namespace: { create: true } }), /needs a namespace.name other than/);
  t.regex(refusal({ config: { network: { default: 'bridge' } } }), /network\/default|config\.network\.default/);
  t.regex(refusal({ config: { metrics: { address: '0.0.0.0:1' } } }), /address/);
  t.regex(refusal({ config: { nonsense: 1 } }), /nonsense/);
  t.regex(refusal({ kubelt: {} }), /kubelt/);
  const cni = { config: '{}', directory: '/etc/cni/own' };
  t.regex(refusal({ cni }), /put into \/etc\/cni\/own \(cni.directory\), and podwrightd reads \/etc\/cni\/net.d /);
  t.is(refusal({ cni, config: { network: { conf_dir: '/etc/cni/own/' } } }), '');
  t.regex(refusal({ metrics: { serviceMonitor: { serviceAccount: { name: 'x' } } } }), /needs a namespace/);
});

ready(`the pod that serves metrics has a directory of the host in which nothing else lies${why}`, (t) => {
  const mounted = (config: object): string => {
    const relay = podOf(render({ config }), 'DaemonSet/metrics');
    const told = relay['containers'][0].args.find((one: string) => one.startsWith('--metrics-socket='));
    return `${relay['volumes'][0].hostPath.path} ${told}`;
  };
  const usual = '/run/podwright-metrics --metrics-socket=/host/metrics/metrics.sock';
  t.is(mounted({}), usual);
  t.is(mounted({ metrics: { socket: '' } }), usual, 'the default');
  const own = { metrics: { socket: '/run/podwright/metrics/m.sock' } };
  t.is(mounted(own), '/run/podwright/metrics --metrics-socket=/host/metrics/m.sock');
  const metrics = { socket: '/run/podwright/metrics.sock' };
  t.regex(refusal({ config: { metrics } }), /is in \/run\/podwright, which a pod mounts .* own, such as/);
  t.regex(refusal({ config: { metrics: { socket: '/var/run/podwright/m.sock' } } }), /is in \/run\/podwright, /);
  t.regex(
    refusal({ config: { metrics, state: '/run/podwright/podwright-state' } }),
    /and config.s\w+ lies there/,
    'below it',
  );
  t.regex(
    refusal({ config: { metrics: { socket: '/podwright-x/m' }, socket: '/podwright-x/s' } }),
    /and config.socket /,
  );
  t.regex(refusal({ config: { metrics: { socket: '/etc/podwright/m' } } }), /and host.configDir lies there/);
  t.regex(refusal({ config: { metrics: { socket: '/metrics.sock' } } }), /socket/, 'the root of the host');
  for (const [directory, whose] of [
    ['/run/podwright/sockets', 'config.state'],
    ['/run/podwright/metrics/below', 'config.state'],
    ['/var/lib/podwright/images', 'config.root'],
    ['/opt/podwright/releases', 'host.prefix'],
    ['/etc/podwright/conf.d', 'host.configDir'],
    ['/var/lib/podwright-node/podwright', 'host.journalDir'],
  ] as const) {
    const said = refusal({ config: { metrics: { socket: `${directory}/m.sock` } } });
    t.true(said.includes(`is in ${directory}, which a pod mounts`), `${directory}: ${said}`);
    t.regex(said, new RegExp(`podwright's own /[^ ]+ \\(${whose}\\): give it a directory`), directory);
  }
  t.regex(
    refusal({ config: { state: '/data/podwright', metrics: { socket: '/data/podwright/sockets/m' } } }),
    /own \/data\/podwright \(config.state\)/,
  );
  const nri = { socket: '/run/podwright-nri/nri.sock' };
  t.regex(
    refusal({ config: { nri, metrics: { socket: '/var/run/podwright-nri/m' } } }),
    /and config.nri.socket lies there/,
  );
  t.is(mounted({ nri, metrics: { socket: '/run/podwright-nri-not/m' } }).split(' ')[0], '/run/podwright-nri-not');
  t.is(refusal({ config: { metrics }, metrics: { enabled: false } }), '', 'without that pod');
});

ready(`an installer may change, add and remove labels of podwright.io only${why}`, (t) => {
  const objects = render({}, '--api-versions', 'admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy');
  const rules = objects.get('ValidatingAdmissionPolicy/own-node')?.['spec'].validations as { expression: string }[];
  // the part of CEL that they use, as JavaScript
  const about = rules.map(({ expression }) => expression).filter((one) => one.includes('labels'));
  const said = about.map((one) =>
    one
      .replace(/has\(([^)]+)\)/g, '($1 !== undefined)')
      .replace(/([\w.]+)\.all\(key, /g, 'Object.keys($1).every((key) => '),
  );
  const allows = (before: object | undefined, after: object | undefined): boolean =>
    said.every(
      (one) =>
        runInNewContext(one, {
          oldObject: { metadata: { labels: before } },
          object: { metadata: { labels: after } },
        }) === true,
    );
  const ours = { 'podwright.io/release': '1' };
  t.is(said.length, 2);
  t.true(allows({ a: '1' }, { a: '1', ...ours }));
  t.true(allows({ a: '1', ...ours }, { a: '1' }));
  t.true(allows({ a: '1', ...ours }, { a: '1', 'podwright.io/release': '2' }));
  t.true(allows(undefined, ours), 'a node without labels');
  t.true(allows(ours, undefined));
  t.false(allows({ a: '1' }, { a: '2' }));
  t.false(allows({ a: '1' }, { a: '1', b: '1' }));
  t.false(allows({ a: '1', b: '1' }, { a: '1' }), 'one of others is removed');
  t.false(allows({ a: '1' }, undefined));
  t.false(allows(undefined, { a: '1' }));
});

ready(`options: monitor, policy, namespace, digest, API server, CNI, no restore${why}`, (t) => {
  t.is(render().get('ServiceMonitor/metrics'), undefined, 'no such kind in the cluster');
  const monitored = render({}, '--api-versions', 'monitoring.coreos.com/v1/ServiceMonitor').get(
    'ServiceMonitor/metrics',
  );
  t.is(monitored?.['spec'].endpoints[0].scheme, 'https');
  t.deepEqual(monitored?.['spec'].selector.matchLabels, render().get('Service/metrics')?.['spec'].selector);
  t.not(render({}, '--api-versions', 'admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy').size, render().size);
  const made = render({ namespace: { create: true, name: 'pw-system' } });
  const labels = made.get('Namespace/pw-system')?.['metadata'].labels as Loose;
  t.is(labels['pod-security.kubernetes.io/enforce'], 'privileged');
  t.is(made.get('DaemonSet/installer')?.['metadata'].namespace, 'pw-system');
  const digest = `sha256:${'0'.repeat(64)}`;
  t.is(
    podOf(render({ image: { repository: 'r/i', digest } }), 'DaemonSet/installer')['containers'][0].image,
    `r/i@${digest}`,
  );
  const reached = podOf(render({ apiServer: { host: '10.0.0.1', port: 6443 } }), 'DaemonSet/metrics');
  t.deepEqual(reached['containers'][0].env, [
    { name: 'KUBERNETES_SERVICE_HOST', value: '10.0.0.1' },
    { name: 'KUBERNETES_SERVICE_PORT', value: '6443' },
  ]);
  const cni = render({ cni: { config: '{"cniVersion": "1.0.0"}\n' } });
  t.is(cni.get('ConfigMap/config')?.['data']['cni.conflist'].trim(), '{"cniVersion": "1.0.0"}');
  t.true(podOf(cni, 'DaemonSet/installer')['volumes'].some((one: Loose) => one['hostPath']?.path === '/etc/cni/net.d'));
  t.false([...render({ uninstall: { restore: false } }).keys()].some((name) => name.endsWith('/retire')));
});

ready(`the dashboard is the file, under the label of the sidecar${why}`, (t) => {
  const map = render().get('ConfigMap/dashboard');
  t.is(map?.['metadata'].labels['grafana_dashboard'], '1');
  t.is((JSON.parse(map?.['data']['podwright.json']) as { uid: string }).uid, 'podwright');
});
