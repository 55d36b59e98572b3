// PURE
// A network of a bridge as a value: from our own defaults, or from a configuration that we carry out
// ourselves because it says nothing we do not know.
import type { NetworkConfig, PluginConfig } from '../cni/conflist.ts';
import { isPlain } from '../cni/conflist.ts';
import { contains, formatCidr, parseCidr, parseIp } from '../ip.ts';
import { checkedSet, parseRange, type RangeSet, type RangeText } from './ranges.ts';

/** A route that every pod gets; `gateway` null means the gateway of the pod's own range. */
export interface PodRoute {
  readonly destination: string;
  readonly gateway: string | null;
}

/** A network on a bridge of this host. */
export interface BridgeNetwork {
  readonly name: string;
  readonly bridge: string;
  /** Bytes; 0 takes that of the default route. */
  readonly mtu: number;
  readonly hairpin: boolean;
  /** Whether the bridge has the ranges' gateway addresses and the host routes. */
  readonly isGateway: boolean;
  /** Whether pods get default routes by their gateways, beside `routes`. */
  readonly defaultRoute: boolean;
  readonly masquerade: boolean;
  readonly sets: readonly (readonly RangeText[])[];
  readonly routes: readonly PodRoute[];
  /** Directory of the allocations: `<dataDir>/<name>/<address>`. */
  readonly dataDir: string;
  /** Whether host ports are published, and whether their hairpin connections are masqueraded. */
  readonly hostPorts: boolean;
  readonly hostPortSnat: boolean;
  /** Whether all allocations in the directory are ours to collect. */
  readonly ownDataDir: boolean;
  /** Place of our jump in FORWARD: behind others' where a configuration may come with a policy engine. */
  readonly forward: 'first' | 'last';
}

/** Our own network: a bridge, masqueraded, with published ports. */
export const defaultNetwork = (config: {
  readonly bridge: string;
  readonly subnet: string;
  readonly hostLocalDir: string;
}): BridgeNetwork => ({
  name: config.bridge,
  bridge: config.bridge,
  mtu: 0,
  hairpin: true,
  isGateway: true,
  defaultRoute: true,
  masquerade: true,
  sets: [[{ subnet: config.subnet, rangeStart: null, rangeEnd: null, gateway: null }]],
  routes: [],
  dataDir: config.hostLocalDir,
  hostPorts: true,
  hostPortSnat: true,
  ownDataDir: true,
  forward: 'first',
});

const parsedSets = new WeakMap<object, readonly RangeSet[]>();

/** The network's range sets, checked; parsed once per network. Throws what is wrong with them. */
export function rangeSets(network: Pick<BridgeNetwork, 'sets'>): readonly RangeSet[] {
  const sets = parsedSets.get(network) ?? network.sets.map((set) => checkedSet(set.map(parseRange)));
  parsedSets.set(network, sets);
  return sets;
}

// what a plugin's configuration may say for us to carry it out; anything else goes to the plugin itself
const common = ['type', 'name', 'cniVersion', 'cniVersions', 'capabilities', 'disableCheck', 'disableGC'];
const known = {
  bridge: ['bridge', 'isGateway', 'isDefaultGateway', 'ipMasq', 'hairpinMode', 'mtu', 'ipam'],
  ipam: ['type', 'subnet', 'rangeStart', 'rangeEnd', 'gateway', 'ranges', 'routes', 'dataDir'],
  range: ['subnet', 'rangeStart', 'rangeEnd', 'gateway'],
  route: ['dst', 'gw'],
  portmap: ['snat'],
  loopback: [],
} as const;
const capabilities = { bridge: ['ipRanges'], portmap: ['portMappings'], loopback: [] } as const;

/** Why a configuration is not carried out here. */
class NotOurs extends Error {}

type Plain = Readonly<Record<string, unknown>>;

function onlyKnown(what: string, object: Plain, keys: readonly string[]): void {
  const foreign = Object.keys(object).find((key) => !keys.includes(key));
  if (foreign !== undefined) throw new NotOurs(`${what} has ${foreign}`);
}

function reader(what: string, object: Plain) {
  const read =
    <T>(is: (value: unknown) => value is T) =>
    (key: string, otherwise: T): T => {
      const value = object[key];
      if (value === undefined || value === null) return otherwise;
      if (!is(value)) throw new NotOurs(`${what}.${key} is unusual`);
      return value;
    };
  return {
    flag: read((value): value is boolean => typeof value === 'boolean'),
    count: read((value): value is number => Number.isInteger(value) && Number(value) >= 0),
    text: read((value): value is string => typeof value === 'string'),
    list: read((value): value is unknown[] => Array.isArray(value)),
  };
}

function plainOf(what: string, value: unknown): Plain {
  if (!isPlain(value)) throw new NotOurs(`${what} is not an object`);
  return value;
}

function rangeText(object: Plain): RangeText {
  const { text } = reader('range', object);
  const optional = (key: string): string | null => text(key, '') || null;
  const gateway = optional('gateway');
  return { subnet: text('subnet', ''), rangeStart: optional('rangeStart'), rangeEnd: optional('rangeEnd'), gateway };
}

/** The sets of a host-local configuration; "usePodCidr" stands for what the kubelet told us. */
function setsOf(ipam: Plain, podCidr: string): RangeText[][] {
  const { text, list } = reader('ipam', ipam);
  const sets: RangeText[][] = text('subnet', '') === '' ? [] : [[rangeText(ipam)]];
  for (const set of list('ranges', [])) {
    if (!Array.isArray(set)) throw new NotOurs('ipam.ranges is unusual');
    sets.push(
      (set as unknown[]).map((each) => {
        const range = plainOf('range', each);
        onlyKnown('a range', range, known.range);
        return rangeText(range);
      }),
    );
  }
  const subnets = podCidr.split(',').filter((subnet) => subnet !== '');
  return sets.flatMap((set) => {
    if (set.every((range) => range.subnet !== 'usePodCidr')) return [set];
    if (subnets.length === 0) throw new NotOurs('ipam.subnet is usePodCidr and no pod CIDR is known yet');
    return subnets.map((subnet) => [{ subnet, rangeStart: null, rangeEnd: null, gateway: null }]);
  });
}

function routesOf(ipam: Plain): PodRoute[] {
  return reader('ipam', ipam)
    .list('routes', [])
    .map((each) => {
      const route = plainOf('route', each);
      onlyKnown('a route', route, known.route);
      const { text } = reader('route', route);
      const [destination, gateway] = [text('dst', ''), text('gw', '')];
      if (parseCidr(destination) === null) throw new NotOurs(`route ${JSON.stringify(destination)} is unusual`);
      if (gateway !== '' && parseIp(gateway) === null) throw new NotOurs(`route by ${gateway} is unusual`);
      return { destination, gateway: gateway || null };
    });
}

function checkPlugin(plugin: PluginConfig): void {
  const type = plugin.type as keyof typeof capabilities;
  if (!(type in capabilities)) throw new NotOurs(`it uses ${plugin.type}`);
  onlyKnown(type, plugin.raw, [...common, ...known[type]]);
  const able: readonly string[] = capabilities[type];
  const foreign = Object.entries(plugin.capabilities).find(([name, on]) => on && !able.includes(name));
  if (foreign) throw new NotOurs(`${type} has capability ${foreign[0]}`);
}

function only(config: NetworkConfig, type: string): PluginConfig | null {
  const [first, ...more] = config.plugins.filter((plugin) => plugin.type === type);
  if (more.length > 0) throw new NotOurs(`it uses ${type} twice`);
  return first ?? null;
}

/** What an interface gets whose configuration says nothing: the kernel's default for an Ethernet, as with the plugin. */
const kernelMtu = 1500;

/**
 * The gateways that the plugin puts on the bridge are those of addresses that pods have; a second IPv4 one, or an
 * IPv6 one of an overlapping network, it refuses. We have them all there from the beginning: the same only where
 * every address of a set has the same gateway, and no two sets get into each other's way.
 */
function checkGateways(sets: readonly RangeSet[]): void {
  const gateways = sets.map((set) => {
    const [first, ...more] = set.map(({ gateway, subnet }) => ({ ip: gateway, prefix: subnet.prefix }));
    if (first === undefined || more.some((each) => formatCidr(each) !== formatCidr(first)))
      throw new NotOurs('a set of ranges has several gateways for the bridge');
    return first;
  });
  for (const [at, one] of gateways.entries())
    for (const other of gateways.slice(at + 1))
      if (
        one.ip.family === other.ip.family &&
        (one.ip.family === 4 || contains(one, other.ip) || contains(other, one.ip))
      )
        throw new NotOurs('sets of ranges have gateways that the bridge cannot have together');
}

/** Whether ports are published. What `snat: false` leaves away our rules have for the whole bridge. */
function publishes(config: NetworkConfig, bridge: PluginConfig): boolean {
  const portmap = only(config, 'portmap');
  if (portmap === null) return false;
  if (config.plugins.indexOf(portmap) < config.plugins.indexOf(bridge)) throw new NotOurs('its portmap comes first');
  if (!reader('portmap', portmap.raw).flag('snat', true)) throw new NotOurs('portmap.snat is off');
  return portmap.capabilities['portMappings'] === true;
}

function carriedOut(config: NetworkConfig, podCidr: string): BridgeNetwork {
  config.plugins.forEach(checkPlugin);
  const bridge = only(config, 'bridge');
  if (bridge === null) throw new NotOurs('it begins with no bridge');
  const ipam = plainOf('ipam', bridge.raw['ipam']);
  if (ipam['type'] !== 'host-local') throw new NotOurs(`its addresses come from ${String(ipam['type'])}`);
  onlyKnown('ipam', ipam, known.ipam);
  const settings = reader('bridge', bridge.raw);
  const name = settings.text('bridge', '') || 'cni0';
  if (!/^[a-zA-Z0-9_.-]{1,15}$/.test(name)) throw new NotOurs(`bridge ${JSON.stringify(name)} is unusual`);
  const given = bridge.capabilities['ipRanges'] === true ? podCidr.split(',').filter((subnet) => subnet !== '') : [];
  const extra = given.map((subnet) => [{ subnet, rangeStart: null, rangeEnd: null, gateway: null }]);
  const network: BridgeNetwork = {
    name: config.name,
    bridge: name,
    mtu: settings.count('mtu', 0) || kernelMtu,
    hairpin: settings.flag('hairpinMode', false),
    isGateway: settings.flag('isGateway', false) || settings.flag('isDefaultGateway', false),
    defaultRoute: settings.flag('isDefaultGateway', false),
    masquerade: settings.flag('ipMasq', false),
    sets: [...extra, ...setsOf(ipam, podCidr)],
    routes: routesOf(ipam),
    dataDir: reader('ipam', ipam).text('dataDir', '') || '/var/lib/cni/networks',
    hostPorts: publishes(config, bridge),
    hostPortSnat: true,
    ownDataDir: false,
    forward: 'last',
  };
  if (network.sets.length === 0) throw new NotOurs('it has no ranges');
  const sets = rangeSets(network);
  if (network.isGateway) checkGateways(sets);
  return network;
}

/** The network that a configuration describes, or why its plugins must be executed instead. */
export function bridgeNetwork(
  config: NetworkConfig,
  podCidr: string,
): { readonly network: BridgeNetwork } | { readonly why: string } {
  try {
    return { network: carriedOut(config, podCidr) };
  } catch (error) {
    return { why: (error as Error).message };
  }
}

/** Networks that differ, the last of equals kept in its place. */
export function distinctNetworks(networks: readonly (BridgeNetwork | null)[]): BridgeNetwork[] {
  const byContent = new Map<string, BridgeNetwork>();
  for (const network of networks) {
    if (network === null) continue;
    const key = JSON.stringify(network);
    byContent.delete(key);
    byContent.set(key, network);
  }
  return [...byContent.values()];
}
