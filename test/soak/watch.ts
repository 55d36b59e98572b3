// What podwright's processes hold while they are soaked.
import { readdirSync, readFileSync } from 'node:fs';
import { type Growth, grew, growthOf, type Holding, holdingOf, type Slack } from './holding.ts';
import { pause } from './pause.ts';

/** Whose growth is told, and how much of it is none. */
const watched: Readonly<Record<string, Slack>> = {
  podwrightd: { fds: 10, threads: 2, rss: 10 },
  'podwright-work': { fds: 5, threads: 2, rss: 10 },
  'a monitor': { fds: 2, threads: 0, rss: 0.3 },
};

/** What each held over the time; who was not there is not in it. */
export type Growths = ReadonlyMap<string, Growth>;

const everyMs = 5000;

/** Whom to look at: the daemon, whose process for work is its child, and the monitor of a pod that is there all the time. */
export interface Subjects {
  readonly daemon: number;
  readonly monitor: number;
}

/** Looks every few seconds, until the signal fires. */
export async function watch({ daemon, monitor }: Subjects, signal: AbortSignal): Promise<Growths> {
  const seen = new Map<string, Holding[]>(Object.keys(watched).map((name) => [name, []]));
  const look = (name: string, pid: number | null): void => {
    if (pid !== null) seen.get(name)?.push(holdingOf(pid));
  };
  while (!signal.aborted) {
    await pause(everyMs, signal);
    look('podwrightd', daemon);
    look('podwright-work', workOf(daemon));
    look('a monitor', monitor);
  }
  const told = [...seen].map(([name, samples]) => [name, growthOf(samples)] as const);
  return new Map(told.filter((one): one is [string, Growth] => one[1] !== null));
}

/** Who grew, and in what: PURE. */
export const grown = (growths: Growths): string[] =>
  [...growths].flatMap(([name, growth]) => grew(growth, watched[name] as Slack).map((what) => `${name}: ${what}`));

/** The process for work, where the daemon has one (own.work_memory, own.work_cpus). */
function workOf(daemon: number): number | null {
  const children = readdirSync(`/proc/${daemon}/task`).flatMap((thread) => childrenOf(daemon, thread));
  return children.find((pid) => argvOf(pid)[0]?.endsWith('podwright-work')) ?? null;
}

/** Of a thread, which may just have ended: proc_pid_task_tid_children(5). */
function childrenOf(pid: number, thread: string): number[] {
  const text = readOr(`/proc/${pid}/task/${thread}/children`);
  return text.split(' ').filter(Boolean).map(Number);
}

const argvOf = (pid: number): string[] => readOr(`/proc/${pid}/cmdline`).split('\0');

/** A file of a process; nothing of one that has ended. */
function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return '';
  }
}
