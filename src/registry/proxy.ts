// Which proxy a request goes through: HTTP_PROXY, HTTPS_PROXY, NO_PROXY as Go's net/http reads them.
// Must not send anything.
import net, { isIP } from 'node:net';

/** The environment's proxy settings. */
export interface ProxySettings {
  /** For http and https targets; "" for none. */
  readonly http: string;
  readonly https: string;
  /** Comma-separated hosts, domains, addresses, CIDR ranges, `*`; each may carry a port. */
  readonly none: string;
}

/** Picks the settings out of an environment; upper case counts before lower case. */
export const proxySettings = (env: Readonly<Record<string, string | undefined>>): ProxySettings => ({
  http: env.HTTP_PROXY || env.http_proxy || '',
  https: env.HTTPS_PROXY || env.https_proxy || '',
  none: env.NO_PROXY || env.no_proxy || '',
});

/** The environment of credential helpers: nothing of the daemon's but its proxies. */
export const helperEnvironment = (env: Readonly<Record<string, string | undefined>>): Record<string, string> => {
  const { http, https, none } = proxySettings(env);
  const proxies = { HTTP_PROXY: http, HTTPS_PROXY: https, NO_PROXY: none };
  return {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/root',
    LANG: 'C.UTF-8',
    ...Object.fromEntries(Object.entries(proxies).filter(([, value]) => value !== '')),
  };
};

/** The proxy for a URL as `http(s)://[user:password@]host:port`, or null. Loopback is never proxied. */
export function proxyFor(settings: ProxySettings, url: URL): string | null {
  const setting = url.protocol === 'https:' ? settings.https : settings.http;
  const host = bareHost(url.hostname);
  if (setting === '' || isLoopback(host)) return null;
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return isExcluded(settings.none, host, port) ? null : withScheme(setting);
}

/** A proxy's address with its scheme; http where none is written. */
export const withScheme = (address: string): string => (/^https?:\/\//i.test(address) ? address : `http://${address}`);

/** A host name as URL has it, without the brackets of an IPv6 address. */
export const bareHost = (hostname: string): string => hostname.replace(/^\[|\]$/g, '').toLowerCase();

/** Whether a bare host is this machine. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' ||
  host.endsWith('.localhost') ||
  host === '::1' ||
  (isIP(host) === 4 && host.startsWith('127.'));

function isExcluded(list: string, host: string, port: string): boolean {
  return list
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => matches(entry.toLowerCase(), host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  if (entry.includes('/')) return inRange(entry, host);
  const { name, onlyPort } = splitPort(entry);
  if (onlyPort !== '' && onlyPort !== port) return false;
  if (isIP(name) !== 0) return name === host;
  // "example.com" covers its subdomains too, ".example.com" and "*.example.com" only them
  const domain = name.replace(/^\*?\./, '');
  return host.endsWith(`.${domain}`) || (name === domain && host === domain);
}

function splitPort(entry: string): { name: string; onlyPort: string } {
  if (isIP(entry) === 6) return { name: entry, onlyPort: '' };
  const match = /^(.*?)(?::([0-9]+))?$/.exec(entry);
  return { name: bareHost(match?.[1] ?? entry), onlyPort: match?.[2] ?? '' };
}

function inRange(cidr: string, host: string): boolean {
  const [address = '', bits = ''] = cidr.split('/');
  const family = isIP(address);
  if (family === 0 || isIP(host) !== family || !/^[0-9]{1,3}$/.test(bits)) return false;
  if (Number(bits) > (family === 4 ? 32 : 128)) return false;
  const list = new net.BlockList();
  list.addSubnet(address, Number(bits), family === 4 ? 'ipv4' : 'ipv6');
  return list.check(host, family === 4 ? 'ipv4' : 'ipv6');
}
