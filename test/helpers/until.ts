// Waiting for something to become true, with a deadline: the only way tests wait.

/** How long a test waits when it does not say otherwise, in milliseconds: only what fails takes that long. An emulated machine is slow (hack/testbed). */
export const patienceMs = process.env['TESTBED'] === undefined ? 60_000 : 200_000;

const pollMs = 20;

/** Probes until the answer is neither false, null nor undefined, and answers it. Throws past the deadline, naming what was awaited. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  timeoutMs = patienceMs,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== false && found !== null && found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
