// Work that is owed: what a caller, or the start, could not end is tried again in the background, further and further
// apart. Must not know how anything is ended.
import { failureChain } from '../lib/failure.ts';

/** An end that has begun and not come. */
export interface Owed {
  /** The same for as long as it is owed. */
  readonly key: string;
  /** What it is about, as doctor names it. */
  readonly subject: string;
  readonly problem: string;
  /** Whether somebody works on it now: then it is left to them. */
  readonly isBusy: boolean;
  /** Tries it once more; what has ended meanwhile is success. */
  readonly again: () => Promise<void>;
}

export interface OwedPorts {
  /** Everything that is owed now, from memory. */
  readonly list: () => readonly Owed[];
  /** Milliseconds of a steady counter. */
  readonly elapsedMs: () => number;
  readonly log: { readonly info: Write; readonly warn: Write };
}

type Write = (fields: Readonly<Record<string, unknown>>, message: string) => void;

/** What is owed, and what became of trying. */
export interface OwedReport extends Pick<Owed, 'subject' | 'problem'> {
  /** How often it was tried again here. */
  readonly tries: number;
  /** Why the last of these failed; "" before. */
  readonly error: string;
}

interface Known {
  dueMs: number;
  /** How long it is left alone after the next failure. */
  restMs: number;
  isRunning: boolean;
  tries: number;
  error: string;
}

/** How often it is looked whether something is owed: memory is read, no more. */
export const lookMs = 5000;
/** A caller whose call has failed may be about to make it again: what is seen for the first time is left to it so long. */
const firstMs = 5000;
const restMs = 10_000;
const longestRestMs = 300_000;
/** One may hang for as long as a plugin or a file system does, and must not keep all others. */
const mostAtOnce = 4;

/** Tries again what is owed. */
export class OwedWork {
  readonly #ports: OwedPorts;
  readonly #known = new Map<string, Known>();
  readonly #running = new Set<Promise<void>>();

  constructor(ports: OwedPorts) {
    this.#ports = ports;
  }

  /** Looks at what is owed now, and begins to try what is due. To be called every `lookMs`. */
  look(): void {
    const nowMs = this.#ports.elapsedMs();
    const owed = this.#ports.list();
    const keys = new Set(owed.map(({ key }) => key));
    for (const [key, { isRunning }] of this.#known) if (!isRunning && !keys.has(key)) this.#known.delete(key);
    for (const each of owed) {
      const known = this.#known.get(each.key);
      if (!known) this.#known.set(each.key, { dueMs: nowMs + firstMs, restMs, isRunning: false, tries: 0, error: '' });
      else if (known.isRunning || nowMs < known.dueMs) continue;
      else if (each.isBusy) known.dueMs = nowMs + firstMs;
      else if (this.#running.size < mostAtOnce) this.#begin(each, known);
    }
  }

  /** Settles when what has begun is over. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  #begin(owed: Owed, known: Known): void {
    const running = this.#try(owed, known).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #try({ again, subject, problem }: Owed, known: Known): Promise<void> {
    const { log, elapsedMs } = this.#ports;
    known.isRunning = true;
    try {
      await again();
      log.info({ subject, problem }, 'what was owed has been done');
    } catch (error) {
      const why = failureChain(error);
      // a plugin that is away for a day says the same all day
      if (why !== known.error) log.warn({ subject, problem, error: why }, 'what is owed failed; it is tried again');
      known.error = why;
    } finally {
      known.tries += 1;
      known.isRunning = false;
      known.dueMs = elapsedMs() + known.restMs;
      known.restMs = Math.min(known.restMs * 2, longestRestMs);
    }
  }

  /** What is owed. What somebody works on is not, as long as nothing here was tried: it may end at any moment. */
  report(): OwedReport[] {
    return this.#ports.list().flatMap(({ key, subject, problem, isBusy }) => {
      const known = this.#known.get(key);
      if (isBusy && !known?.isRunning && !known?.tries) return [];
      return [{ subject, problem, tries: known?.tries ?? 0, error: known?.error ?? '' }];
    });
  }
}
