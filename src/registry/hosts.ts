// Finds the hosts.toml of a registry and makes endpoints of it. Read at every pull: changes need no restart.
// Must not speak to a host.
import { failedPrecondition, invalidArgument } from '../lib/failure.ts';
import { canonicalHost } from './credentials.ts';
import { type Endpoint, systemTls, type TlsFiles, type TlsMaterial } from './endpoint.ts';
import { type HostEntry, type HostsFile, parseHostsFile } from './hosts-toml.ts';
import { bareHost, isLoopback, proxyFor, type ProxySettings, withScheme } from './proxy.ts';

/** Reads a text file: null if it is not there, a failure for all else. */
export type ReadText = (path: string, maxBytes: number) => Promise<string | null>;

export interface HostsOptions {
  /** Directory of `<host>/hosts.toml` directories; "" for none. */
  readonly hostsDir: string;
  readonly readText: ReadText;
  readonly proxies: ProxySettings;
  readonly connectMs: number;
}

const longestFile = 1024 * 1024;

/** The endpoints of a registry in the order they are asked: mirrors, then the registry (or its `server`). */
export async function findEndpoints(options: HostsOptions, registry: string): Promise<Endpoint[]> {
  const { file, dir } = await readHostsFile(options, registry);
  const at = { options, registry, dir };
  const mirrors: Endpoint[] = [];
  for (const entry of file.mirrors) mirrors.push(await endpointOf(at, entry));
  const own = file.server ?? plainEntry;
  return [...mirrors, await endpointOf(at, own.url === '' ? { ...own, url: defaultUrl(registry) } : own)];
}

/** Directory names that a registry's settings may have: `host`, or `host_port_` and `host:port`; then `_default`. */
export function hostDirectories(registry: string): string[] {
  const match = /^(.*):([0-9]+)$/.exec(registry.replace(/\[.*\]/, (v6) => v6.replaceAll(':', ';')));
  const own = match === null ? [registry] : [`${match[1]?.replaceAll(';', ':')}_${match[2]}_`, registry];
  return [...own, '_default'];
}

async function readHostsFile(options: HostsOptions, registry: string): Promise<{ file: HostsFile; dir: string }> {
  if (options.hostsDir === '') return { file: { mirrors: [], server: null }, dir: '' };
  for (const name of hostDirectories(registry)) {
    const dir = `${options.hostsDir}/${name}`;
    const text = await options.readText(`${dir}/hosts.toml`, longestFile);
    if (text !== null) return { file: parseHostsFile(text, `${dir}/hosts.toml`), dir };
  }
  return { file: { mirrors: [], server: null }, dir: '' };
}

const plainEntry: HostEntry = {
  url: '',
  capabilities: ['pull', 'resolve', 'push'],
  ca: [],
  client: null,
  skipVerify: false,
  overridePath: false,
  headers: [],
  dialTimeoutMs: null,
  credentialsFrom: 'none',
  proxy: null,
};

/** Where a registry is without settings: TLS, but plain HTTP on loopback (except on port 443). */
function defaultUrl(registry: string): string {
  if (registry === 'docker.io') return 'https://registry-1.docker.io';
  const url = parseUrl(`https://${registry}`, registry);
  return isLoopback(bareHost(url.hostname)) && !registry.endsWith(':443')
    ? `http://${registry}`
    : `https://${registry}`;
}

interface Where {
  readonly options: HostsOptions;
  readonly registry: string;
  readonly dir: string;
}

async function endpointOf(where: Where, entry: HostEntry): Promise<Endpoint> {
  const { options, registry, dir } = where;
  const written = /^https?:\/\//i.test(entry.url) ? entry.url : schemeFor(entry.url);
  const url = parseUrl(written, entry.url);
  const path = url.pathname.replace(/\/+$/, '');
  const base = `${url.protocol}//${url.host}${entry.overridePath || path.endsWith('/v2') ? path : `${path}/v2`}`;
  const isOrigin = isSameHost(url, registry);
  const files = tlsFiles(entry, dir);
  return {
    base,
    host: url.host,
    isOrigin,
    canResolve: entry.capabilities.includes('resolve'),
    canPull: entry.capabilities.includes('pull'),
    tls: files,
    material: await readMaterial(files, options.readText),
    headers: entry.headers,
    sharesCredentials: entry.credentialsFrom === 'origin',
    namespace: isOrigin ? null : registry,
    proxy: entry.proxy === null ? proxyFor(options.proxies, url) : entry.proxy === '' ? null : withScheme(entry.proxy),
    connectMs: entry.dialTimeoutMs ?? options.connectMs,
  };
}

/** A host written without scheme: plain HTTP only on loopback. */
const schemeFor = (host: string): string =>
  `${isLoopback(bareHost(URL.parse(`https://${host}`)?.hostname ?? '')) ? 'http' : 'https'}://${host}`;

/** Whether a URL leads to the registry that a reference names; its port may be left out in either. */
function isSameHost(url: URL, registry: string): boolean {
  const named = URL.parse(`${url.protocol}//${registry}`);
  return named !== null && canonicalHost(named.host) === canonicalHost(url.host);
}

function parseUrl(text: string, label: string): URL {
  const url = URL.parse(text);
  if (url === null || url.username !== '' || url.search !== '' || url.hash !== '') {
    throw invalidArgument(`registry host ${JSON.stringify(label)} is not a usable address`);
  }
  return url;
}

function tlsFiles(entry: HostEntry, dir: string): TlsFiles {
  const full = (file: string): string => (file.startsWith('/') ? file : `${dir}/${file}`);
  return {
    caFiles: entry.ca.map(full),
    clientCert: entry.client === null ? null : full(entry.client.cert),
    clientKey: entry.client === null ? null : full(entry.client.key),
    skipVerify: entry.skipVerify,
  };
}

async function readMaterial(files: TlsFiles, readText: ReadText): Promise<TlsMaterial> {
  const read = async (file: string): Promise<string> => {
    const text = await readText(file, longestFile);
    if (text === null) throw failedPrecondition(`registry certificate file ${file} does not exist`);
    return text;
  };
  if (files.caFiles.length === 0 && files.clientCert === null) {
    return { ...systemTls.material, skipVerify: files.skipVerify };
  }
  return {
    ca: await Promise.all(files.caFiles.map(read)),
    cert: files.clientCert === null ? null : await read(files.clientCert),
    key: files.clientKey === null ? null : await read(files.clientKey),
    skipVerify: files.skipVerify,
  };
}
