import test from 'ava';
import { bridgeNetwork, defaultNetwork, rangeSets } from '../../../src/network/bridge/settings.ts';
import { parseNetworkConfig } from '../../../src/network/cni/conflist.ts';

type Plain = Record<string, unknown>;
const ipam = { type: 'host-local', subnet: '10.1.0.0/24', routes: [{ dst: '0.0.0.0/0' }] };
const bridge = { type: 'bridge', bridge: 'cni0', isGateway: true, ipMasq: true, hairpinMode: true, ipam };
const portmap = { type: 'portmap', capabilities: { portMappings: true } };

const read = (plugins: readonly Plain[], podCidr = '') =>
  bridgeNetwork(parseNetworkConfig(JSON.stringify({ cniVersion: '1.0.0', name: 'net', plugins })), podCidr);
const why = (plugins: readonly Plain[], podCidr = ''): string => {
  const answer = read(plugins, podCidr);
  return 'why' in answer ? answer.why : '';
};

test('the usual configuration is carried out', (t) => {
  const answer = read([{ ...bridge, mtu: 1400 }, portmap, { type: 'loopback' }]);
  t.deepEqual('network' in answer && answer.network, {
    name: 'net',
    bridge: 'cni0',
    mtu: 1400,
    hairpin: true,
    isGateway: true,
    defaultRoute: false,
    masquerade: true,
    sets: [[{ subnet: '10.1.0.0/24', rangeStart: null, rangeEnd: null, gateway: null }]],
    routes: [{ destination: '0.0.0.0/0', gateway: null }],
    dataDir: '/var/lib/cni/networks',
    hostPorts: true,
    hostPortSnat: true,
    ownDataDir: false,
    forward: 'last',
  });
});

test("what it does not say has the plugins' defaults", (t) => {
  const answer = read([{ type: 'bridge', ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }]] } }]);
  t.like('network' in answer && answer.network, {
    bridge: 'cni0',
    mtu: 1500,
    hairpin: false,
    isGateway: false,
    masquerade: false,
    hostPorts: false,
    routes: [],
  });
});

test('isDefaultGateway is a gateway with a default route', (t) => {
  const answer = read([{ ...bridge, isGateway: false, isDefaultGateway: true }]);
  t.like('network' in answer && answer.network, { isGateway: true, defaultRoute: true });
});

for (const [reason, plugins] of [
  ['vlan', [{ ...bridge, vlan: 5 }]],
  ['promiscMode', [{ ...bridge, promiscMode: true }]],
  ['flannel', [{ type: 'flannel' }]],
  ['bandwidth', [bridge, { type: 'bandwidth' }]],
  ['dhcp', [{ ...bridge, ipam: { type: 'dhcp' } }]],
  ['resolvConf', [{ ...bridge, ipam: { ...ipam, resolvConf: '/etc/resolv.conf' } }]],
  ['mtu', [{ ...bridge, ipam: { ...ipam, routes: [{ dst: '0.0.0.0/0', mtu: 1400 }] } }]],
  ['conditionsV4', [bridge, { ...portmap, conditionsV4: ['-s', '1.1.1.1'] }]],
  ['capability mac', [{ ...bridge, capabilities: { mac: true } }]],
  ['capability aliases', [bridge, { ...portmap, capabilities: { portMappings: true, aliases: true } }]],
  ['hairpinMode is unusual', [{ ...bridge, hairpinMode: 'yes' }]],
  ['bridge twice', [bridge, bridge]],
  ['portmap comes first', [portmap, bridge]],
  ['portmap.snat is off', [bridge, { ...portmap, snat: false }]],
  ['begins with no bridge', [{ type: 'loopback' }]],
  [
    'several gateways',
    [{ ...bridge, ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }, { subnet: '10.2.0.0/24' }]] } }],
  ],
  [
    'cannot have together',
    [{ ...bridge, ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }], [{ subnet: '10.2.0.0/24' }]] } }],
  ],
  [
    'that the bridge cannot have',
    [{ ...bridge, ipam: { type: 'host-local', ranges: [[{ subnet: 'fd01::/64' }], [{ subnet: 'fd01::/48' }]] } }],
  ],
  ['ipam is not an object', [{ ...bridge, ipam: undefined }]],
  ['no ranges', [{ ...bridge, ipam: { type: 'host-local' } }]],
  ['host bits', [{ ...bridge, ipam: { ...ipam, subnet: '10.1.0.7/24' } }]],
  ['bridge .* is unusual', [{ ...bridge, bridge: 'a b' }]],
  ['pod CIDR', [{ ...bridge, ipam: { ...ipam, subnet: 'usePodCidr' } }]],
] as const) {
  test(`executed, because of ${reason}: ${JSON.stringify(plugins).slice(0, 60)}`, (t) =>
    t.regex(why(plugins as unknown as Plain[]), new RegExp(reason)));
}

test('the pod CIDR stands in where it is asked for', (t) => {
  const subnets = (answer: ReturnType<typeof read>): string[] =>
    'network' in answer ? answer.network.sets.flat().map((range) => range.subnet) : [answer.why];
  t.deepEqual(subnets(read([{ ...bridge, ipam: { ...ipam, subnet: 'usePodCidr' } }], '10.7.0.0/24,fd07::/64')), [
    '10.7.0.0/24',
    'fd07::/64',
  ]);
  t.deepEqual(subnets(read([{ ...bridge, isGateway: false, capabilities: { ipRanges: true } }], '10.7.0.0/24')), [
    '10.7.0.0/24',
    '10.1.0.0/24',
  ]);
  t.deepEqual(subnets(read([bridge], '10.7.0.0/24')), ['10.1.0.0/24']);
});

test('our own network is usable', (t) => {
  const network = defaultNetwork({ bridge: 'podwright0', subnet: '10.224.0.0/16', hostLocalDir: '/d' });
  t.is(rangeSets(network).length, 1);
  t.like(network, { forward: 'first', ownDataDir: true, masquerade: true, hairpin: true });
});
