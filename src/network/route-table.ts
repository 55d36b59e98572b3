// PURE
// The host's routes as /proc/net shows them, and which of them a subnet of ours would cut into.
// Must not read files.
import { type Cidr, contains, formatNetwork, networkOf } from './ip.ts';

/** One route of the host's main table. */
export interface HostRoute {
  readonly destination: Cidr;
  readonly device: string;
}

const bytesReversed = (hex: string): bigint => BigInt(`0x${(hex.match(/../g) ?? []).toReversed().join('')}`);

function prefixOf(mask: bigint): number {
  return mask.toString(2).replaceAll('0', '').length;
}

/** Routes in the form of /proc/net/route (proc_pid_net(5)): numbers in the machine's byte order, which is little. */
export function parseRoutes4(text: string): HostRoute[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [device, destination, , , , , , mask] = line.split(/\s+/);
      if (device === undefined || !/^[0-9A-F]{8}$/i.test(destination ?? '') || !/^[0-9A-F]{8}$/i.test(mask ?? ''))
        return [];
      const ip = { family: 4, value: bytesReversed(destination ?? '') } as const;
      return [{ device, destination: { ip, prefix: prefixOf(bytesReversed(mask ?? '')) } }];
    });
}

/** RTF_LOCAL of linux/ipv6_route.h: an address of the host itself. */
const local = 0x8000_0000;

/** Routes in the form of /proc/net/ipv6_route. Addresses of the host itself are left out. */
export function parseRoutes6(text: string): HostRoute[] {
  return text.split('\n').flatMap((line) => {
    const words = line.trim().split(/\s+/);
    const [destination = '', prefix = '', flags = '', device = ''] = [words[0], words[1], words[8], words[9]];
    if (!/^[0-9a-f]{32}$/i.test(destination) || device === '') return [];
    if ((Number.parseInt(flags, 16) & local) !== 0 || device === 'lo') return [];
    const ip = { family: 6, value: BigInt(`0x${destination}`) } as const;
    return [{ device, destination: { ip, prefix: Number.parseInt(prefix, 16) } }];
  });
}

const overlap = (a: Cidr, b: Cidr): boolean => contains(a, networkOf(b)) || contains(b, networkOf(a));

/**
 * What is in the way of a subnet: "10.88.3.0/24 of eth0"; null when nothing is. The default route goes everywhere
 * and is in nobody's way; routes of our own bridge are ours.
 */
export function routeInTheWay(subnet: Cidr, bridge: string, routes: readonly HostRoute[]): string | null {
  const found = routes.find(
    ({ destination, device }) => destination.prefix > 0 && device !== bridge && overlap(subnet, destination),
  );
  return found ? `${formatNetwork(found.destination)} of ${found.device}` : null;
}
