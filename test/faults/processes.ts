// Processes of one daemon's pods as fault tests find, watch and kill them.
import { readFileSync } from 'node:fs';
import type { TestDaemon } from '../helpers/daemon.ts';
import { processesOf } from '../helpers/residue.ts';
import { until } from '../helpers/until.ts';

/** The monitor of a sandbox. */
export function monitorOf(daemon: TestDaemon, sandboxId: string): number {
  const found = processesOf(daemon).find(({ kind, what }) => kind === 'monitor' && what.includes(sandboxId));
  if (!found) throw new Error(`sandbox ${sandboxId} has no monitor`);
  return found.pid;
}

/** Whether a process exists and is no zombie (proc_pid_stat(5)). */
export function lives(pid: number): boolean {
  try {
    return !/\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false; // it is gone
  }
}

/** kill -9 of one process; resolves when it is gone. */
export async function killed(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL');
  await until(`process ${pid} is gone`, () => !lives(pid));
}

/** Processes in the cgroups of these containers. */
export const processesIn = (...ids: string[]): number[] =>
  processesOf({ state: '/nowhere', ids: new Set(ids) }).map(({ pid }) => pid);

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
