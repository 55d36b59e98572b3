// Where a server may lead us. The operator and the user may name any address; what a server names (a redirect,
// a token server) may not be this machine or the metadata service of its cloud, or a hostile registry could have
// requests made that only the node itself can make.
import { lookup as resolve } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { bareHost } from './proxy.ts';
import { TransportError } from './transport-error.ts';

/**
 * `any`: the operator or the user named the address. `machine`: a server of this machine named it, so it may be
 * on loopback. `network`: another server named it.
 */
export type Reach = 'any' | 'machine' | 'network';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addSubnet('0.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');
loopback.addAddress('::', 'ipv6');

/** Link-local, multicast, and the addresses of metadata services that are neither. */
const forbidden = new BlockList();
forbidden.addSubnet('169.254.0.0', 16, 'ipv4');
forbidden.addSubnet('224.0.0.0', 3, 'ipv4');
forbidden.addSubnet('fe80::', 10, 'ipv6');
forbidden.addSubnet('ff00::', 8, 'ipv6');
forbidden.addAddress('fd00:ec2::254', 'ipv6'); // Amazon
forbidden.addAddress('100.100.100.200', 'ipv4'); // Alibaba
forbidden.addAddress('168.63.129.16', 'ipv4'); // Azure
forbidden.addAddress('192.0.0.192', 'ipv4'); // Oracle

const isIn = (list: BlockList, address: string): boolean =>
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

/** Whether an address may be connected to. */
export function isWithin(reach: Reach, address: string): boolean {
  const at = plain(address);
  if (reach === 'any') return true;
  return !isIn(forbidden, at) && (reach === 'machine' || !isIn(loopback, at));
}

/** How far a server may lead: `peer` is its address, or its name where a proxy hides the address. */
export const reachOf = (peer: string): Reach =>
  isIn(loopback, plain(peer)) || /^(?:.*\.)?localhost$/i.test(peer) ? 'machine' : 'network';

/** Throws for a URL whose host is an address out of reach; names are looked at when they are resolved. */
export function checkReach(reach: Reach, url: URL): void {
  if (isIP(bareHost(url.hostname)) !== 0 && !isWithin(reach, url.hostname)) throw outOfReach(url.hostname);
}

const outOfReach = (host: string): TransportError =>
  new TransportError({ stage: 'address', host }, `${host} is an address that no server may lead to`);

/** Resolves names as `net.connect` does, and fails for one that has an address out of reach; null for no limit. */
export function lookupWithin(reach: Reach): LookupFunction | null {
  if (reach === 'any') return null;
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      const [first] = addresses ?? [];
      if (error !== null || first === undefined) return callback(error ?? new Error('no address'), []);
      if (!addresses.every(({ address }) => isWithin(reach, address))) return callback(outOfReach(hostname), []);
      if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}
