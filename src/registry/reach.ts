// Where a server may lead us. The operator and the user may name any address; what a server names (a redirect,
// a token server) may not be this machine or the metadata service of its cloud, or a hostile registry could have
// requests made that only the node itself can make.
import { lookup as resolve } from 'node:dns';
import net, { isIP, type LookupFunction } from 'node:net';
import { networkInterfaces } from 'node:os';
import { bareHost } from './proxy.ts';
import { TransportError } from './transport-error.ts';

/**
 * `any`: the operator or the user named the address. `machine`: a server of this machine named it, so it may be
 * on this machine. `network`: another server named it. `OwnHost`: a server named its own host, whose name may lead
 * elsewhere by now.
 */
export type Reach = 'any' | Ground | OwnHost;
type Ground = 'machine' | 'network';

/** As far as `ground`, and to the address that the server had when it was asked. */
export interface OwnHost {
  readonly ground: Ground;
  readonly peer: string;
}

const loopback = new net.BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addSubnet('0.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');
loopback.addAddress('::', 'ipv6');

/** Link-local, multicast, and the addresses of metadata services that are neither. */
const forbidden = new net.BlockList();
forbidden.addSubnet('169.254.0.0', 16, 'ipv4');
forbidden.addSubnet('224.0.0.0', 3, 'ipv4');
forbidden.addSubnet('fe80::', 10, 'ipv6');
forbidden.addSubnet('ff00::', 8, 'ipv6');
forbidden.addAddress('fd00:ec2::254', 'ipv6'); // Amazon
forbidden.addAddress('100.100.100.200', 'ipv4'); // Alibaba
forbidden.addAddress('168.63.129.16', 'ipv4'); // Azure
forbidden.addAddress('192.0.0.192', 'ipv4'); // Oracle

const isIn = (list: net.BlockList, address: string): boolean =>
  isIP(address) !== 0 && list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6');

/** An address that is written as IPv6 but is one of IPv4 (::ffff:127.0.0.1), as IPv4; without a zone. */
function plain(address: string): string {
  const bare = bareHost(address).replace(/%.*$/, '');
  const dotted = /^::ffff:([0-9.]+)$/i.exec(bare)?.[1];
  if (dotted !== undefined) return dotted;
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(bare) ?? [];
  if (high === undefined || low === undefined) return bare;
  const bits = Number.parseInt(high, 16) * 65_536 + Number.parseInt(low, 16);
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join('.');
}

/** Has the addresses of all Services where kube-proxy works by IPVS: what listens there is elsewhere, mostly. */
const ofServices = 'kube-ipvs0';

/** The addresses of this machine's interfaces, as they are now; without those that kube-proxy gives Services. */
export const ownAddresses = (interfaces = networkInterfaces()): readonly string[] =>
  Object.entries(interfaces)
    .filter(([name]) => name.split(':')[0] !== ofServices)
    .flatMap(([, list]) => (list ?? []).map(({ address }) => plain(address)));

/** Whether an address may be connected to. */
export function isWithin(reach: Reach, address: string, own: () => readonly string[] = ownAddresses): boolean {
  if (reach === 'any') return true;
  const at = plain(address);
  if (typeof reach === 'object') return at === plain(reach.peer) || isWithin(reach.ground, address, own);
  if (isIn(forbidden, at)) return false;
  return reach === 'machine' || !(isIn(loopback, at) || own().includes(at));
}

/** How far a server may lead: `peer` is its address, or its name where a proxy hides the address. */
export function reachOf(peer: string, own: () => readonly string[] = ownAddresses): Ground {
  const at = plain(peer);
  if (isIn(loopback, at) || /^(?:.*\.)?localhost$/i.test(peer)) return 'machine';
  return isIP(at) !== 0 && own().includes(at) ? 'machine' : 'network';
}

/** How far a server that was asked within `reach` may lead on its own host: where it is, whatever its name says now. */
export const reachOfOwnHost = (reach: Reach, peer: string): Reach =>
  reach === 'any' ? { ground: reachOf(peer), peer } : reach;

/** Throws for a URL whose host is an address out of reach; names are looked at when they are resolved. */
export function checkReach(reach: Reach, url: URL): void {
  if (isIP(bareHost(url.hostname)) !== 0 && !isWithin(reach, url.hostname)) throw outOfReach(url.hostname);
}

const outOfReach = (host: string): TransportError =>
  new TransportError({ stage: 'address', host }, `${host} is an address that no server may lead to`);

/** Resolves names as `net.connect` does, to addresses within reach; fails for a name that has none. Null for no limit. */
export function lookupWithin(reach: Reach): LookupFunction | null {
  if (reach === 'any') return null;
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null || addresses.length === 0) return callback(error ?? new Error('no address'), []);
      let inside: typeof addresses;
      try {
        inside = addresses.filter(({ address }) => isWithin(reach, address));
      } catch (cause) {
        return callback(cause as Error, []); // the host does not tell its addresses
      }
      // a name may have the addresses of all nodes, and this one's among them: the others will do
      const [nearest] = inside;
      if (nearest === undefined) return callback(outOfReach(hostname), []);
      if (options.all === true) callback(null, inside);
      else callback(null, nearest.address, nearest.family);
    });
  };
}
