// The endpoints of a name: registries.conf says at which hosts and under which path, the hosts.toml of each
// host how it is spoken to. Must not speak to a host.
import { failedPrecondition } from '../lib/failure.ts';
import type { Endpoint } from './endpoint.ts';
import { type HostsOptions, hostEndpoints, pushEndpoints } from './hosts.ts';
import { locate, type Location, type Name } from './locations.ts';
import { mergeRegistriesConf, noRegistriesConf, parseRegistriesConf, type RegistriesConf } from './registries-conf.ts';

export interface EndpointsOptions extends HostsOptions {
  /** A registries.conf, "" for none. Its drop-ins are `<path>.d/*.conf`. */
  readonly registriesConf: string;
  /** What is in a file and has no effect, at each reading. */
  readonly onNote: (note: string) => void;
}

const longestFile = 1024 * 1024;

/** A name to look for, and whether its caller takes any certificate of the registry that it names. */
export interface Wanted extends Name {
  readonly skipVerify: boolean;
}

/** The endpoints of a name in the order they are asked. Throws permission-denied for a name that is blocked. */
export async function findEndpoints(options: EndpointsOptions, name: Wanted): Promise<Endpoint[]> {
  const found: Endpoint[] = [];
  for (const location of await locations(options, name)) found.push(...(await hostEndpoints(options, location)));
  return found;
}

/**
 * Where content of a name is sent: to the registry that it names, never to a mirror or to where registries.conf moves
 * it. Throws permission-denied for a name that is blocked, failed-precondition where the registry is read-only by hosts.toml.
 */
export async function findPushEndpoints(options: EndpointsOptions, name: Wanted): Promise<Endpoint[]> {
  const named = (await locations(options, name)).find(({ isNamed }) => isNamed);
  const { host, path: repository, skipVerify } = name;
  const location = named ?? { host, repository, insecure: false, skipVerify, isNamed: true };
  const found = (await pushEndpoints(options, location)).filter(({ canPush }) => canPush);
  if (found.length === 0)
    throw failedPrecondition(`hosts.toml of registry ${host} does not have the capability "push"`);
  return found;
}

async function locations(options: EndpointsOptions, name: Wanted): Promise<Location[]> {
  const conf = await readRegistriesConf(options);
  for (const note of conf.notes) options.onNote(note);
  return locate(conf, name).map((at) => ({ ...at, skipVerify: name.skipVerify && at.isNamed }));
}

/** The file and its drop-ins in the order of their names, as they are now. */
async function readRegistriesConf(options: EndpointsOptions): Promise<RegistriesConf> {
  const { registriesConf: path, readText, listDir } = options;
  if (path === '') return noRegistriesConf;
  const drops = (await listDir(`${path}.d`)).filter((name) => name.endsWith('.conf'));
  const files = [path, ...drops.map((name) => `${path}.d/${name}`)];
  const texts = await Promise.all(files.map((file) => readText(file, longestFile)));
  return mergeRegistriesConf(
    texts.flatMap((text, at) => (text === null ? [] : [parseRegistriesConf(text, files[at] ?? path)])),
  );
}
