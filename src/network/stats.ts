// Traffic counters of pods. Questions asked in one turn of the event loop are one walk over the host's
// interfaces, so that the stats of a whole node cost one native call.
import type { NetworkCounters } from '../native/boundary.ts';
import type { Native } from '../native/load.ts';

/** Traffic of one interface as the pod sees it, since it was made: bytes and packets. */
export type InterfaceCounters = NetworkCounters;

export type StatsNative = Pick<Native, 'networkInterfaceStats'>;

/** Whose traffic is wanted. */
interface Pod {
  readonly hostInterface: string | null;
  readonly interface: string;
  readonly netns: string;
}

interface Question {
  readonly pod: Pod;
  readonly answer: (counters: readonly InterfaceCounters[]) => void;
  readonly fail: (error: unknown) => void;
}

/** Reads counters in batches. */
export class InterfaceStats {
  readonly #native: StatsNative;
  #waiting: Question[] = [];

  constructor(native: StatsNative) {
    this.#native = native;
  }

  /** The counters of a pod, its own interface first; empty when it has no network any more. */
  of(pod: Pod): Promise<readonly InterfaceCounters[]> {
    const { promise, resolve, reject } = Promise.withResolvers<readonly InterfaceCounters[]>();
    this.#waiting.push({ pod, answer: resolve, fail: reject });
    if (this.#waiting.length === 1) setImmediate(() => void this.#ask());
    return promise;
  }

  async #ask(): Promise<void> {
    const questions = this.#waiting;
    this.#waiting = [];
    const pods = questions.map(({ pod: { hostInterface, netns, interface: podInterface } }) => ({
      hostInterface,
      podInterface,
      netns,
    }));
    try {
      const stats = await this.#native.networkInterfaceStats({ pods });
      for (const [at, question] of questions.entries())
        question.answer(ordered(stats[at] ?? [], question.pod.interface));
    } catch (error) {
      for (const question of questions) question.fail(error);
    }
  }
}

const ordered = (counters: readonly InterfaceCounters[], first: string): readonly InterfaceCounters[] => [
  ...counters.filter(({ name }) => name === first),
  ...counters.filter(({ name }) => name !== first),
];
