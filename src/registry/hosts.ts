// Finds the hosts.toml of a host and makes endpoints of it. Read at every pull: changes need no restart.
// Must not speak to a host.
import { failedPrecondition, invalidArgument } from '../lib/failure.ts';
import { canonicalRegistry } from '../lib/registry-host.ts';
import { canonicalHost } from './credentials.ts';
import { type Endpoint, systemTls, type TlsFiles, type TlsMaterial } from './endpoint.ts';
import { type ClientFiles, type HostEntry, type HostsFile, parseHostsFile } from './hosts-toml.ts';
import type { Location } from './locations.ts';
import { bareHost, isLoopback, proxyFor, type ProxySettings, withScheme } from './proxy.ts';

/** Reads a text file: null if it is not there, a failure for all else. */
export type ReadText = (path: string, maxBytes: number) => Promise<string | null>;

/** Names of the files of a directory in order; none if it is not there, a failure for all else. */
export type ListDir = (path: string) => Promise<readonly string[]>;

export interface HostsOptions {
  /** Directory of `<host>/hosts.toml` directories; "" for none. */
  readonly hostsDir: string;
  readonly readText: ReadText;
  readonly listDir: ListDir;
  readonly proxies: ProxySettings;
  readonly connectMs: number;
}

const longestFile = 1024 * 1024;

/** The endpoints of a location in the order they are asked: mirrors, then the host (or its `server`). */
export async function hostEndpoints(options: HostsOptions, location: Location): Promise<Endpoint[]> {
  const { file, dir } = await readHostsFile(options, location);
  const at = { options, location, dir };
  const made: Endpoint[] = [];
  for (const entry of file.mirrors) made.push(...(await endpointsOf(at, entry)));
  return [...made, ...(await serverEndpoints(at, file.server ?? plainEntry))];
}

/** Those of the host itself (or its `server`): where content is sent, as mirrors only have copies. */
export async function pushEndpoints(options: HostsOptions, location: Location): Promise<Endpoint[]> {
  const { file, dir } = await readHostsFile(options, location);
  return serverEndpoints({ options, location, dir }, file.server ?? plainEntry);
}

async function serverEndpoints(at: Where, own: HostEntry): Promise<Endpoint[]> {
  const { location, dir } = at;
  const lax = location.skipVerify ? { skipVerify: true } : {};
  if (own.url !== '') return endpointsOf(at, { ...own, ...lax });
  const url = defaultUrl(location.host);
  // what the host's own directory says counts before registries.conf
  const insecure = (location.insecure && dir === '') || location.skipVerify;
  if (!insecure || url.startsWith('http:')) return endpointsOf(at, { ...own, url });
  const [encrypted] = await endpointsOf(at, { ...own, url, skipVerify: true });
  const plain = await endpointsOf(at, { ...own, url: url.replace(/^https:/, 'http:') });
  return [...(encrypted ? [encrypted] : []), ...plain.map((p) => ({ ...p, insteadOf: encrypted?.base ?? null }))];
}

/** Directory names that a registry's settings may have: `host`, or `host_port_` and `host:port`; then `_default`. */
export function hostDirectories(registry: string): string[] {
  const match = /^(.*):([0-9]+)$/.exec(registry.replace(/\[.*\]/, (v6) => v6.replaceAll(':', ';')));
  const own = match === null ? [registry] : [`${match[1]?.replaceAll(';', ':')}_${match[2]}_`, registry];
  return [...own, '_default'];
}

/**
 * The directories that may have a location's settings, the spelling of the name first: what is said of a registry holds
 * however its host is written (Reg.Example:443 and reg.example, index.docker.io and docker.io).
 */
async function directoriesFor({ hostsDir, listDir }: HostsOptions, { host, isNamed }: Location): Promise<string[]> {
  const own = canonicalRegistry(host);
  const written = [...hostDirectories(host), ...hostDirectories(own)].filter((name) => name !== '_default');
  const others = (await listDir(hostsDir)).filter((name) => canonicalRegistry(registryOf(name)) === own);
  return [...new Set([...written, ...others]), ...(isNamed ? ['_default'] : [])];
}

/** The registry that a directory is named after: `host_port_` is `host:port`. */
const registryOf = (directory: string): string => directory.replace(/_([0-9]+)_$/, ':$1');

const nothing: HostsFile = { mirrors: [], server: null };

/** `_default` is for hosts that references name, not for those that registries.conf leads to. */
async function readHostsFile(options: HostsOptions, location: Location): Promise<{ file: HostsFile; dir: string }> {
  if (options.hostsDir === '') return { file: nothing, dir: '' };
  for (const name of await directoriesFor(options, location)) {
    const dir = `${options.hostsDir}/${name}`;
    const text = await options.readText(`${dir}/hosts.toml`, longestFile);
    if (text !== null) return { file: parseHostsFile(text, `${dir}/hosts.toml`), dir };
    const server = name === '_default' ? null : certificatesOf(await options.listDir(dir), dir);
    if (server !== null) return { file: { mirrors: [], server }, dir };
  }
  return { file: nothing, dir: '' };
}

/** A directory without hosts.toml in Docker's manner: `*.crt` are authorities, `x.cert` and `x.key` are ours. */
function certificatesOf(names: readonly string[], dir: string): HostEntry | null {
  const ca = names.filter((name) => name.endsWith('.crt'));
  const clients = names
    .filter((name) => name.endsWith('.cert'))
    .map((cert): ClientFiles => {
      const key = cert.replace(/\.cert$/, '.key');
      if (!names.includes(key)) throw failedPrecondition(`registry certificate ${dir}/${cert} has no key ${key}`);
      return { cert, key };
    });
  const lonely = names.find((name) => name.endsWith('.key') && !names.includes(name.replace(/\.key$/, '.cert')));
  if (lonely !== undefined) throw failedPrecondition(`registry key ${dir}/${lonely} has no certificate beside it`);
  return ca.length === 0 && clients.length === 0 ? null : { ...plainEntry, ca, clients };
}

const plainEntry: HostEntry = {
  url: '',
  capabilities: ['pull', 'resolve', 'push'],
  ca: [],
  clients: [],
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
  const url = parseUrl(`https://${registry}`, registry, invalidArgument);
  return isLoopback(bareHost(url.hostname)) && !registry.endsWith(':443')
    ? `http://${registry}`
    : `https://${registry}`;
}

interface Where {
  readonly options: HostsOptions;
  readonly location: Location;
  readonly dir: string;
}

/** One endpoint, or one for each certificate of ours: a host that refuses the first is asked with the next. */
async function endpointsOf(where: Where, entry: HostEntry): Promise<Endpoint[]> {
  const { options, location, dir } = where;
  const url = entryUrl(entry);
  const path = url.pathname.replace(/\/+$/, '');
  const isOrigin = isSameHost(url, location.host);
  const rest = {
    base: `${url.protocol}//${url.host}${entry.overridePath || path.endsWith('/v2') ? path : `${path}/v2`}`,
    host: url.host,
    repository: location.repository,
    isOrigin: isOrigin && location.isNamed,
    canResolve: entry.capabilities.includes('resolve'),
    canPull: entry.capabilities.includes('pull'),
    canPush: entry.capabilities.includes('push'),
    headers: entry.headers,
    sharesCredentials: entry.credentialsFrom === 'origin',
    namespace: isOrigin ? null : location.host,
    proxy: entry.proxy === null ? proxyFor(options.proxies, url) : entry.proxy === '' ? null : withScheme(entry.proxy),
    connectMs: entry.dialTimeoutMs ?? options.connectMs,
    insteadOf: null,
  };
  const clients = entry.clients.length === 0 ? [null] : entry.clients;
  return Promise.all(
    clients.map(async (client) => {
      const tls = tlsFiles(entry, client, dir);
      return { ...rest, tls, material: await readMaterial(tls, options.readText) };
    }),
  );
}

/** The URL of an entry; the Docker Hub's name is not where its registry is. */
function entryUrl(entry: HostEntry): URL {
  const written = /^https?:\/\//i.test(entry.url) ? entry.url : schemeFor(entry.url);
  const url = parseUrl(written, entry.url, failedPrecondition);
  if (url.host === 'docker.io') url.host = 'registry-1.docker.io';
  return url;
}

/** A host written without scheme: plain HTTP only on loopback. */
const schemeFor = (host: string): string =>
  `${isLoopback(bareHost(URL.parse(`https://${host}`)?.hostname ?? '')) ? 'http' : 'https'}://${host}`;

/** Whether a URL leads to the registry that a reference names; its port may be left out in either. */
function isSameHost(url: URL, registry: string): boolean {
  const named = URL.parse(`${url.protocol}//${registry}`);
  return named !== null && canonicalHost(named.host) === canonicalHost(url.host);
}

function parseUrl(text: string, label: string, make: typeof invalidArgument): URL {
  const url = URL.parse(text);
  if (url === null || url.hostname === '' || url.username !== '' || url.search !== '' || url.hash !== '') {
    throw make(`registry host ${JSON.stringify(label)} is not a usable address`);
  }
  return url;
}

function tlsFiles(entry: HostEntry, client: ClientFiles | null, dir: string): TlsFiles {
  const full = (file: string): string => (file.startsWith('/') ? file : `${dir}/${file}`);
  return {
    caFiles: entry.ca.map(full),
    clientCert: client === null ? null : full(client.cert),
    clientKey: client === null ? null : full(client.key),
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
