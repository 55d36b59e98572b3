// Other OCI runtimes of this host, as handlers for a daemon under test.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** A runtime that tests may use. */
export interface TestRuntime {
  readonly name: 'runc' | 'crun' | 'runsc';
  /** Its program; null where this host has none. */
  readonly path: string | null;
  readonly args: readonly string[];
  /** crun refuses a host with both kinds of cgroups: the unified tree is taken out of its sight there. */
  readonly hideUnified: boolean;
}

const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
const kit = join(process.env['PODWRIGHT_TESTKIT_CACHE'] ?? join(cache, 'podwright-testkit'), 'bin');

const find = (name: string): string | null =>
  ['/usr/bin', '/usr/sbin', '/usr/local/bin', kit].map((dir) => join(dir, name)).find((path) => existsSync(path)) ??
  null;

/** Whether this host has v1 hierarchies and a unified tree beside them. */
export const hybrid = existsSync('/sys/fs/cgroup/unified/cgroup.procs');

/** User-mode Linux has not the ptrace(2) that gVisor's platforms need. */
const userModeLinux = /User Mode Linux/.test(readFileSync('/proc/cpuinfo', 'utf8'));

/** All of them, whether they are here or not. */
export const runtimes: readonly TestRuntime[] = [
  { name: 'runc', path: find('runc'), args: [], hideUnified: false },
  { name: 'crun', path: find('crun'), args: [], hideUnified: hybrid },
  // systrap needs no hardware
  { name: 'runsc', path: userModeLinux ? null : find('runsc'), args: ['--platform=systrap'], hideUnified: false },
];

/** What a test that needs a missing runtime says at the end of its title. */
export const missing = ({ name }: TestRuntime): string =>
  name === 'runsc' && userModeLinux
    ? '(gVisor does not run in user-mode Linux)'
    : `(no ${name} here: hack/testkit/install.sh deps runsc)`;

/** First line of what a runtime says of its version. */
export const versionOf = (path: string): string =>
  execFileSync(path, ['--version'], { encoding: 'utf8' }).split('\n')[0] ?? '';

/** A configuration file with those that are here as handlers by their names; in a new directory of /tmp. */
export function handlersConfig(): { readonly dir: string; readonly file: string } {
  const dir = mkdtempSync('/tmp/pwt-runtimes-');
  const file = join(dir, 'config.toml');
  const tables = runtimes.flatMap(({ name, path, args, hideUnified }) =>
    path === null
      ? []
      : [
          `[runtimes.${name}]`,
          `path = ${JSON.stringify(path)}`,
          `args = ${JSON.stringify(args)}`,
          `hide_unified_cgroup = ${hideUnified}`,
        ],
  );
  writeFileSync(file, `${tables.join('\n')}\n`);
  return { dir, file };
}
