// How much of what containers said could not be logged. PURE. Must not know why.

/** Bytes by container, as monitors tell them: each time with all that was dropped so far. */
export class DroppedOutput {
  readonly #told = new Map<string, number>();
  #total = 0;

  /** Since the start of the daemon, of all containers. */
  get total(): number {
    return this.#total;
  }

  /** A monitor's news of a container. */
  soFar(containerId: string, bytes: number): void {
    this.#total += Math.max(0, bytes - (this.#told.get(containerId) ?? 0));
    this.#told.set(containerId, bytes);
  }

  /** The last news of a container, which has ended. */
  inAll(containerId: string, bytes: number): void {
    this.soFar(containerId, bytes);
    this.#told.delete(containerId);
  }
}
