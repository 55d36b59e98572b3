// Ends by force what a failed test left of its own daemon. Never touches what is another's.
import { execFile } from 'node:child_process';
import { existsSync, rmdirSync } from 'node:fs';
import { promisify } from 'node:util';
import { chainsOf, hostInterfaceOf } from '../../src/network/bridge/plan.ts';
import { type Belongings, cgroupsOf, mountsOf, processesOf } from './residue.ts';
import { until } from './until.ts';

const run = promisify(execFile);

/** Runs a program whose failure only means that there was nothing to do. */
const attempt = (program: string, ...args: string[]): Promise<unknown> => run(program, args).catch(() => undefined);

async function dropRules(chains: string): Promise<void> {
  for (const program of ['iptables', 'ip6tables']) {
    for (const table of ['nat', 'filter', 'mangle', 'raw']) {
      const saved = await run(`${program}-save`, ['-t', table]).catch(() => ({ stdout: '' }));
      const lines = saved.stdout.split('\n');
      const own = lines
        .filter((line) => line.startsWith(`:${chains}`))
        .map((line) => line.slice(1).split(' ')[0] ?? '');
      for (const chain of own) await attempt(program, '-t', table, '-F', chain);
      const jumps = lines.filter((line) => line.startsWith('-A') && own.includes(line.split(' -j ')[1] ?? ''));
      for (const jump of jumps) await attempt(program, '-t', table, '-D', ...jump.split(' ').slice(1));
      for (const chain of own) await attempt(program, '-t', table, '-X', chain);
    }
  }
}

/** Kills monitors and containers, detaches mounts, removes interfaces, rules and cgroups of one daemon. */
export async function sweep(own: Belongings): Promise<void> {
  await until('processes of the test end', () => {
    const left = processesOf(own);
    for (const { pid } of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // it ended meanwhile
      }
    }
    return left.length === 0;
  });
  for (const point of mountsOf(own).reverse()) await attempt('umount', '-l', point);
  for (const id of own.ids) {
    const link = hostInterfaceOf(id);
    if (existsSync(`/sys/class/net/${link}`)) await attempt('ip', 'link', 'delete', link);
  }
  if (existsSync(`/sys/class/net/${own.bridge}`)) await attempt('ip', 'link', 'delete', own.bridge);
  await dropRules(chainsOf(own.bridge));
  for (const path of cgroupsOf(own.ids).sort((a, b) => b.length - a.length)) {
    try {
      rmdirSync(path);
    } catch {
      // its processes have not all been reaped yet; the directory is empty and harmless
    }
  }
}
