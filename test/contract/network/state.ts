// What a pod and its host have of a network, as values that two hosts can be compared by: without what is drawn by
// chance or named by whoever made it (hardware addresses, the host's end, chains).
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Host, Namespace, Pod } from './host.ts';

interface Link {
  readonly ifname: string;
  readonly ifindex: number;
  readonly link_index?: number;
  readonly mtu: number;
  readonly master?: string;
  readonly flags: readonly string[];
  readonly linkinfo?: {
    readonly info_kind?: string;
    readonly info_data?: Record<string, unknown>;
    readonly info_slave_data?: Record<string, unknown>;
  };
}

const json = (at: Namespace, command: string): unknown => JSON.parse(at.sh(command) || '[]');

const flags = ({ flags: all }: Link): string[] => all.filter((flag) => ['UP', 'PROMISC', 'ALLMULTI'].includes(flag));

function addresses(at: Namespace, name: string): string[] {
  type Of = { addr_info: { scope: string; local: string; prefixlen: number; broadcast?: string }[] };
  const found = (json(at, `ip -j addr show dev ${name}`) as Of[]).flatMap(({ addr_info: list }) => list ?? []);
  return found.filter(({ scope }) => scope === 'global').map(({ local, prefixlen }) => `${local}/${prefixlen}`);
}

function routes(at: Namespace): string[] {
  type Route = { dst: string; gateway?: string; dev: string; scope?: string; prefsrc?: string; metric?: number };
  const all = [...(json(at, 'ip -j -4 route') as Route[]), ...(json(at, 'ip -j -6 route') as Route[])];
  return all
    .filter(({ dst }) => !dst.startsWith('fe80') && dst !== 'multicast')
    .map(({ dst, gateway, dev, scope, prefsrc, metric }) =>
      [dst, 'by', dev, 'via', gateway, 'scope', scope, 'src', prefsrc, 'metric', metric].join(' '),
    )
    .sort();
}

/** A pod's interface, addresses and routes, and its end in the host. */
export function podState(h: Host, pod: Pod): Record<string, unknown> {
  const [inner] = json(pod, 'ip -j -d link show dev eth0') as Link[];
  if (!inner) throw new Error('the pod has no eth0');
  const outer = (json(h, 'ip -j -d link') as Link[]).find(({ ifindex }) => ifindex === inner.link_index);
  const port = outer?.linkinfo?.info_slave_data ?? {};
  return {
    kind: inner.linkinfo?.info_kind,
    mtu: inner.mtu,
    flags: flags(inner),
    addresses: addresses(pod, 'eth0'),
    routes: routes(pod),
    loopback: flags((json(pod, 'ip -j link show dev lo') as Link[])[0] as Link),
    host: {
      mtu: outer?.mtu,
      flags: outer && flags(outer),
      master: outer?.master,
      ...Object.fromEntries(['hairpin', 'isolated', 'learning', 'flood'].map((key) => [key, port[key]])),
    },
  };
}

/** The bridge of a network, and what the host was told about it. */
export function bridgeState(h: Host, bridge: string): Record<string, unknown> {
  const [link] = json(h, `ip -j -d link show dev ${bridge}`) as Link[];
  const sysctl = (key: string): string => h.sh(`cat /proc/sys/net/${key} 2>/dev/null || echo none`).trim();
  return {
    kind: link?.linkinfo?.info_kind,
    mtu: link?.mtu,
    flags: link && flags(link),
    ...Object.fromEntries(
      ['vlan_filtering', 'stp_state', 'ageing_time', 'mcast_snooping'].map((key) => [
        key,
        link?.linkinfo?.info_data?.[key],
      ]),
    ),
    addresses: addresses(h, bridge),
    acceptRa: sysctl(`ipv6/conf/${bridge}/accept_ra`),
  };
}

/** The host's switches for forwarding. */
export const forwarding = (h: Host): string => h.sh('cat /proc/sys/net/ipv4/ip_forward').trim();

/** The allocation files of a network: names, modes and contents, with pods by their place. */
export function allocations(h: Host, network: string, pods: readonly Pod[]): Record<string, string> {
  const dir = join(h.dirs.allocations, network);
  if (!existsSync(dir)) return {};
  const named = (text: string): string => pods.reduce((all, { id }, at) => all.replaceAll(id, `<pod ${at}>`), text);
  const files = readdirSync(dir).toSorted();
  return Object.fromEntries(
    files.map((name) => {
      const file = join(dir, name);
      const mode = name === 'lock' ? '' : `${(statSync(file).mode & 0o777).toString(8)} `;
      return [name, `${mode}${named(readFileSync(file, 'utf8'))}`];
    }),
  );
}

/** Rules that name one of these addresses, or one of these pods. */
export function rulesAbout(h: Host, words: readonly string[]): string[] {
  const all = `${h.sh('iptables-save')}\n${h.sh('ip6tables-save')}`.split('\n');
  return all.filter((line) => line.startsWith('-A') && words.some((word) => line.includes(word)));
}
