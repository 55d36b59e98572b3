// What podwright's processes hold while they are soaked.
import { readdirSync } from 'node:fs';
import { procFile } from '../helpers/processes.ts';
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

/** Looks every few seconds, until the signal fires. Who is gone, and must not be, is complained of once. */
export async function watch(
  { daemon, monitor }: Subjects,
  signal: AbortSignal,
  complain: (text: string) => void,
): Promise<Growths> {
  const seen = new Map<string, Holding[]>(Object.keys(watched).map((name) => [name, []]));
  const gone = new Set<string>();
  const works: Holding[][] = [];
  let worker: number | null = null;
  const look = (name: string, pid: number): void => {
    if (gone.has(name)) return;
    try {
      seen.get(name)?.push(holdingOf(pid, { all: name !== 'podwrightd' }));
    } catch (error) {
      if (name === 'podwright-work') return; // it has just ended
      gone.add(name);
      complain(`${name}, process ${pid}, is gone: ${(error as Error).message}`);
    }
  };
  while (!signal.aborted) {
    await pause(everyMs, signal);
    look('podwrightd', daemon);
    look('a monitor', monitor);
    if (gone.has('podwrightd')) continue;
    if (worker === null || !isWork(worker)) {
      worker = workOf(daemon);
      // it ends when there is nothing to do for it, and another one begins anew: the longest life is told
      if (works.at(-1)?.length !== 0) works.push([]);
      seen.set('podwright-work', works.at(-1) as Holding[]);
    }
    if (worker !== null) look('podwright-work', worker);
  }
  const longest = works.toSorted((a, b) => b.length - a.length)[0];
  if (longest) seen.set('podwright-work', longest);
  const told = [...seen].map(([name, samples]) => [name, growthOf(samples)] as const);
  return new Map(told.filter((one): one is [string, Growth] => one[1] !== null));
}

/** Who grew, and in what: PURE. */
export const grown = (growths: Growths): string[] =>
  [...growths].flatMap(([name, growth]) => grew(growth, watched[name] as Slack).map((what) => `${name}: ${what}`));

/** The process for work, where the daemon has one (own.work_memory, own.work_cpus). */
function workOf(daemon: number): number | null {
  const children = threadsOf(daemon).flatMap((thread) => childrenOf(daemon, thread));
  return children.find(isWork) ?? null;
}

const isWork = (pid: number): boolean => procFile(pid, 'cmdline').split('\0')[0]?.endsWith('podwright-work') === true;

const alive = (pid: number): boolean => procFile(pid, 'stat') !== '';

/** Of a thread, which may just have ended: proc_pid_task_tid_children(5). */
function childrenOf(pid: number, thread: string): number[] {
  return procFile(pid, `task/${thread}/children`).split(' ').filter(Boolean).map(Number);
}

const threadsOf = (pid: number): string[] => (alive(pid) ? readdirSync(`/proc/${pid}/task`) : []);
