// PURE
// Contents of a pod's hosts, hostname and resolv.conf.
import type { DnsConfig } from './sandbox.ts';

export interface PodFileInput {
  readonly hostname: string;
  readonly ips: readonly string[];
  readonly dns: DnsConfig | null;
  readonly hostNetwork: boolean;
  readonly host: { readonly hosts: string; readonly resolvConf: string };
}

const localNames = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::0\tip6-localnet',
  'fe00::0\tip6-mcastprefix',
  'fe00::1\tip6-allnodes',
  'fe00::2\tip6-allrouters',
];

/** /etc/hosts of a pod: local names and its own; with the host's network, the host's. */
function hostsFile(input: PodFileInput): string {
  if (input.hostNetwork && input.host.hosts !== '') return input.host.hosts;
  return `${[...localNames, ...input.ips.map((ip) => `${ip}\t${input.hostname}`)].join('\n')}\n`;
}

const isEmpty = (dns: DnsConfig | null): dns is null =>
  dns === null || (dns.servers.length === 0 && dns.searches.length === 0 && dns.options.length === 0);

/** /etc/resolv.conf: search, nameserver and options lines from DNSConfig; without one, the host's. */
function resolvConf(input: PodFileInput): string {
  const { dns } = input;
  if (isEmpty(dns)) return input.host.resolvConf;
  const lines: string[] = [];
  if (dns.searches.length > 0) lines.push(`search ${dns.searches.join(' ')}`);
  for (const server of dns.servers) lines.push(`nameserver ${server}`);
  if (dns.options.length > 0) lines.push(`options ${dns.options.join(' ')}`);
  return `${lines.join('\n')}\n`;
}

/** The three files. */
export const podFiles = (input: PodFileInput): { hosts: string; hostname: string; resolvConf: string } => ({
  hosts: hostsFile(input),
  hostname: `${input.hostname}\n`,
  resolvConf: resolvConf(input),
});
