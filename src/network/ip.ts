// PURE
// IPv4 and IPv6 addresses and networks as numbers. Must not know who uses them.

/** An address. */
export interface Ip {
  readonly family: 4 | 6;
  readonly value: bigint;
}

/** A network: the address as written, and the length of the prefix. */
export interface Cidr {
  readonly ip: Ip;
  readonly prefix: number;
}

/** Bits of an address. */
export const bitsOf = (family: 4 | 6): number => (family === 4 ? 32 : 128);

const decimal = /^(0|[1-9]\d{0,2})$/;

function parseFour(text: string): bigint | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  let value = 0n;
  for (const part of parts) {
    if (!decimal.test(part) || Number(part) > 255) return null;
    value = (value << 8n) | BigInt(part);
  }
  return value;
}

/** Groups of one side of "::"; a dotted IPv4 tail counts as two. */
function groups(text: string): bigint[] | null {
  if (text === '') return [];
  const found: bigint[] = [];
  const parts = text.split(':');
  for (const [at, part] of parts.entries()) {
    if (part.includes('.') && at === parts.length - 1) {
      const four = parseFour(part);
      if (four === null) return null;
      found.push(four >> 16n, four & 0xffffn);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      found.push(BigInt(`0x${part}`));
    } else {
      return null;
    }
  }
  return found;
}

function parseSix(text: string): bigint | null {
  const sides = text.split('::');
  if (sides.length > 2) return null;
  const head = groups(sides[0] ?? '');
  const tail = sides.length === 2 ? groups(sides[1] ?? '') : [];
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (sides.length === 2 ? missing < 1 : missing !== 0) return null;
  const all = [...head, ...Array.from({ length: missing }, () => 0n), ...tail];
  return all.reduce((value, group) => (value << 16n) | group, 0n);
}

/** The address in a text; null when it is none. IPv4 mapped into IPv6 is IPv4, as Go has it. */
export function parseIp(text: string): Ip | null {
  const four = parseFour(text);
  if (four !== null) return { family: 4, value: four };
  const six = text.includes(':') ? parseSix(text) : null;
  if (six === null) return null;
  return six >> 32n === 0xffffn ? { family: 4, value: six & 0xffff_ffffn } : { family: 6, value: six };
}

/** The network in a text such as "10.88.0.0/16"; null when it is none. Host bits are kept. */
export function parseCidr(text: string): Cidr | null {
  const [address = '', length = '', ...rest] = text.split('/');
  const ip = parseIp(address);
  if (ip === null || rest.length > 0 || !/^\d{1,3}$/.test(length)) return null;
  const prefix = Number(length);
  return prefix <= bitsOf(ip.family) ? { ip, prefix } : null;
}

/** The canonical text: RFC 5952 for IPv6, so that file names and comparisons agree with the plugins'. */
export function formatIp({ family, value }: Ip): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 0xffn)).join('.');
  const parts = Array.from({ length: 8 }, (_, at) => ((value >> BigInt(112 - at * 16)) & 0xffffn).toString(16));
  let best = { from: -1, length: 1 };
  for (let from = 0; from < 8; from += 1) {
    let length = 0;
    while (parts[from + length] === '0') length += 1;
    if (length > best.length) best = { from, length };
    from += length;
  }
  if (best.from < 0) return parts.join(':');
  return `${parts.slice(0, best.from).join(':')}::${parts.slice(best.from + best.length).join(':')}`;
}

export const formatCidr = ({ ip, prefix }: Cidr): string => `${formatIp(ip)}/${prefix}`;

/** The first address of a network: host bits cleared. */
export function networkOf({ ip, prefix }: Cidr): Ip {
  const host = BigInt(bitsOf(ip.family) - prefix);
  return { family: ip.family, value: (ip.value >> host) << host };
}

/** The last address of a network: host bits set (IPv4's broadcast address). */
export function lastOf({ ip, prefix }: Cidr): Ip {
  const host = BigInt(bitsOf(ip.family) - prefix);
  return { family: ip.family, value: ((ip.value >> host) << host) | ((1n << host) - 1n) };
}

/** The network itself, in text. */
export const formatNetwork = (cidr: Cidr): string => formatCidr({ ip: networkOf(cidr), prefix: cidr.prefix });

export const contains = (cidr: Cidr, ip: Ip): boolean =>
  ip.family === cidr.ip.family && networkOf(cidr).value <= ip.value && ip.value <= lastOf(cidr).value;

export const offset = ({ family, value }: Ip, by: number): Ip => ({ family, value: value + BigInt(by) });

/**
 * The hardware address that belongs to an IP address: the same pod address always has the same, so no
 * neighbour entry goes stale when an address is given out again ("0a:58" is the CNI project's prefix).
 */
export function macOf({ value }: Ip): string {
  const low = (value & 0xffff_ffffn).toString(16).padStart(8, '0');
  return `0a:58:${low.slice(0, 2)}:${low.slice(2, 4)}:${low.slice(4, 6)}:${low.slice(6, 8)}`;
}
