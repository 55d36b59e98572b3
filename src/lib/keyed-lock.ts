// Mutual exclusion by key, in order of arrival. Must not time out: callers bring a signal.
import { throwIfAborted } from './failure.ts';

/** One queue per key; a key without holders costs nothing. */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>();

  /** Runs `work` alone for its key. A call whose signal fires while waiting rejects and never runs. */
  async run<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    const tail = before ? before.then(() => promise) : promise;
    this.#tails.set(key, tail);
    let holds = before === undefined;
    try {
      if (before) await waitOrAbort(before, signal, `waiting for ${key}`);
      holds = true;
      throwIfAborted(signal, `waiting for ${key}`);
      return await work();
    } finally {
      resolve();
      // one that gave up waiting is no holder: whoever is goes on, and the next one waits for that
      if (holds) this.#drop(key, tail);
      else void tail.then(() => this.#drop(key, tail));
    }
  }

  #drop(key: string, tail: Promise<void>): void {
    if (this.#tails.get(key) === tail) this.#tails.delete(key);
  }

  /** Whether somebody holds or waits for the key. */
  isHeld(key: string): boolean {
    return this.#tails.has(key);
  }
}

async function waitOrAbort(turn: Promise<void>, signal: AbortSignal, doing: string): Promise<void> {
  throwIfAborted(signal, doing);
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = (): void => resolve();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await Promise.race([turn, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
  throwIfAborted(signal, doing);
}
