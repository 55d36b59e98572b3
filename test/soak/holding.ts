// What a process holds, and whether it grows.
import { readdirSync } from 'node:fs';
import { holdingsOf } from '../fuzz/watch.ts';

/** At one moment. */
export interface Holding {
  readonly fds: number;
  readonly threads: number;
  /** VmRSS of proc_pid_status(5), MiB. */
  readonly rss: number;
}

export function holdingOf(pid: number): Holding {
  const { fds, rssBytes } = holdingsOf(pid);
  const threads = readdirSync(`/proc/${pid}/task`).length;
  return { fds, threads, rss: rssBytes / 2 ** 20 };
}

/** The least of each, in the second quarter of the time and in the last: what comes back is no growth. */
export interface Growth {
  readonly before: Holding;
  readonly after: Holding;
  readonly samples: number;
}

const least = (seen: readonly Holding[]): Holding => {
  const of = (key: keyof Holding): number => Math.min(...seen.map((each) => each[key]));
  return { fds: of('fds'), threads: of('threads'), rss: of('rss') };
};

/** PURE. Null when there are too few samples to say. */
export function growthOf(seen: readonly Holding[]): Growth | null {
  const quarter = Math.floor(seen.length / 4);
  if (quarter < 2) return null;
  return {
    before: least(seen.slice(quarter, 2 * quarter)),
    after: least(seen.slice(-quarter)),
    samples: seen.length,
  };
}

/** What of a growth is one: PURE. Descriptors and memory breathe with the load. */
export function grew({ before, after }: Growth): string[] {
  const found: string[] = [];
  if (after.fds > before.fds * 1.25 + 10) found.push(`descriptors: ${before.fds} to ${after.fds}`);
  if (after.threads > before.threads + 2) found.push(`threads: ${before.threads} to ${after.threads}`);
  if (after.rss > before.rss * 1.2 + 10) found.push(`memory: ${before.rss.toFixed(0)} to ${after.rss.toFixed(0)} MiB`);
  return found;
}
