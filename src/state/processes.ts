// What processes of the host say of themselves in /proc (proc(5)). Must not change anything.
import { readdirSync, readFileSync } from 'node:fs';

/** What every process says of its cgroups (proc_pid_cgroup(5)), each text once. One that ends meanwhile says nothing. */
export function cgroupTables(proc = '/proc'): string[] {
  const found = new Set<string>();
  for (const pid of readdirSync(proc)) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      found.add(readFileSync(`${proc}/${pid}/cgroup`, 'utf8'));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ESRCH') throw error;
    }
  }
  return [...found];
}
