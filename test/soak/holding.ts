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

/** The least of each, in each quarter of the time: what comes back is no growth, and what the first one adds is a start. */
export interface Growth {
  readonly quarters: readonly [Holding, Holding, Holding, Holding];
  readonly samples: number;
}

const least = (seen: readonly Holding[]): Holding => {
  const of = (key: keyof Holding): number => Math.min(...seen.map((each) => each[key]));
  return { fds: of('fds'), threads: of('threads'), rss: of('rss') };
};

/** PURE. Null when there are too few samples to say. */
export function growthOf(seen: readonly Holding[]): Growth | null {
  const size = Math.floor(seen.length / 4);
  if (size < 2) return null;
  const quarter = (n: number): Holding => least(seen.slice(n * size, n === 3 ? seen.length : (n + 1) * size));
  return { quarters: [quarter(0), quarter(1), quarter(2), quarter(3)], samples: seen.length };
}

/** How much more than a fifth may come by itself: Node's heap breathes with the load, a monitor has none. */
export interface Slack {
  readonly fds: number;
  readonly threads: number;
  /** MiB. */
  readonly rss: number;
}

/** What of a growth from the second quarter to the last is one: PURE. */
export function grew({ quarters: [, before, , after] }: Growth, slack: Slack): string[] {
  const found: string[] = [];
  if (after.fds > before.fds * 1.2 + slack.fds) found.push(`descriptors: ${before.fds} to ${after.fds}`);
  if (after.threads > before.threads + slack.threads) found.push(`threads: ${before.threads} to ${after.threads}`);
  if (after.rss > before.rss * 1.2 + slack.rss)
    found.push(`memory: ${before.rss.toFixed(1)} to ${after.rss.toFixed(1)} MiB`);
  return found;
}
