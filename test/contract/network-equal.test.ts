// One configuration carried out by its plugins and by us: two hosts that are alike, one of which executes the
// plugins because of a key that says nothing. What pods get, what hosts have and where traffic goes is the same.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { AttachRequest } from '../../src/network/network.ts';
import {
  askOnce,
  askUdpOnce,
  cannotRun,
  outside,
  serve,
  serveUdp,
  startHost,
  type Host,
  type Pod,
} from './network/host.ts';
import type { Namespace } from './network/host.ts';
import { conflist, dirWith, installPlugins } from './network/plugins.ts';
import { allocations, bridgeState, forwarding, podState, rulesAbout } from './network/state.ts';

const types = ['bridge', 'host-local', 'portmap'];
const dir = dirWith(...types);
const cannot = cannotRun ?? (dir ? null : 'no CNI plugins: run hack/testkit/install.sh cni');
const real = cannot === null ? test.serial : test.serial.skip;
const title = (what: string): string => (cannot === null ? what : `${what} (${cannot})`);

interface Side {
  readonly h: Host;
  readonly world: Namespace;
}

const world4 = '203.0.113.2';
const world6 = '2001:db8:113::2';
const host4 = '203.0.113.1';
const host6 = '2001:db8:113::1';
let sides: readonly Side[] = [];

async function side(): Promise<Side> {
  const h = await startHost({ default: 'none' });
  installPlugins(h, dir ?? '', types);
  const world = await outside(h);
  for (const [at, address] of [
    [h, host6],
    [world, world6],
  ] as const)
    at.sh(`ip -6 addr add ${address}/64 dev wire nodad`);
  h.sh(`ip -6 route add default via ${world6}`);
  world.sh(`ip route add 10.0.0.0/8 via ${host4}; ip -6 route add fd00::/8 via ${host6}`);
  await h.call('start');
  await serve(world, '::', 7000);
  return { h, world };
}

if (cannot === null) {
  test.before(async () => {
    sides = [await side(), await side()];
  });
  test.after.always(() => {
    for (const { h, world } of sides) {
      world.end();
      h.end();
    }
  });
}

type Plain = Record<string, unknown>;
type Mapping = AttachRequest['portMappings'][number];

/** A configuration and what is asked of it. */
interface Case {
  readonly bridge: Plain;
  readonly ipam: Plain;
  readonly portmap?: Plain;
  /** Of the first pod. */
  readonly ports?: readonly Mapping[];
  readonly pods?: number;
  /** Beyond the usual ones: port of the host, and who asks at which address. */
  readonly probes?: readonly string[];
}

const route4 = { dst: '0.0.0.0/0' };
const route6 = { dst: '::/0' };
const usual = { isGateway: true, ipMasq: true, hairpinMode: true };
const portmap = { type: 'portmap', capabilities: { portMappings: true } };
const tcp = (hostPort: number, hostIp = ''): Mapping => ({ protocol: 'tcp', containerPort: 80, hostPort, hostIp });

const everywhere = (port: number): string[] => [
  `host 127.0.0.1 ${port}`,
  `host ${host4} ${port}`,
  `world ${host4} ${port}`,
  `pod ${host4} ${port}`,
  `other ${host4} ${port}`,
];
const everywhere6 = (port: number): string[] => [
  `host ${host6} ${port}`,
  `world ${host6} ${port}`,
  `pod ${host6} ${port}`,
  `other ${host6} ${port}`,
];

const cases: Readonly<Record<string, Case>> = {
  'addresses alone': { bridge: {}, ipam: { subnet: '10.61.0.0/24' } },
  'the usual one': { bridge: usual, ipam: { subnet: '10.61.1.0/24', routes: [route4] } },
  'a gateway without masquerade, and no hairpin': {
    bridge: { isGateway: true },
    ipam: { subnet: '10.61.2.0/24', routes: [route4] },
  },
  'isDefaultGateway and an MTU': {
    bridge: { isDefaultGateway: true, ipMasq: true, mtu: 1400 },
    ipam: { subnet: '10.61.3.0/24', gateway: '10.61.3.254' },
  },
  'isDefaultGateway with the default route written down, by another gateway': {
    bridge: { isDefaultGateway: true },
    ipam: { subnet: '10.61.4.0/24', routes: [{ dst: '0.0.0.0/0', gw: '10.61.4.9' }] },
  },
  'several routes': {
    bridge: usual,
    ipam: {
      subnet: '10.61.5.0/24',
      routes: [{ dst: '192.0.2.0/24', gw: '10.61.5.7' }, { dst: '198.51.100.0/25' }, route4],
    },
  },
  'several ranges of one subnet, filled up': {
    bridge: usual,
    ipam: {
      ranges: [
        [
          { subnet: '10.61.6.0/24', rangeStart: '10.61.6.20', rangeEnd: '10.61.6.21' },
          { subnet: '10.61.6.0/24', rangeStart: '10.61.6.40', rangeEnd: '10.61.6.41' },
        ],
      ],
      routes: [route4],
    },
    pods: 4,
  },
  'two subnets without a gateway': {
    bridge: {},
    ipam: { ranges: [[{ subnet: '10.61.7.0/25' }], [{ subnet: '10.61.8.0/24', rangeStart: '10.61.8.9' }]] },
  },
  'dual stack with ports': {
    bridge: usual,
    ipam: { ranges: [[{ subnet: '10.61.9.0/24' }], [{ subnet: 'fd00:61:9::/64' }]], routes: [route4, route6] },
    portmap,
    ports: [tcp(8100), tcp(8101, '0.0.0.0'), tcp(8102, '::'), tcp(8103, host4), tcp(8104, host6)],
    probes: [
      ...everywhere(8100),
      ...everywhere6(8100),
      ...[8101, 8102, 8103, 8104].flatMap((port) => [`world ${host4} ${port}`, `world ${host6} ${port}`]),
    ],
  },
  'IPv6 alone, isDefaultGateway, with a port': {
    bridge: { isDefaultGateway: true, ipMasq: true, hairpinMode: true },
    ipam: { ranges: [[{ subnet: 'fd00:61:10::/112' }]] },
    portmap,
    ports: [tcp(8110)],
    probes: everywhere6(8110),
  },
  'ports of all protocols and on single addresses': {
    bridge: usual,
    ipam: { subnet: '10.61.11.0/24', routes: [route4] },
    portmap: { ...portmap, snat: true },
    ports: [
      tcp(8120, '127.0.0.1'),
      tcp(8121, host4),
      { protocol: 'udp', containerPort: 53, hostPort: 8122, hostIp: '' },
      { protocol: 'sctp', containerPort: 80, hostPort: 8123, hostIp: '' },
      tcp(0),
      ...Array.from({ length: 20 }, (_, at) => tcp(8130 + at)),
    ],
    probes: [
      ...everywhere(8120),
      ...everywhere(8121),
      ...everywhere(8149),
      `udp host ${host4} 8122`,
      `udp world ${host4} 8122`,
      `udp other ${host4} 8122`,
    ],
  },
  'ports that nobody declared': {
    bridge: { ...usual, hairpinMode: false },
    ipam: { subnet: '10.61.12.0/24', routes: [route4] },
    portmap: { type: 'portmap' },
    ports: [tcp(8160)],
    probes: [`host ${host4} 8160`, `world ${host4} 8160`],
  },
};

/** What one side made of a configuration. */
interface Carried {
  readonly side: Side;
  readonly name: string;
  readonly driver: unknown;
  readonly pods: readonly Pod[];
  readonly addresses: readonly (readonly string[])[];
  readonly state: Record<string, unknown>;
}

/** Where a connection ends up, and as whom: "hello 10.61.1.2"; "" is nowhere. */
function probed({ side, pods }: Carried, probe: string): Promise<string> {
  const [pod, other] = pods as [Pod, Pod];
  const from = { host: side.h, world: side.world, pod, other } as const;
  const words = probe.split(' ');
  const how = words[0] === 'udp' ? askUdpOnce : askOnce;
  const [who = '', address = '', port = ''] = words[0] === 'udp' ? words.slice(1) : words;
  return how(from[who as keyof typeof from], address, Number(port));
}

/** Where traffic goes on both sides. One that has no answer where the other has is asked again: it may be slow. */
async function traffic(both: readonly Carried[], probes: readonly string[]): Promise<Record<string, string>[]> {
  const seen = both.map((): Record<string, string> => ({}));
  for (const probe of probes) {
    const until = performance.now() + 30_000;
    const answers = await Promise.all(both.map((one) => probed(one, probe)));
    while (answers.includes('') && answers.some((answer) => answer !== '') && performance.now() < until) {
      const silent = answers.indexOf('');
      answers[silent] = await probed(both[silent] as Carried, probe);
      await new Promise((done) => setTimeout(done, 200));
    }
    for (const [at, answer] of answers.entries()) (seen[at] as Record<string, string>)[probe] = answer;
  }
  return seen;
}

async function carriedOut(side: Side & { readonly native: boolean }, name: string, of: Case): Promise<Carried> {
  const { h, native } = side;
  const bridgeName = `br${name}`;
  // "enabledad" says what is the default: it only makes us leave the configuration to its plugins
  const bridge = { type: 'bridge', bridge: bridgeName, ...of.bridge, ...(native ? {} : { enabledad: false }) };
  const ipam = { type: 'host-local', dataDir: h.dirs.allocations, ...of.ipam };
  conflist(h, { name, plugins: [{ ...bridge, ipam }, ...(of.portmap ? [of.portmap] : [])] });
  const { config } = await h.call('status');
  const pods: Pod[] = [];
  const addresses: (readonly string[])[] = [];
  for (let at = 0; at < (of.pods ?? 2); at += 1) {
    const pod = await h.newPod();
    pods.push(pod);
    addresses.push((await h.attach(pod, { portMappings: at === 0 ? (of.ports ?? []) : [] })).ips);
  }
  const state = {
    addresses,
    pods: pods.map((pod) => podState(h, pod)),
    bridge: bridgeState(h, bridgeName),
    forwarding: forwarding(h),
    allocations: allocations(h, name, pods),
  };
  const [first] = pods as [Pod];
  await serve(first, '::', 80);
  if (of.ports?.some(({ protocol }) => protocol === 'udp')) await serveUdp(first, '0.0.0.0', 53);
  return { side, name, driver: (config as { driver?: unknown }).driver, pods, addresses, state };
}

/** What is asked of a case: what all shall reach, and its own. */
function probesOf(of: Case, addresses: readonly string[]): string[] {
  const usually = addresses.flatMap((own) => {
    const there = own.includes(':') ? world6 : world4;
    const reached = of.bridge['isGateway'] === true || of.bridge['isDefaultGateway'] === true;
    return [`other ${own} 80`, ...(reached ? [`pod ${there} 7000`, `host ${own} 80`, `world ${own} 80`] : [])];
  });
  return [...usually, ...(of.probes ?? [])];
}

/** Releases all, and tells what is left. */
async function released({ side: { h }, name, pods, addresses }: Carried): Promise<Record<string, unknown>> {
  for (const pod of pods) await h.call('detach', pod.id, pod.netns);
  const about = pods.map(({ id }) => id);
  const words = [...addresses.flat().map((ip) => `${ip}/`), ...addresses.flat().map((ip) => `${ip}:`), ...about];
  const after = {
    rules: rulesAbout(h, words),
    allocations: allocations(h, name, pods),
    owed: await h.call('owedReleases'),
  };
  for (const pod of pods) pod.end();
  return after;
}

for (const [at, [what, of]] of Object.entries(cases).entries()) {
  real(title(`plugins and we do the same: ${what}`), async (t) => {
    t.timeout(600_000);
    const [plugins, ours] = sides as [Side, Side];
    const [expected, actual] = await Promise.all([
      carriedOut({ ...plugins, native: false }, `eq${at}`, of),
      carriedOut({ ...ours, native: true }, `eq${at}`, of),
    ]);
    t.is(expected.driver, 'plugins');
    t.is(actual.driver, 'bridge');
    t.deepEqual(actual.state, expected.state);
    const [reached, reachedByUs] = await traffic([expected, actual], probesOf(of, expected.addresses[0] ?? []));
    t.deepEqual(reachedByUs, reached);
    const [left, leftByUs] = await Promise.all([released(expected), released(actual)]);
    t.deepEqual(leftByUs, left);
    t.deepEqual(left['rules'], []);
    if (of.ports && of.portmap?.['capabilities'])
      t.true(Object.values(reachedByUs ?? {}).some((answer) => answer !== ''));
    for (const { h } of sides) rmSync(join(h.dirs.conf, '10-test.conflist'));
  });
}
