// What must stay as it was: the daemon's descriptors and memory, and that it answers all the time.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { CriClient } from '../helpers/cri-client.ts';

/** What a process holds. */
export interface Holdings {
  readonly fds: number;
  /** VmRSS of proc_pid_status(5), bytes. */
  readonly rssBytes: number;
}

/** What its descriptors are. Files of cgroups are not looked at: they are a cache with a bound of its own. */
const descriptors = (pid: number): string[] =>
  readdirSync(`/proc/${pid}/fd`)
    .map((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`);
      } catch {
        return 'closed meanwhile';
      }
    })
    .filter((name) => !name.startsWith('/sys/fs/cgroup/'));

export function holdingsOf(pid: number): Holdings {
  const rss = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return { fds: descriptors(pid).length, rssBytes: Number(rss ?? 0) * 1024 };
}

/** What a process's descriptors are, with how many of each: for people. */
export function descriptorsOf(pid: number): string {
  const names = descriptors(pid).map((name) => name.replace(/\d{3,}/g, 'N'));
  return [...Map.groupBy(names, (name) => name)].map(([name, all]) => `${all.length} ${name}`).join(', ');
}

/** What the heart said. */
export interface Pulse {
  readonly beats: number;
  readonly slowestMs: number;
  readonly missed: readonly string[];
}

/** Calls Version again and again; `stop` answers what came of it. */
export function startHeart(
  { runtime }: Pick<CriClient, 'runtime'>,
  deadlineMs: number,
): { stop: () => Promise<Pulse> } {
  const missed: string[] = [];
  let beats = 0;
  let slowestMs = 0;
  const stopping = new AbortController();
  const beating = (async () => {
    while (!stopping.signal.aborted) {
      const start = performance.now();
      try {
        await runtime.Version({}, { deadlineMs });
      } catch (error) {
        missed.push((error as Error).message);
      }
      beats += 1;
      slowestMs = Math.max(slowestMs, performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await beating;
      return { beats, slowestMs: Math.round(slowestMs), missed };
    },
  };
}

/** Memory of the monitor of a sandbox, VmRSS in bytes; 0 when there is none. */
export function monitorRssBytes(state: string, sandboxId: string): number {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const argv = readFileSync(`/proc/${name}/cmdline`, 'utf8');
      if (argv.includes('podwright-monitor') && argv.includes(`${state}/sockets/${sandboxId}`)) {
        return holdingsOf(Number(name)).rssBytes;
      }
    } catch {
      // it ended while it was looked at
    }
  }
  return 0;
}
