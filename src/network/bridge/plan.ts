// PURE
// From a network and a pod's addresses to the native calls that make it so.
import type {
  NetworkAttachArgs,
  NetworkBridgeArgs,
  NetworkHostPort,
  NetworkLink,
  NetworkRulesArgs,
} from '../../native/boundary.ts';
import { invalidArgument } from '../../lib/failure.ts';
import { formatCidr, formatIp, formatNetwork, macOf, parseIp, type Ip } from '../ip.ts';
import { podInterface, type AttachRequest, type PortMapping } from '../request.ts';
import { rangeOf, type Range } from './ranges.ts';
import { rangeSets, type BridgeNetwork } from './settings.ts';

/** The mark on bridges that we made: only those are ours to delete. */
export const bridgeAlias = 'podwright';

/** The mark on the host's end of a pod's pair. */
export const podAlias = (sandboxId: string): string => `podwright:${sandboxId}`;

/** Whose pair an interface is, by its mark; null for another's. */
export const sandboxOfAlias = (alias: string): string | null =>
  alias.startsWith('podwright:') ? alias.slice('podwright:'.length) : null;

/** What is wrong with the host's end of a pod's pair; null is one that is not there. */
export function wrongWith(network: BridgeNetwork, sandboxId: string, link: NetworkLink | null): string[] {
  const name = hostInterfaceOf(sandboxId);
  if (link === null || sandboxOfAlias(link.alias) !== sandboxId) return [`interface ${name} is gone`];
  return [
    ...(link.bridge === network.bridge ? [] : [`interface ${name} is no port of bridge ${network.bridge}`]),
    ...(link.up ? [] : [`interface ${name} is down`]),
  ];
}

/** Begin of the names of all our interfaces in the host. */
export const hostInterfacePrefix = 'pw';

/** The host's end of a pod's pair: 15 characters, the most that IFNAMSIZ allows. */
export const hostInterfaceOf = (sandboxId: string): string => `${hostInterfacePrefix}${sandboxId.slice(0, 13)}`;

// FNV-1a: only to keep long bridge names apart within the 16 characters that a chain name leaves
function shortHash(text: string): string {
  let hash = 0x811c9dc5;
  for (const letter of text) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

/** The chains of a bridge: two daemons on one host have two bridges, and so two sets of chains. */
export function chainsOf(bridge: string): string {
  if (bridge === 'podwright0') return 'PODWRIGHT';
  return bridge.length <= 13 ? `PW-${bridge}` : `PW-${bridge.slice(0, 4)}-${shortHash(bridge)}`;
}

/** A network of a bridge with what the rules need to know of it. */
export interface BridgeSubnet {
  readonly subnet: string;
  readonly masquerade: boolean;
}

const ranges = (network: BridgeNetwork): Range[] => rangeSets(network).flat();

const distinct = <T>(values: readonly T[]): T[] => [...new Set(values)];

/** The subnets of a network. */
export const subnetsOfNetwork = (network: BridgeNetwork): BridgeSubnet[] =>
  distinct(ranges(network).map((range) => formatNetwork(range.subnet))).map((subnet) => ({
    subnet,
    masquerade: network.masquerade,
  }));

/** How the bridge shall be. `hostMtu` is that of the default route. */
export function bridgePlan(network: BridgeNetwork, mtu: number): NetworkBridgeArgs {
  const all = ranges(network);
  const gateways = all.map(({ gateway, subnet }) => formatCidr({ ip: gateway, prefix: subnet.prefix }));
  const [first] = all;
  return {
    bridge: network.bridge,
    alias: bridgeAlias,
    mtu,
    mac: first ? macOf(first.gateway) : null,
    gateways: network.isGateway ? distinct(gateways) : [],
    forwarding: network.isGateway,
  };
}

/** The rules of a bridge with these subnets on it. */
export const rulesPlan = (
  network: BridgeNetwork,
  subnets: readonly BridgeSubnet[],
): Omit<NetworkRulesArgs, 'backend'> => ({
  chains: chainsOf(network.bridge),
  bridge: network.bridge,
  subnets,
  forward: network.forward,
});

interface Placed {
  readonly ip: Ip;
  readonly range: Range;
}

/** Each address with the range it came from: one of each set, in the order of the sets. */
function place(network: BridgeNetwork, addresses: readonly string[]): Placed[] {
  const sets = rangeSets(network);
  return addresses.map((text, at) => {
    const ip = parseIp(text);
    const range = ip && sets[at] ? rangeOf(sets[at], ip) : undefined;
    if (!ip || !range) throw invalidArgument(`address ${text} is in no range of network ${network.name}`);
    return { ip, range };
  });
}

/** The one call that connects a pod. */
export function attachPlan(
  network: BridgeNetwork,
  pod: Pick<AttachRequest, 'sandboxId' | 'netns'>,
  at: { readonly addresses: readonly string[]; readonly mtu: number },
): NetworkAttachArgs {
  const placed = place(network, at.addresses);
  const own = placed.find(({ ip }) => ip.family === 4) ?? placed[0];
  const gatewayOf = (family: 4 | 6): string | null => {
    const range = placed.find(({ ip }) => ip.family === family)?.range;
    return range ? formatIp(range.gateway) : null;
  };
  const anywhere = { 4: '0.0.0.0/0', 6: '::/0' } as const;
  const families = distinct(placed.map(({ ip }) => ip.family));
  const routes = [
    ...network.routes.map(({ destination, gateway }) => ({
      destination,
      gateway: gateway ?? gatewayOf(destination.includes(':') ? 6 : 4),
    })),
    ...(network.defaultRoute ? families : []).map((family) => ({
      destination: anywhere[family],
      gateway: gatewayOf(family),
    })),
  ];
  return {
    netns: pod.netns,
    hostInterface: hostInterfaceOf(pod.sandboxId),
    podInterface,
    bridge: network.bridge,
    alias: podAlias(pod.sandboxId),
    mtu: at.mtu,
    mac: own ? macOf(own.ip) : null,
    addresses: placed.map(({ ip, range }) => formatCidr({ ip, prefix: range.subnet.prefix })),
    routes: withoutRepeats(routes),
    hairpin: network.hairpin,
  };
}

/** The first route to each destination; a route of a family that the pod has no address of is dropped. */
function withoutRepeats(routes: readonly { destination: string; gateway: string | null }[]) {
  const seen = new Set<string>();
  return routes.filter(({ destination, gateway }) => {
    if (gateway === null || seen.has(destination)) return false;
    seen.add(destination);
    return true;
  });
}

/** The published ports of a pod: each mapping once for every address it applies to. */
export function hostPortsPlan(
  network: BridgeNetwork,
  mappings: readonly PortMapping[],
  addresses: readonly string[],
): NetworkHostPort[] {
  if (!network.hostPorts) return [];
  const placed = place(network, addresses);
  return mappings
    .filter((mapping) => mapping.hostPort > 0)
    .flatMap((mapping) => {
      const only = hostIpOf(mapping);
      return placed
        .filter(({ ip }) => only === null || only.family === ip.family)
        .map(({ ip, range }) => ({
          protocol: mapping.protocol,
          // an unspecified address is no destination: it means all addresses of its family
          hostIp: only === null || only.value === 0n ? null : formatIp(only),
          hostPort: mapping.hostPort,
          podIp: formatIp(ip),
          containerPort: mapping.containerPort,
          masqueradeFrom: network.hostPortSnat ? formatNetwork(range.subnet) : null,
        }));
    });
}

/**
 * The rules that a pod may have: with an unspecified address those of both families, as earlier releases made them.
 * Only for deleting what names its pod: of another's rule it would take the port.
 */
export function hostPortsEverPlan(
  network: BridgeNetwork,
  mappings: readonly PortMapping[],
  addresses: readonly string[],
): NetworkHostPort[] {
  const widened = mappings.map((mapping) => (hostIpOf(mapping)?.value === 0n ? { ...mapping, hostIp: '' } : mapping));
  const ports = hostPortsPlan(network, widened, addresses);
  // two mappings for the two families are one each of theirs and the other's
  return [...new Map(ports.map((port) => [JSON.stringify(port), port])).values()];
}

/** Refuses mappings that no rule could be made of, before anything is done for the pod. */
export const checkPortMappings = (mappings: readonly PortMapping[]): void => mappings.forEach(hostIpOf);

/** The address that a mapping is restricted to; null is none, and means both families, as portmap has it. */
function hostIpOf(mapping: PortMapping): Ip | null {
  if (mapping.hostIp === '') return null;
  const ip = parseIp(mapping.hostIp);
  if (ip === null) throw invalidArgument(`port_mappings.host_ip ${JSON.stringify(mapping.hostIp)} is not an address`);
  return ip;
}
