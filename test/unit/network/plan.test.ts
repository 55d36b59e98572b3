import test from 'ava';
import {
  attachPlan,
  bridgePlan,
  chainsOf,
  checkPortMappings,
  hostInterfaceOf,
  hostPortsEverPlan,
  hostPortsPlan,
  rulesPlan,
  sandboxOfAlias,
  subnetsOfNetwork,
} from '../../../src/network/bridge/plan.ts';
import { defaultNetwork, type BridgeNetwork } from '../../../src/network/bridge/settings.ts';

const id = '0123456789abcdef'.repeat(4);
const range = (subnet: string) => ({ subnet, rangeStart: null, rangeEnd: null, gateway: null });
const own = defaultNetwork({ bridge: 'podwright0', subnet: '10.224.0.0/16', hostLocalDir: '/d' });
const dual: BridgeNetwork = { ...own, bridge: 'cni0', sets: [[range('10.1.0.0/24')], [range('fd01::/64')]] };
const pod = { sandboxId: id, netns: '/run/netns/x' };

test('names fit the kernel and differ between bridges', (t) => {
  t.is(hostInterfaceOf(id), 'pw0123456789abc');
  t.is(chainsOf('podwright0'), 'PODWRIGHT');
  t.is(chainsOf('cni0'), 'PW-cni0');
  t.is(chainsOf('thirteenchars'), 'PW-thirteenchars');
  const long = [chainsOf('fifteencharsxy1'), chainsOf('fifteencharsxy2')];
  t.true(long.every((name) => name.length <= 16));
  t.not(long[0], long[1]);
  t.is(sandboxOfAlias(`podwright:${id}`), id);
  t.is(sandboxOfAlias('eth0'), null);
});

test('a pod on our own bridge is one call', (t) => {
  t.deepEqual(attachPlan(own, pod, { addresses: ['10.224.3.4'], mtu: 1400 }), {
    netns: '/run/netns/x',
    hostInterface: 'pw0123456789abc',
    podInterface: 'eth0',
    bridge: 'podwright0',
    alias: `podwright:${id}`,
    mtu: 1400,
    mac: '0a:58:0a:e0:03:04',
    addresses: ['10.224.3.4/16'],
    routes: [{ destination: '0.0.0.0/0', gateway: '10.224.0.1' }],
    hairpin: true,
  });
});

test('a dual-stack pod has both default routes; routes of a configuration come first', (t) => {
  const addresses = ['10.1.0.5', 'fd01::5'];
  t.deepEqual(attachPlan(dual, pod, { addresses, mtu: 1500 }).routes, [
    { destination: '0.0.0.0/0', gateway: '10.1.0.1' },
    { destination: '::/0', gateway: 'fd01::1' },
  ]);
  const routes = [
    { destination: '0.0.0.0/0', gateway: '10.1.0.9' },
    { destination: '192.0.2.0/24', gateway: null },
  ];
  t.deepEqual(attachPlan({ ...dual, routes }, pod, { addresses, mtu: 1500 }).routes, [
    { destination: '0.0.0.0/0', gateway: '10.1.0.9' },
    { destination: '192.0.2.0/24', gateway: '10.1.0.1' },
    { destination: '::/0', gateway: 'fd01::1' },
  ]);
  t.deepEqual(attachPlan({ ...dual, defaultRoute: false }, pod, { addresses, mtu: 1500 }).routes, []);
});

test('an address from nowhere is refused', (t) => {
  t.throws(() => attachPlan(own, pod, { addresses: ['10.1.0.5'], mtu: 1500 }), { message: /in no range/ });
});

test('the bridge has every gateway once, and no address when it is none', (t) => {
  t.deepEqual(bridgePlan(dual, 1400), {
    bridge: 'cni0',
    alias: 'podwright',
    mtu: 1400,
    mac: '0a:58:0a:01:00:01',
    gateways: ['10.1.0.1/24', 'fd01::1/64'],
    forwarding: true,
  });
  t.like(bridgePlan({ ...dual, isGateway: false }, 1400), { gateways: [], forwarding: false });
  t.deepEqual(rulesPlan(dual, subnetsOfNetwork(dual)), {
    chains: 'PW-cni0',
    bridge: 'cni0',
    subnets: [
      { subnet: '10.1.0.0/24', masquerade: true },
      { subnet: 'fd01::/64', masquerade: true },
    ],
    forward: 'first',
  });
});

test('host ports are deleted as earlier releases may have made them: an unspecified address in both families', (t) => {
  const mapping = { protocol: 'tcp', containerPort: 80, hostPort: 8080 } as const;
  const ports = (...hostIps: string[]) => {
    const mappings = hostIps.map((hostIp) => ({ ...mapping, hostIp }));
    return hostPortsEverPlan(dual, mappings, ['10.1.0.5', 'fd01::5']).map(({ podIp, hostIp }) => [podIp, hostIp]);
  };
  const both = [
    ['10.1.0.5', null],
    ['fd01::5', null],
  ];
  for (const one of ['', '0.0.0.0', '::']) t.deepEqual(ports(one), both, one);
  t.deepEqual(ports('0.0.0.0', '::'), both, 'each once');
  t.deepEqual(ports('127.0.0.1'), [['10.1.0.5', '127.0.0.1']]);
});

test('host ports: once for each address they apply to', (t) => {
  const mapping = { protocol: 'tcp', containerPort: 80, hostPort: 8080, hostIp: '' } as const;
  const ports = (hostIp: string, network = dual) =>
    hostPortsPlan(network, [{ ...mapping, hostIp }], ['10.1.0.5', 'fd01::5']).map((port) => [
      port.podIp,
      port.hostIp,
      port.masqueradeFrom,
    ]);
  const both = [
    ['10.1.0.5', null, '10.1.0.0/24'],
    ['fd01::5', null, 'fd01::/64'],
  ];
  t.deepEqual(ports(''), both);
  t.deepEqual(ports('0.0.0.0'), [both[0]], 'all addresses of its family, as portmap has it');
  t.deepEqual(ports('::'), [both[1]]);
  t.deepEqual(ports('127.0.0.1'), [['10.1.0.5', '127.0.0.1', '10.1.0.0/24']]);
  t.deepEqual(ports('fd00::9'), [['fd01::5', 'fd00::9', 'fd01::/64']]);
  t.deepEqual(ports('127.0.0.1', { ...dual, hostPortSnat: false }), [['10.1.0.5', '127.0.0.1', null]]);
  t.deepEqual(ports('', { ...dual, hostPorts: false }), []);
  t.deepEqual(hostPortsPlan(dual, [{ ...mapping, hostPort: 0 }], ['10.1.0.5', 'fd01::5']), []);
  t.throws(() => checkPortMappings([{ ...mapping, hostIp: 'localhost' }]), {
    message: /port_mappings.host_ip "localhost"/,
  });
});
