// Where random requests may reach on this host, and the guard that no other is ever sent.
import { Later } from './live.ts';

/** Directories and names that belong to one run. */
export interface Ground {
  /** Everything that requests may write to. */
  readonly dir: string;
  /** The only cgroups that requests may name, below /podwright. */
  readonly cgroup: string;
  /** The image of most containers, and one that may be removed. */
  readonly image: string;
  readonly spareImage: string;
}

/** Ports of loopback that requests may publish, both included. */
export const ports = [40_000, 40_200] as const;

/** Devices that do no harm. */
export const devices: readonly string[] = ['/dev/null', '/dev/zero', '/dev/full'];

type Loose = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Loose =>
  typeof value === 'object' && value !== null && !Buffer.isBuffer(value);

/** Paths of the host that are only read, and nothing by their names is there. */
const nowhere = /^\/(no|nothing)\//;

const inside = (path: string, dir: string): boolean =>
  (path === dir || path.startsWith(`${dir}/`)) && !path.split('/').includes('..');

type Rule = (value: string, ground: Ground) => boolean;

/** What a text of a field may be, by the field's name: all of these reach the host. A relative one is refused by the daemon. */
const rules: Readonly<Record<string, Rule>> = {
  host_path: (value, { dir }) =>
    !value.startsWith('/') || inside(value, dir) || nowhere.test(value) || devices.includes(value),
  log_directory: (value, { dir }) => !value.startsWith('/') || inside(value, dir) || value.includes('..'),
  location: (value, { dir }) => !value.startsWith('/') || inside(value, dir) || nowhere.test(value),
  output_path: (value, { dir }) => !value.startsWith('/') || inside(value, dir) || nowhere.test(value),
  checkpoint_path: (value, { dir }) => !value.startsWith('/') || inside(value, dir) || nowhere.test(value),
  cgroup_parent: (value, { cgroup }) => value === '' || value.includes('..') || inside(value, cgroup),
  localhost_ref: (value, { dir }) => !value.startsWith('/') || inside(value, dir) || nowhere.test(value),
  seccomp_profile_path: (value, { dir }) =>
    !value.startsWith('localhost//') || inside(value.slice('localhost/'.length), dir) || nowhere.test(value.slice(10)),
};

/** Why a request must not be sent; null when it is harmless. */
export function harm(request: unknown, ground: Ground): string | null {
  if (Array.isArray(request)) return request.map((each) => harm(each, ground)).find((why) => why !== null) ?? null;
  if (!isObject(request) || request instanceof Later) return null;
  for (const [key, value] of Object.entries(request)) {
    const rule = Object.hasOwn(rules, key) ? rules[key] : undefined;
    if (typeof value === 'string' && rule && !rule(value, ground)) return `${key} ${JSON.stringify(value)}`;
    const inner = harm(value, ground);
    if (inner !== null) return `${key}.${inner}`;
  }
  return publishes(request) ?? reachesOut(request);
}

/** A published port is one of loopback, and high. */
function publishes(mapping: Loose): string | null {
  const { host_port: port, host_ip: ip } = mapping;
  if (typeof port !== 'number' || port <= 0 || port > 65_535) return null;
  const refused = typeof ip === 'string' && ip !== '' && !/^[0-9a-f.:]+$/i.test(ip);
  const ours = (ip === '127.0.0.1' || ip === '::1') && port >= ports[0] && port <= ports[1];
  return ours || refused ? null : `host_port ${port} of ${JSON.stringify(ip)}`;
}

/** A privileged container gets no directory of the host. */
function reachesOut(config: Loose): string | null {
  const linux = config['linux'];
  const security = isObject(linux) ? linux['security_context'] : null;
  const privileged = isObject(security) && security['privileged'] === true;
  return privileged && Array.isArray(config['mounts']) && config['mounts'].length > 0
    ? 'mounts beside privileged'
    : null;
}

/** Names of text fields that may reach the host: each must have values of its own in values.ts. */
export const reaching = /path|dir|location|parent|root|host_ip/;

/** The same request where what is missing or beside something else would do harm: on loopback, without mounts. */
export function tamed(request: unknown): unknown {
  if (Array.isArray(request)) return request.map(tamed);
  if (!isObject(request) || request instanceof Later) return request;
  const inner = Object.fromEntries(Object.entries(request).map(([key, value]) => [key, tamed(value)]));
  if ('host_port' in inner && !inner['host_ip']) inner['host_ip'] = '127.0.0.1';
  if (reachesOut(inner) !== null) inner['mounts'] = [];
  return inner;
}
