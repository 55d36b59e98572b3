// PURE
// One spelling for each registry host: rules about a registry must hold however its host is written.

/** The names of the Docker Hub. */
export const hubHosts: ReadonlySet<string> = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io']);

const loopbackHost = /^(?:(?:.+\.)?localhost|127\.[0-9.]+|\[::1\])$/;

/**
 * A host with or without port as rules see it: lower case, addresses in their usual form, without the port that it
 * would be asked at anyhow (443, on loopback 80), the Docker Hub by one name. Also of `*.example.com`.
 */
export function canonicalRegistry(host: string): string {
  const url = /[@?#\\/]/.test(host) ? null : URL.parse(`https://${host}`);
  if (url === null) return host.toLowerCase();
  const plain = loopbackHost.test(url.hostname) ? URL.parse(`http://${host}`) : url;
  const name = (plain ?? url).host;
  return hubHosts.has(name) ? 'docker.io' : name;
}

/** The same for a name or a beginning of one, `host[:port][/path…]`: what follows the host stays as it is. */
export function canonicalPlace(place: string): string {
  const slash = place.indexOf('/');
  const host = slash < 0 ? place : place.slice(0, slash);
  return host === '' ? place : `${canonicalRegistry(host)}${slash < 0 ? '' : place.slice(slash)}`;
}
