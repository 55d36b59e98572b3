// What the host still holds of one daemon: the list that must be empty at the end of every test on the real kernel.
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { chainsOf, hostInterfaceOf, podAlias } from '../../src/network/bridge/plan.ts';

const run = promisify(execFile);

/** One daemon's belongings, by which what it left is told from other daemons'. */
export interface Belongings {
  readonly root: string;
  readonly state: string;
  readonly bridge: string;
  readonly subnet: string;
  /** Ids of every sandbox and container that it ever had. */
  readonly ids: ReadonlySet<string>;
}

/** A process that belongs to a daemon or to one of its containers. */
export interface OwnedProcess {
  readonly pid: number;
  readonly kind: 'monitor' | 'container';
  readonly what: string;
}

const readOr = (path: string, otherwise: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return otherwise; // processes and cgroups vanish while they are looked at
  }
};

const namesIn = (path: string): string[] => (existsSync(path) ? readdirSync(path) : []);

/** Where the cgroup hierarchies of this host are mounted, v1 and unified (proc_pid_mountinfo(5)). */
export function cgroupMounts(): string[] {
  return readOr('/proc/self/mountinfo', '')
    .split('\n')
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(' ')[4] ?? '');
}

const idOfName = (name: string): string => name.replace(/^podwright-|\.scope$/g, '');

/** Directories of the cgroup hierarchies that are named after one of the ids. */
export function cgroupsOf(ids: ReadonlySet<string>): string[] {
  const found: string[] = [];
  const walk = (dir: string): void => {
    let entries;
    try {
      entries = readdirSync(dir, { withFileTypes: true });
    } catch {
      return;
    }
    for (const entry of entries) {
      if (!entry.isDirectory()) continue;
      const path = join(dir, entry.name);
      if (ids.has(idOfName(entry.name))) found.push(path);
      walk(path);
    }
  };
  for (const mount of cgroupMounts()) walk(mount);
  return found;
}

/** Monitors whose socket is in our state directory, and processes in cgroups of our ids. */
export function processesOf({ state, ids }: Pick<Belongings, 'state' | 'ids'>): OwnedProcess[] {
  const found: OwnedProcess[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const argv = readOr(`/proc/${name}/cmdline`, '').split('\0');
    const state_ = readOr(`/proc/${name}/stat`, '').replace(/^.*\) /s, '')[0];
    if (state_ === 'Z' || state_ === undefined) continue; // a zombie holds nothing; its parent is about to reap it
    if (argv[0]?.endsWith('podwright-monitor') && argv.some((word) => word.startsWith(`${state}/`))) {
      found.push({ pid: Number(name), kind: 'monitor', what: argv.slice(0, 6).join(' ') });
      continue;
    }
    const groups = readOr(`/proc/${name}/cgroup`, '').split(/[/\n]/).map(idOfName);
    if (groups.some((group) => ids.has(group)))
      found.push({ pid: Number(name), kind: 'container', what: argv.join(' ') });
  }
  return found;
}

/** Mount points of the host below our directories. */
export function mountsOf({ root, state }: Pick<Belongings, 'root' | 'state'>): string[] {
  return readOr('/proc/self/mountinfo', '')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => [root, state].some((dir) => point.startsWith(`${dir}/`)));
}

interface Link {
  readonly ifname: string;
  readonly ifalias?: string;
  readonly master?: string;
}

/** Interfaces of the host that are pods' or hang on our bridge. */
async function linksOf({ bridge, ids }: Belongings): Promise<string[]> {
  const { stdout } = await run('ip', ['-j', '-d', 'link', 'show']);
  const aliases = new Set([...ids].map(podAlias));
  const names = new Set([...ids].map(hostInterfaceOf));
  return (JSON.parse(stdout) as Link[])
    .filter((link) => names.has(link.ifname) || aliases.has(link.ifalias ?? '') || link.master === bridge)
    .map((link) => link.ifname);
}

async function savedRules(): Promise<string[]> {
  const families = await Promise.all(['iptables-save', 'ip6tables-save'].map((program) => run(program)));
  return families.flatMap(({ stdout }) => stdout.split('\n')).filter((line) => /^[-:]/.test(line));
}

/** Rules that were made for one of our pods. */
const podRules = (rules: readonly string[], { ids }: Belongings): string[] =>
  rules.filter((rule) => [...ids].some((id) => rule.includes(`podwright:${id}`)));

const filesIn = (dir: string, what: string): string[] => namesIn(dir).map((name) => `${what} ${join(dir, name)}`);

/** Files that exist for pods only. `last_reserved_ip` and the lock of a network stay, by the format of host-local. */
function filesOf({ root, state }: Belongings): string[] {
  const addresses = namesIn(join(root, 'networks')).flatMap((network) =>
    namesIn(join(root, 'networks', network))
      .filter((name) => /^\d+\.\d+\.\d+\.\d+$|:/.test(name))
      .map((name) => `address ${name} of network ${network}`),
  );
  return [
    ...filesIn(join(root, 'sandboxes'), 'record'),
    ...filesIn(join(root, 'containers'), 'record'),
    ...filesIn(join(root, 'snapshots'), 'snapshot'),
    ...filesIn(join(root, 'ingest'), 'unfinished download'),
    ...filesIn(join(root, 'trash'), 'trash'),
    ...filesIn(join(state, 'sandboxes'), 'run directory'),
    ...filesIn(join(state, 'containers'), 'bundle'),
    ...filesIn(join(state, 'sockets'), 'monitor socket'),
    ...filesIn(join(state, 'netns'), 'netns pin'),
    ...addresses,
  ];
}

/** All that is left of pods: empty when every pod was removed. */
export async function podResidue(own: Belongings): Promise<string[]> {
  const rules = await savedRules();
  return [
    ...processesOf(own).map(({ pid, kind, what }) => `${kind} process ${pid}: ${what}`),
    ...mountsOf(own).map((point) => `mount ${point}`),
    ...cgroupsOf(own.ids).map((path) => `cgroup ${path}`),
    ...(await linksOf(own)).map((name) => `interface ${name}`),
    ...podRules(rules, own).map((rule) => `rule ${rule}`),
    ...filesOf(own),
  ];
}

/** What a daemon keeps between pods: its bridge and the rules of its chains and subnet. Empty after `podwright shutdown`. */
export async function networkResidue({ bridge, subnet }: Belongings): Promise<string[]> {
  const chains = chainsOf(bridge);
  const found: string[] = existsSync(`/sys/class/net/${bridge}`) ? [`bridge ${bridge}`] : [];
  const ours = (rule: string): boolean =>
    rule.split(/[\s:]/).some((word) => word === chains || word.startsWith(`${chains}-`)) ||
    rule.includes(subnet) ||
    rule.split(' ').includes(bridge);
  return [...found, ...(await savedRules()).filter(ours).map((rule) => `rule ${rule}`)];
}
