// Waiting for something to become true, with a deadline: the only way tests wait.

/** How long a test waits when it does not say otherwise, in milliseconds: only what fails takes that long. An emulated machine is slow (hack/testbed). */
export const patienceMs = process.env['TESTBED'] === undefined ? 60_000 : 200_000;

const pollMs = 20;

/**
 * Probes until the answer is neither false, null nor undefined, and answers it: an empty text and 0 are answers. Throws past
 * the deadline, naming what was awaited.
 */
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

/** Milliseconds in which the effect of an act is looked for before it is done once more. */
const effectMs = 250;

/**
 * Does something until its effect is seen: a word that may be said too early. It is not said as often as can be looked,
 * or a slow listener, such as a terminal that holds four kilobytes, could lose what comes after.
 */
export async function untilSeen(what: string, act: () => void, seen: () => boolean): Promise<void> {
  await until(what, async () => {
    if (seen()) return true;
    act();
    return until('its effect', seen, effectMs).catch(() => false);
  });
}

/** What comes within a minute; fails when it does not, naming it. */
export async function soon<T>(coming: Promise<T>, what: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`${what} did not come within a minute`)), 60_000);
  return Promise.race([coming, promise]).finally(() => clearTimeout(timer));
}
