// Many clients at once on one daemon that is killed again and again, each with a model of what must be so.
import type { TestDaemon } from '../helpers/daemon.ts';
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts';
import { makeImage } from '../helpers/image-parts.ts';
import { pull } from '../helpers/pods.ts';
import { soon } from '../helpers/until.ts';
import type { Tries } from './calls.ts';
import { Chance } from '../helpers/chance.ts';
import { SoakClient } from './client.ts';
import { pause } from './pause.ts';
import { Resident } from './resident.ts';
import { type Growths, grown, watch } from './watch.ts';

/** How a soak goes. */
export interface SoakOptions {
  readonly clients: number;
  /** Operations of all clients together; no more are begun after `limitMs`. */
  readonly operations: number;
  readonly limitMs: number;
  /** Milliseconds between one kill -9 of the daemon and the next; null: it lives, and growth is watched. */
  readonly killEveryMs: number | null;
  /** Of a thousand calls so many are given up by the client at first. */
  readonly impatience: number;
  readonly seed: number;
  readonly progress: (line: string) => void;
}

/** What came of it. */
export interface SoakResult {
  readonly operations: number;
  readonly seconds: number;
  readonly kills: number;
  readonly verbs: ReadonlyMap<string, number>;
  readonly tries: Readonly<Tries>;
  readonly complaints: readonly string[];
  /** What podwright's processes held over the time; null when the daemon was killed. */
  readonly growths: Growths | null;
  /** Rounds of the pod that is there all the time; 0 when the daemon was killed. */
  readonly rounds: number;
}

const most = 100; // complaints: more are the same ones
const imageCount = 6;

function publish(registry: FakeRegistry): string[] {
  return Array.from({ length: imageCount }, (_, n) => {
    const shared = { [`shared-${n % 2}`]: 's'.repeat(100_000) };
    registry.push('soak', `v${n}`, makeImage([shared, { [`own-${n}`]: 'o'.repeat(50_000) }]));
    return `${registry.host}/soak:v${n}`;
  });
}

/** Soaks a daemon that runs; it runs afterwards too, with nothing in it. */
export async function soak(daemon: TestDaemon, options: SoakOptions): Promise<SoakResult> {
  const registry = await startFakeRegistry();
  const verbs = new Map<string, number>();
  const complaints: string[] = [];
  const tries: Tries = { calls: 0, cancelled: 0, unavailable: 0 };
  const begun = performance.now();
  const over = (): boolean => performance.now() - begun > options.limitMs || complaints.length >= most;
  let left = options.operations;
  let kills = 0;
  try {
    await pull(daemon);
    const shared = { daemon, images: publish(registry), verbs, complaints };
    const clients = Array.from(
      { length: options.clients },
      (_, n) =>
        new SoakClient(`client-${n}`, shared, {
          chance: new Chance(options.seed + n),
          tries,
          impatience: options.impatience,
        }),
    );
    const done = new AbortController();
    const killing =
      options.killEveryMs === null
        ? null
        : killer(daemon, options.killEveryMs, done.signal).catch((error: Error) => {
            complaints.push(`the daemon did not come back: ${error.message}`);
            return 0;
          });
    const watching = options.killEveryMs === null ? await watchGrowth(daemon, complaints, done.signal) : null;
    const telling = setInterval(() => {
      const seconds = ((performance.now() - begun) / 1000).toFixed(0);
      options.progress(`${options.operations - left} operations in ${seconds} s, ${complaints.length} complaints`);
    }, 10_000);
    try {
      await Promise.all(
        clients.map(async (client) => {
          while (left > 0 && !over()) {
            left -= 1;
            await client.step();
          }
        }),
      );
    } finally {
      clearInterval(telling);
      done.abort();
      kills = (await killing) ?? 0;
    }
    const watched = (await watching?.over) ?? null;
    for (const client of clients)
      await client.end().catch((error: Error) => complaints.push(`at the end: ${error.message}`));
    return {
      operations: options.operations - left,
      seconds: Math.round((performance.now() - begun) / 1000),
      kills,
      verbs,
      tries,
      complaints,
      growths: watched?.growths ?? null,
      rounds: watched?.rounds ?? 0,
    };
  } finally {
    await registry.close();
  }
}

/** Kills the daemon and starts it, again and again; answers how often. */
async function killer(daemon: TestDaemon, everyMs: number, signal: AbortSignal): Promise<number> {
  for (let kills = 0; ; kills += 1) {
    await pause(everyMs, signal);
    if (signal.aborted) return kills;
    await daemon.crash();
  }
}

/** A pod that is there all the time, and what its monitor and the daemon hold; `over` when the signal fires. Never rejects. */
async function watchGrowth(daemon: TestDaemon, complaints: string[], signal: AbortSignal) {
  const complain = (text: string): void => void complaints.push(text);
  const resident = await Resident.begin(daemon);
  const rounds = resident.run(signal, complain);
  const growths = watch({ daemon: daemon.pid, monitor: resident.monitor }, signal, complain);
  const over = (async () => {
    try {
      const [made, seen] = await Promise.all([rounds, growths]);
      await soon(resident.end(), 'its end');
      if (made < 2) complain(`the pod that is there all the time made ${made} rounds: the soak was too short`);
      for (const each of grown(seen)) complain(each);
      for (const name of ['podwrightd', 'a monitor'])
        if (!seen.has(name)) complain(`${name} was looked at too seldom: the soak was too short`);
      return { rounds: made, growths: seen };
    } catch (error) {
      complain(`the pod that is there all the time: ${(error as Error).message}`);
      return { rounds: 0, growths: new Map() };
    }
  })();
  return { over };
}
