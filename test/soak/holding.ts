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

/** `all`: with descriptors of cgroup files, of which the daemon keeps some and a monitor one for each container. */
export function holdingOf(pid: number, { all }: { readonly all: boolean }): Holding {
  const { fds: counted, rssBytes } = holdingsOf(pid);
  const fds = all ? readdirSync(`/proc/${pid}/fd`).length : counted;
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

/** A start is over when a quarter takes so many samples, of five seconds each: then memory rests, or is lost. */
const longQuarter = 80;
const steady = 1.03;

/**
 * What of a growth is one: more in the last quarter than the second had with a fifth and the slack; in a run of half an hour
 * and more memory that grows from the second to the third and from there to the last. PURE.
 */
export function grew({ quarters: [, before, between, after], samples }: Growth, slack: Slack): string[] {
  const found: string[] = [];
  const goesOn = between.rss > before.rss * steady && after.rss > between.rss * steady;
  if (goesOn && samples >= 4 * longQuarter)
    found.push(`memory goes on: ${[before, between, after].map(({ rss }) => rss.toFixed(1)).join(', ')} MiB`);
  if (after.fds > before.fds * 1.2 + slack.fds) found.push(`descriptors: ${before.fds} to ${after.fds}`);
  if (after.threads > before.threads + slack.threads) found.push(`threads: ${before.threads} to ${after.threads}`);
  if (after.rss > before.rss * 1.2 + slack.rss)
    found.push(`memory: ${before.rss.toFixed(1)} to ${after.rss.toFixed(1)} MiB`);
  return found;
}
