// Which containers are being started at this moment: whoever ends one of them does not wait for its start.
// Must not know what a start does.

/** The starts under way. */
export class Starts {
  readonly #ids = new Set<string>();

  /** Does the part of a start that the container's monitor has a say in. */
  async during<T>(id: string, work: () => Promise<T>): Promise<T> {
    this.#ids.add(id);
    try {
      return await work();
    } finally {
      this.#ids.delete(id);
    }
  }

  /** Whether a container is being started: its monitor has been asked to, and has not answered. */
  has(id: string): boolean {
    return this.#ids.has(id);
  }
}
