// PURE
// CNI network configurations as the CNI specification has them (0.3.0 to 1.1.0): reading and checking.

/** One plugin's part of a configuration, as written. */
export interface PluginConfig {
  readonly type: string;
  readonly capabilities: Readonly<Record<string, boolean>>;
  /** The whole object, with keys we do not know. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** A network configuration list. */
export interface NetworkConfig {
  readonly name: string;
  /** The newest version that the configuration and we both have, or what its plugins were found to speak. */
  readonly cniVersion: string;
  /** Every version that the configuration and we both have, newest first. */
  readonly versions: readonly string[];
  readonly disableCheck: boolean;
  readonly disableGc: boolean;
  readonly plugins: readonly PluginConfig[];
}

/** Versions that we speak, oldest first. */
export const cniVersions = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;

/** Whether a configuration's version is at least this one. */
export const atLeast = (config: { readonly cniVersion: string }, version: (typeof cniVersions)[number]): boolean =>
  cniVersions.indexOf(config.cniVersion as never) >= cniVersions.indexOf(version);

/** A configuration that cannot be used; the message says why. */
export class BadConfig extends Error {
  constructor(why: string) {
    super(why);
    this.name = 'BadConfig';
  }
}

type Plain = Readonly<Record<string, unknown>>;

/** Whether a value is a JSON object. */
export const isPlain = (value: unknown): value is Plain =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

// names become directory and file names
const networkName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const pluginType = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

function versions(config: Plain): readonly [string, ...string[]] {
  const offered = config['cniVersions'] ?? [];
  if (!Array.isArray(offered)) throw new BadConfig('cniVersions is not a list');
  const all: unknown[] = [config['cniVersion'] ?? '0.1.0', ...(offered as unknown[])];
  const [best, ...older] = cniVersions.filter((known) => all.includes(known)).toReversed();
  if (best === undefined) throw new BadConfig(`cniVersion ${all.map(String).join(', ')} is not supported`);
  return [best, ...older];
}

/** A flag of a list: true or false, also as a text, as libcni takes it. */
function flag(config: Plain, key: string): boolean {
  const value = config[key] ?? false;
  const read = typeof value === 'string' ? value.toLowerCase() : value;
  if (read === true || read === 'true') return true;
  if (read === false || read === 'false') return false;
  throw new BadConfig(`${key} is neither true nor false`);
}

/** Whether a configuration is a list: one without `plugins` has all of its plugins in its directory (1.1.0). */
const isList = (config: Plain): boolean =>
  'plugins' in config || (!('type' in config) && versions(config)[0] === '1.1.0');

function plugin(raw: unknown): PluginConfig {
  if (!isPlain(raw)) throw new BadConfig('a plugin is not an object');
  const { type, capabilities } = raw;
  if (typeof type !== 'string' || !pluginType.test(type)) throw new BadConfig('a plugin has no usable type');
  const given = isPlain(capabilities) ? Object.entries(capabilities) : [];
  return { type, raw, capabilities: Object.fromEntries(given.map(([key, value]) => [key, value === true])) };
}

/**
 * Reads a `.conflist`, or a `.conf`/`.json` with a single plugin. `beside` are the plugins that a 1.1
 * list without `loadOnlyInlinedPlugins` takes from the directory named after it.
 */
export function parseNetworkConfig(text: string, beside: readonly string[] = []): NetworkConfig {
  const config = parseObject(text);
  const { name } = config;
  if (typeof name !== 'string' || !networkName.test(name)) throw new BadConfig('the name is missing or unusable');
  const inlined = isList(config) ? (config['plugins'] ?? []) : [config];
  if (!Array.isArray(inlined)) throw new BadConfig('plugins is not a list');
  const plugins = [...(inlined as unknown[]), ...beside.map(parseObject)].map(plugin);
  if (plugins.length === 0) throw new BadConfig('there are no plugins');
  const spoken = versions(config);
  return {
    name,
    cniVersion: spoken[0],
    versions: spoken,
    disableCheck: flag(config, 'disableCheck'),
    disableGc: flag(config, 'disableGC'),
    plugins,
  };
}

/** The name of a list that wants plugins from the directory of that name, else null. */
export function wantsPluginsBeside(text: string): string | null {
  const config = parseObject(text);
  const { name } = config;
  const wants = isList(config) && !flag(config, 'loadOnlyInlinedPlugins') && versions(config)[0] === '1.1.0';
  return wants && typeof name === 'string' && networkName.test(name) ? name : null;
}

function parseObject(text: string): Plain {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new BadConfig(`not JSON: ${(error as Error).message}`);
  }
  if (!isPlain(parsed)) throw new BadConfig('not a JSON object');
  return parsed;
}

/** Whether a file of the configuration directory is one of ours to read. */
export const isConfigFile = (file: string): boolean => /\.(conf|conflist|json)$/.test(file) && !file.startsWith('.');
