// PURE
// Address ranges as the host-local plugin has them: checking, and which address comes next.
import type { Cidr, Ip } from '../ip.ts';
import {
  bitsOf,
  contains,
  formatCidr,
  formatIp,
  formatNetwork,
  lastOf,
  networkOf,
  offset,
  parseCidr,
  parseIp,
} from '../ip.ts';

/** A range to give addresses from. All bounds belong to it. */
export interface Range {
  readonly subnet: Cidr;
  readonly first: Ip;
  readonly last: Ip;
  readonly gateway: Ip;
}

/** A pod gets one address from each set. A set is of one family and never empty. */
export type RangeSet = readonly Range[];

/** A range as a configuration writes it. */
export interface RangeText {
  readonly subnet: string;
  readonly rangeStart: string | null;
  readonly rangeEnd: string | null;
  readonly gateway: string | null;
}

/** Checks a range and fills in its defaults, as the plugin's `Range.Canonicalize` does. Throws what is wrong. */
export function parseRange(text: RangeText): Range {
  const subnet = parseCidr(text.subnet);
  if (subnet === null) throw new Error(`${JSON.stringify(text.subnet)} is no subnet`);
  if (networkOf(subnet).value !== subnet.ip.value) throw new Error(`subnet ${text.subnet} has host bits set`);
  if (subnet.prefix > bitsOf(subnet.ip.family) - 2) throw new Error(`subnet ${text.subnet} is too small`);
  const inside = (name: string, given: string | null, otherwise: Ip): Ip => {
    if (given === null) return otherwise;
    const ip = parseIp(given);
    if (ip === null || !contains(subnet, ip)) throw new Error(`${name} ${given} is not in subnet ${text.subnet}`);
    return ip;
  };
  const lowest = offset(networkOf(subnet), 1);
  // IPv4's last address is the broadcast address
  const highest = offset(lastOf(subnet), subnet.ip.family === 4 ? -1 : 0);
  const first = inside('rangeStart', text.rangeStart, lowest);
  const last = inside('rangeEnd', text.rangeEnd, highest);
  if (first.value > last.value) throw new Error(`rangeStart ${formatIp(first)} is after rangeEnd ${formatIp(last)}`);
  return { subnet, first, last, gateway: inside('gateway', text.gateway, lowest) };
}

/** Checks that a set is usable: not empty, one family, no overlap. */
export function checkedSet(set: RangeSet): RangeSet {
  const [head] = set;
  if (head === undefined) throw new Error('a range set is empty');
  const sorted = [...set].sort((a, b) => (a.first.value < b.first.value ? -1 : 1));
  for (const [at, range] of sorted.entries()) {
    if (range.subnet.ip.family !== head.subnet.ip.family) throw new Error('a range set mixes IPv4 and IPv6');
    const next = sorted[at + 1];
    if (next && next.first.value <= range.last.value) {
      throw new Error(`ranges of ${formatCidr(range.subnet)} and ${formatCidr(next.subnet)} overlap`);
    }
  }
  return set;
}

/** The range of a set that an address is in. */
export const rangeOf = (set: RangeSet, ip: Ip): Range | undefined =>
  set.find(
    (range) => ip.family === range.subnet.ip.family && range.first.value <= ip.value && ip.value <= range.last.value,
  );

/** All subnets of a set, for messages. */
export const subnetsOf = (set: RangeSet): string => set.map((range) => formatNetwork(range.subnet)).join(', ');

/**
 * The first address after `last` that is neither used nor a gateway, going round once; null when none is
 * left. Going on from the last one keeps a released address unused for as long as possible.
 */
export function nextFree(set: RangeSet, last: Ip | null, isUsed: (ip: string) => boolean): Ip | null {
  const start = last === null ? undefined : rangeOf(set, last);
  const order = start ? [...set.slice(set.indexOf(start)), ...set.slice(0, set.indexOf(start) + 1)] : set;
  for (const [at, range] of order.entries()) {
    const resumed = start !== undefined && at === 0 && last !== null;
    const again = start !== undefined && at === order.length - 1 && last !== null;
    const from = resumed ? last.value + 1n : range.first.value;
    const to = again ? last.value : range.last.value;
    for (let value = from; value <= to; value += 1n) {
      const ip: Ip = { family: range.subnet.ip.family, value };
      if (value !== range.gateway.value && !isUsed(formatIp(ip))) return ip;
    }
  }
  return null;
}
