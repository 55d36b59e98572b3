// Calls as a kubelet makes them: given up at times, and made again, with the same request, until the outcome is known.
import { status, type ServiceError } from '@grpc/grpc-js';
import type { CallOptions } from '../helpers/cri-client.ts';
import type { Chance } from '../helpers/chance.ts';

/** What leaves the outcome open: the daemon went, or the client gave up. */
const open = new Set([status.UNAVAILABLE, status.CANCELLED, status.DEADLINE_EXCEEDED]);

/** How often calls were made again, by reason. */
export interface Tries {
  calls: number;
  cancelled: number;
  unavailable: number;
}

export const codeOf = (error: unknown): status => (error as ServiceError).code;

/** How one client calls. */
export interface Calling {
  readonly chance: Chance;
  readonly tries: Tries;
  /** How many of a thousand calls are given up at first. */
  readonly impatience: number;
}

const mostTries = 2000;

/**
 * As persist, for what is made. An answer that had been sent when the client gave up counts as delivered, and the same
 * request then as another one: it is refused with the id of what there is (docs/rulings.md, 13). A first try never is.
 */
export async function make(
  calling: Calling,
  call: (options: CallOptions) => Promise<{ readonly id: string }>,
): Promise<string> {
  let tries = 0;
  try {
    const { id } = await persist(calling, (options) => {
      tries += 1;
      return call(options);
    });
    return id;
  } catch (error) {
    const id = /[0-9a-f]{64}/.exec((error as Error).message)?.[0];
    if (codeOf(error) === status.ALREADY_EXISTS && tries > 1 && id !== undefined) return id;
    throw error;
  }
}

/** Makes a call until it is answered; the answer, or what refused it. */
export async function persist<T>(
  { chance, tries, impatience }: Calling,
  call: (options: CallOptions) => Promise<T>,
): Promise<T> {
  for (let n = 0; ; n += 1) {
    tries.calls += 1;
    const impatient = n < 3 && chance.below(1000) < impatience;
    const options = impatient ? { signal: AbortSignal.timeout(1 + chance.below(60)) } : { deadlineMs: 120_000 };
    try {
      return await call(options);
    } catch (error) {
      const code = codeOf(error);
      if (!open.has(code) || n >= mostTries) throw error;
      if (code === status.UNAVAILABLE) tries.unavailable += 1;
      else tries.cancelled += 1;
      await new Promise((resolve) => setTimeout(resolve, code === status.UNAVAILABLE ? 50 : 1));
    }
  }
}
