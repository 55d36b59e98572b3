// Tries an exchange again when that may help: connection lost, registry overloaded.
// Must not retry what will fail the same way (names that do not resolve, certificates, refusals).
import { StatusError } from './failures.ts';
import { TransportError } from './transport-error.ts';
import type { Exchange } from './exchange.ts';

export interface RetryPolicy {
  /** Attempts in all. */
  readonly attempts: number;
  /** Pause before the second attempt; doubled each time, with up to half of it random. */
  readonly baseMs: number;
  /** Longest pause; a registry that asks for a longer one (Retry-After) is not waited for. */
  readonly longestMs: number;
  /** 0 to 1. */
  readonly random: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly nowMs: () => number;
}

const passing = new Set([408, 425, 429, 500, 502, 503, 504]);
const refusedCodes = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'EACCES']);

/** Runs `attempt` as the policy allows. */
export async function retrying<T>(policy: RetryPolicy, signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
  for (let n = 1; ; n += 1) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      const pause = n < policy.attempts ? retryPause(error, n, policy) : null;
      if (pause === null) throw error;
      await policy.sleep(pause, signal);
    }
  }
}

/** An exchange that is repeated as the policy allows. */
export const withRetry =
  (exchange: Exchange, policy: RetryPolicy): Exchange =>
  (endpoint, ask, signal) =>
    retrying(policy, signal, () => exchange(endpoint, ask, signal));

/** Milliseconds to wait after a failed attempt, counted from 1; null if another one does not help. */
export function retryPause(error: unknown, attempt: number, policy: RetryPolicy): number | null {
  const backoff = Math.min(policy.longestMs, policy.baseMs * 2 ** (attempt - 1) * (1 + policy.random() / 2));
  if (error instanceof StatusError) {
    if (!passing.has(error.status)) return null;
    const asked = retryAfterMs(error.retryAfter, policy.nowMs());
    if (asked === null) return backoff;
    return asked > policy.longestMs ? null : Math.max(asked, backoff);
  }
  if (error instanceof TransportError) {
    const again = error.stage === 'timeout' || (error.stage === 'connect' && !refusedCodes.has(error.code));
    return again || error.code === 'EAI_AGAIN' ? backoff : null;
  }
  return null;
}

/** An HTTP date (RFC 9110 §5.6.7) in the form that is to be sent, or the older one of RFC 850; Date.parse takes far more. */
const httpDate =
  /^(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?, \d\d[ -][A-Z][a-z]{2}[ -]\d{2,4} \d\d:\d\d:\d\d GMT$/;

/** Milliseconds that a Retry-After value asks for, null if it says nothing (RFC 9110 §10.2.3). */
export function retryAfterMs(value: string, nowMs: number): number | null {
  if (/^[0-9]{1,12}$/.test(value)) return Number(value) * 1000;
  const date = httpDate.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(date) ? null : Math.max(0, date - nowMs);
}
