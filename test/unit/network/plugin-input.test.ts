import test from 'ava';
import { parseNetworkConfig } from '../../../src/network/cni/conflist.ts';
import { pluginEnvironment, pluginInput, runtimeConfig, runtimeOf } from '../../../src/network/cni/plugin-input.ts';
import { attachmentOf, parsePluginError, parseResult } from '../../../src/network/cni/result.ts';

const pod = {
  sandboxId: 'abc',
  podName: 'web',
  podNamespace: 'shop',
  podUid: 'u-1',
  portMappings: [
    { protocol: 'tcp', containerPort: 80, hostPort: 8080, hostIp: '10.0.0.1' },
    { protocol: 'udp', containerPort: 53, hostPort: 0, hostIp: '' },
  ],
  dns: { servers: ['10.96.0.10'], searches: ['svc'], options: [] },
  annotations: { 'kubernetes.io/ingress-bandwidth': '10M', 'kubernetes.io/egress-bandwidth': '1Gi', other: 'x' },
  cgroupParent: '/kubepods/pod1',
} as const;

const config = (capabilities: Record<string, boolean>) =>
  parseNetworkConfig(
    JSON.stringify({ cniVersion: '1.0.0', name: 'net', plugins: [{ type: 'x', extra: 1, capabilities }] }),
  );
const given = (name: string, more: Partial<typeof pod> & Record<string, unknown> = {}, podCidr = ''): unknown => {
  const { plugins } = config({ [name]: true });
  return runtimeConfig(plugins[0]!, runtimeOf({ ...pod, ...more }, podCidr))?.[name];
};

test("the environment is the specification's", (t) => {
  t.deepEqual(pluginEnvironment('ADD', runtimeOf(pod, ''), { netns: '/n', binDirs: ['/a', '/b'] }), {
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'abc',
    CNI_NETNS: '/n',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=u-1',
    CNI_PATH: '/a:/b',
  });
});

test('capabilities are given to who declares them', (t) => {
  t.deepEqual(given('portMappings'), [{ protocol: 'tcp', containerPort: 80, hostPort: 8080, hostIP: '10.0.0.1' }]);
  t.deepEqual(given('dns'), pod.dns);
  t.deepEqual(given('bandwidth'), {
    ingressRate: 10_000_000,
    ingressBurst: 4294967295,
    egressRate: 1073741824,
    egressBurst: 4294967295,
  });
  t.is(given('cgroupPath'), '/kubepods/pod1');
  t.deepEqual(given('io.kubernetes.cri.pod-annotations'), pod.annotations);
  t.deepEqual(given('ipRanges', {}, '10.7.0.0/24,fd07::/64'), [[{ subnet: '10.7.0.0/24' }], [{ subnet: 'fd07::/64' }]]);
  t.is(given('ipRanges'), undefined);
  t.is(given('portMappings', { portMappings: [] as never }), undefined);
  t.is(runtimeConfig(config({ portMappings: false }).plugins[0]!, runtimeOf(pod, '')), null);
  t.deepEqual(given('aliases'), ['web']);
  t.is(given('mac'), undefined);
  const asks = {
    'podwright.io/mac-address': '0A:58:0a:00:00:07',
    'podwright.io/ip-addresses': '10.7.0.9/24, fd07::9',
  };
  t.is(given('mac', { annotations: asks as never }), '0a:58:0a:00:00:07');
  t.deepEqual(given('ips', { annotations: asks as never }), ['10.7.0.9/24', 'fd07::9']);
});

for (const rate of ['', 'fast', '10', '-5M', '1000P', '1e30']) {
  test(`${JSON.stringify(rate)} is no bandwidth`, (t) => {
    t.throws(() => given('bandwidth', { annotations: { 'kubernetes.io/ingress-bandwidth': rate } as never }), {
      message: /annotation kubernetes.io\/ingress-bandwidth/,
    });
  });
}

for (const [annotation, text] of [
  ['mac-address', '01:58:0a:00:00:07'],
  ['mac-address', '0a:58:0a:00:00'],
  ['ip-addresses', '10.7.0.9,'],
  ['ip-addresses', '10.7.0.300'],
] as const) {
  test(`${text} is refused as ${annotation}`, (t) =>
    t.throws(() => runtimeOf({ ...pod, annotations: { [`podwright.io/${annotation}`]: text } }, ''), {
      message: new RegExp(`annotation podwright.io/${annotation}`),
    }));
}

test("the configuration keeps foreign keys and gets the chain's", (t) => {
  const made = config({});
  const input = (previous: unknown, runtime: Record<string, unknown> | null = null): unknown =>
    JSON.parse(pluginInput(made, made.plugins[0]!, { runtimeConfig: runtime, previous }));
  t.deepEqual(input(null), { type: 'x', extra: 1, capabilities: {}, name: 'net', cniVersion: '1.0.0' });
  t.like(input({ ips: [] }, { dns: {} }), { prevResult: { ips: [] }, runtimeConfig: { dns: {} } });
});

test("results give the pod's addresses in their order", (t) => {
  const result = {
    cniVersion: '1.0.0',
    interfaces: [{ name: 'cni0' }, { name: 'veth1' }, { name: 'eth0', sandbox: '/n' }],
    ips: [
      { address: '10.0.0.5/24', interface: 2 },
      { address: '10.0.0.1/24', interface: 0 },
      { address: 'FD00::5/64' },
      { address: 'nonsense' },
    ],
  };
  t.deepEqual(attachmentOf(result, 'eth0'), { ips: ['10.0.0.5', 'fd00::5'], interface: 'eth0', hostInterface: null });
  for (const odd of [null, {}, { ips: 'x' }, { ips: [null, 7] }]) t.deepEqual(attachmentOf(odd, 'eth0').ips, []);
  // what a second interface of the pod has is not the pod's address, unless it is all there is
  const second = {
    interfaces: [
      { name: 'eth0', sandbox: '/n' },
      { name: 'net1', sandbox: '/n' },
    ],
  };
  const net1 = { address: '10.5.0.5/24', interface: 1 };
  const both = { ...second, ips: [net1, { address: '10.0.0.5/24', interface: 0 }] };
  t.deepEqual(attachmentOf(both, 'eth0').ips, ['10.0.0.5']);
  t.deepEqual(attachmentOf({ ...second, ips: [net1] }, 'eth0').ips, ['10.5.0.5']);
});

test('output is a result, an error, or passed on', (t) => {
  t.deepEqual(parseResult('  \n', { a: 1 }), { a: 1 });
  t.deepEqual(parseResult('{"b":2}', { a: 1 }), { b: 2 });
  t.throws(() => parseResult('oops', null), { message: /not a JSON object: oops/ });
  t.deepEqual(parsePluginError('{"code":11,"msg":"later","details":"x"}'), { code: 11, msg: 'later', details: 'x' });
  t.deepEqual(parsePluginError('{"msg":"odd"}'), { code: 0, msg: 'odd', details: '' });
  t.is(parsePluginError('{"ips":[]}'), null);
  t.is(parsePluginError('text'), null);
});
