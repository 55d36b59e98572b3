// The endpoints of a name: registries.conf says at which hosts and under which path, the hosts.toml of each
// host how it is spoken to. Must not speak to a host.
import type { Endpoint } from './endpoint.ts';
import { type HostsOptions, hostEndpoints } from './hosts.ts';
import { locate, type Name } from './locations.ts';
import { mergeRegistriesConf, noRegistriesConf, parseRegistriesConf, type RegistriesConf } from './registries-conf.ts';

export interface EndpointsOptions extends HostsOptions {
  /** A registries.conf, "" for none. Its drop-ins are `<path>.d/*.conf`. */
  readonly registriesConf: string;
  /** What is in a file and has no effect, at each reading. */
  readonly onNote: (note: string) => void;
}

const longestFile = 1024 * 1024;

/** The endpoints of a name in the order they are asked. Throws permission-denied for a name that is blocked. */
export async function findEndpoints(options: EndpointsOptions, name: Name): Promise<Endpoint[]> {
  const conf = await readRegistriesConf(options);
  for (const note of conf.notes) options.onNote(note);
  const found: Endpoint[] = [];
  for (const location of locate(conf, name)) found.push(...(await hostEndpoints(options, location)));
  return found;
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
