// Traffic counters of pods. Questions asked in one turn of the event loop are one native call, which knows the
// pods' ends in the host by one answer of the kernel, and keeps sockets in those that have none there.
import type { NetworkCounters } from '../native/boundary.ts';
import type { Native } from '../native/load.ts';

/** Traffic of one interface as the pod sees it, since it was made: bytes and packets. */
export type InterfaceCounters = NetworkCounters;

export type StatsNative = Pick<Native, 'networkInterfaceStats' | 'networkForgetStats'>;

/** Whose traffic is wanted. */
interface Pod {
  /** Its end in the host; null: it is asked from inside, of all that it has. */
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
  /** Namespaces that were asked from inside. */
  readonly #inside = new Set<string>();
  /** Native calls under way. */
  readonly #asking = new Set<Promise<void>>();

  constructor(native: StatsNative) {
    this.#native = native;
  }

  /** The counters of a pod, its own interface first; empty when it has no network any more. */
  of(pod: Pod): Promise<readonly InterfaceCounters[]> {
    if (pod.hostInterface === null) this.#inside.add(pod.netns);
    const { promise, resolve, reject } = Promise.withResolvers<readonly InterfaceCounters[]>();
    this.#waiting.push({ pod, answer: resolve, fail: reject });
    if (this.#waiting.length === 1) setImmediate(() => this.#begin());
    return promise;
  }

  /**
   * Lets go of a pod's namespace, which would live on by the socket in it: to be called when the pod's network ends.
   * Questions about it that wait are answered with nothing.
   */
  async forget(netns: string): Promise<void> {
    if (!this.#inside.delete(netns)) return;
    const gone = this.#waiting.filter(({ pod }) => pod.netns === netns);
    this.#waiting = this.#waiting.filter(({ pod }) => pod.netns !== netns);
    for (const { answer } of gone) answer([]);
    await Promise.all(this.#asking); // one of these may still open it
    await this.#native.networkForgetStats({ netns });
  }

  #begin(): void {
    const questions = this.#waiting;
    this.#waiting = [];
    if (questions.length === 0) return;
    const asked = this.#ask(questions).finally(() => this.#asking.delete(asked));
    this.#asking.add(asked);
  }

  /** Never rejects: each question hears of a failure. */
  async #ask(questions: readonly Question[]): Promise<void> {
    const pods = questions.map(({ pod: { hostInterface, netns, interface: podInterface } }) => ({
      hostInterface,
      podInterface,
      netns: hostInterface === null ? netns : null,
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
