// What makes rules on this host: iptables, or nftables where there is no iptables. Must not make rules.
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

export type RulesBackend = 'iptables' | 'nftables';

/** Where programs of administrators are, on hosts whose daemon has a short PATH. */
const fallbackDirs = ['/usr/sbin', '/sbin', '/usr/local/sbin'];

/** The directories that programs are looked for in: those of `path`, which is PATH, but what npm puts in front. */
export const programDirs = (path: string): string[] => [
  ...path.split(':').filter((dir) => !dir.includes('node_modules')),
  ...fallbackDirs,
];

const isThere = (program: string, dirs: readonly string[]): boolean =>
  dirs.some((dir) => {
    try {
      accessSync(join(dir, program), constants.X_OK);
      return dir.startsWith('/');
    } catch {
      return false;
    }
  });

/**
 * The back end that a setting means. `auto` is iptables, whose rules can overrule a FORWARD policy of DROP, and
 * nftables on a host that has only that. On a host with neither, iptables is what will be missing.
 */
export const rulesBackend = (setting: 'auto' | RulesBackend, dirs: readonly string[]): RulesBackend =>
  decidedBackend(setting, dirs)();

/**
 * The same, decided once: what one back end made the other would not find, so a program that is installed later
 * changes nothing until the daemon starts anew. Only a host that had neither is looked at again.
 */
export function decidedBackend(setting: 'auto' | RulesBackend, dirs: readonly string[]): () => RulesBackend {
  let decided: RulesBackend | null = setting === 'auto' ? null : setting;
  return () => (decided ??= backendOf(dirs)) ?? 'iptables';
}

function backendOf(dirs: readonly string[]): RulesBackend | null {
  if (isThere('iptables-restore', dirs)) return 'iptables';
  return isThere('nft', dirs) ? 'nftables' : null;
}
