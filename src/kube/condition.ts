// PURE
// The node condition PodwrightHealthy, from what the daemon knows of itself. Must not know how it is told.

/** What is looked at, now. */
export interface HealthFacts {
  /** Why the runtime is not ready; null when it is. */
  readonly notReady: { readonly reason: string; readonly message: string } | null;
  readonly network: { readonly ready: boolean; readonly message: string };
  /** Records, layers and other files that were set aside as damaged. */
  readonly quarantined: number;
  /** Network releases that are owed. */
  readonly owedReleases: number;
  /** Sandboxes and containers whose removal has begun and not ended. */
  readonly owedRemovals: number;
  /** Records that the disk has not taken yet. */
  readonly owedWrites: number;
  /** Sandboxes whose monitor is alive and does not answer; whose is dead. */
  readonly silentMonitors: number;
  readonly deadMonitors: number;
  /** The file system of the store; a text says why it could not be looked at. */
  readonly store: StoreRoom | string;
}

/** Free and all of a file system; no inodes in all: it does not count them. */
export interface StoreRoom {
  readonly freeBytes: number;
  readonly totalBytes: number;
  readonly freeInodes: number;
  readonly totalInodes: number;
}

/** The condition as it should be told. */
export interface Health {
  readonly status: 'True' | 'False' | 'Unknown';
  /** CamelCase word. */
  readonly reason: string;
  readonly message: string;
}

/** Something that is wrong. */
interface Problem {
  readonly reason: string;
  readonly message: string;
  /** For how long it must hold before it counts: what comes and goes by itself is no problem. */
  readonly afterMs: number;
}

/** A store of which a smaller part is free is full. */
const leastFree = 0.02;
const minuteMs = 60_000;
const mib = 2 ** 20;

function storeProblems(store: HealthFacts['store']): Problem[] {
  const problem = (reason: string, message: string): Problem[] => [{ reason, message, afterMs: 0 }];
  if (typeof store === 'string') return problem('StoreUnreadable', store);
  const { freeBytes, totalBytes, freeInodes, totalInodes } = store;
  const what = 'the file system of images and writable layers is full';
  if (freeBytes < totalBytes * leastFree)
    return problem(
      'StoreFull',
      `${what}: ${Math.floor(freeBytes / mib)} of ${Math.floor(totalBytes / mib)} MiB are free`,
    );
  if (freeInodes < totalInodes * leastFree)
    return problem('StoreFull', `${what}: ${freeInodes} of ${totalInodes} inodes are free`);
  return [];
}

/** What is counted and should be none: its reason, its words in singular and plural, its time. */
const countedProblems: readonly (readonly [
  fact: 'deadMonitors' | 'silentMonitors' | 'quarantined' | 'owedReleases' | 'owedRemovals' | 'owedWrites',
  reason: string,
  one: string,
  more: string,
  afterMs: number,
])[] = [
  ['deadMonitors', 'MonitorsDead', "pod's monitor is dead", "pods' monitors are dead", minuteMs],
  ['silentMonitors', 'MonitorsSilent', "pod's monitor does not answer", "pods' monitors do not answer", minuteMs],
  ['quarantined', 'RecordsQuarantined', 'damaged file was set aside', 'damaged files were set aside', 0],
  ['owedWrites', 'RecordsUnwritten', 'record is not on the disk yet', 'records are not on the disk yet', minuteMs],
  ['owedReleases', 'ReleasesOwed', 'network release is owed', 'network releases are owed', 5 * minuteMs],
  ['owedRemovals', 'RemovalsStuck', 'removal does not end', 'removals do not end', 5 * minuteMs],
];

/** All that is wrong, the gravest first. */
function problems(facts: HealthFacts): Problem[] {
  const { notReady, network, store } = facts;
  return [
    ...(notReady === null ? [] : [{ ...notReady, afterMs: 0 }]),
    ...storeProblems(store),
    ...(network.ready ? [] : [{ reason: 'NetworkNotReady', message: network.message, afterMs: minuteMs }]),
    ...countedProblems.flatMap(([fact, reason, one, more, afterMs]) => {
      const count = facts[fact];
      return count === 0 ? [] : [{ reason, message: `${count} ${count === 1 ? one : more}`, afterMs }];
    }),
  ];
}

/** Follows the facts: a problem counts once it has held for its time. */
export class HealthWatch {
  readonly #since = new Map<string, number>();
  readonly #version: string;

  constructor(version: string) {
    this.#version = version;
  }

  /** The condition, from the facts of this moment. */
  judge(facts: HealthFacts, nowMs: number): Health {
    const found = problems(facts);
    for (const reason of this.#since.keys())
      if (!found.some((problem) => problem.reason === reason)) this.#since.delete(reason);
    const standing = found.filter(({ reason, afterMs }) => {
      const since = this.#since.get(reason) ?? nowMs;
      this.#since.set(reason, since);
      return nowMs - since >= afterMs;
    });
    const [first] = standing;
    if (first === undefined)
      return { status: 'True', reason: 'Healthy', message: `podwright ${this.#version}: nothing is wrong` };
    const texts = standing.map(({ message }) => message).join('; ');
    return {
      status: first.reason === 'Recovering' ? 'Unknown' : 'False',
      reason: first.reason,
      message: `${texts} (podwright doctor on the node tells more)`.slice(0, 1024),
    };
  }
}
