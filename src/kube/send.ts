// Requests of this room: what an answer means, and when to try again.
// Must not know what is asked for.
import type { ApiAnswer, ApiRequest, ApiServer } from '../apiserver/apiserver.ts';
import { statusMessage } from '../apiserver/apiserver.ts';
import { failureChain } from '../lib/failure.ts';

/** How a request went. */
export type Outcome =
  | { readonly type: 'ok'; readonly body: unknown }
  /** The API server does not want it: asking again is of no use. */
  | { readonly type: 'refused'; readonly status: number; readonly why: string }
  /** It was not reached, or cannot now. */
  | { readonly type: 'failed'; readonly why: string; readonly retryAfterMs: number | null };

/** What this room needs of the process and the house. */
export interface KubePorts {
  readonly api: ApiServer;
  readonly nowMs: () => number;
  /** A number from 0 to 1. */
  readonly random: () => number;
  readonly log: (level: 'info' | 'warn', fields: Readonly<Record<string, unknown>>, message: string) => void;
  /** Waits; rejects when the signal fires. */
  readonly rest: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Each request by its outcome: ok, refused, failed. */
  readonly countRequest: (outcome: Outcome['type']) => void;
  /** Each event by what became of it. */
  readonly countEvent: (fate: EventFate) => void;
}

/** What became of an event: made, counted on one that was, held back, or lost: no room, refused, too old. */
export type EventFate = 'created' | 'counted' | 'limited' | 'overflow' | 'refused' | 'expired';

/** 401: credentials are being renewed. */
const again = (status: number): boolean => status === 401 || status === 408 || status === 429 || status >= 500;

/** One request. Rejects only when the signal fires. */
export async function send(ports: KubePorts, request: ApiRequest, signal: AbortSignal): Promise<Outcome> {
  const outcome = await ports.api.exchange(request, signal).then(
    (answer) => outcomeOf(answer, request),
    (error: unknown): Outcome => {
      signal.throwIfAborted();
      return { type: 'failed', why: failureChain(error), retryAfterMs: null };
    },
  );
  ports.countRequest(outcome.type);
  return outcome;
}

function outcomeOf({ status, body, retryAfterMs }: ApiAnswer, { method, path }: ApiRequest): Outcome {
  if (status >= 200 && status < 300) return { type: 'ok', body };
  const said = statusMessage(body);
  const why = `${method} ${path.split('?', 1)[0]} was answered with ${status}${said === '' ? '' : `: ${said}`}`;
  return again(status) ? { type: 'failed', why, retryAfterMs } : { type: 'refused', status, why };
}

const shortestMs = 1000;
const longestMs = 300_000;

/** How long to wait after so many failures in a row: twice as long each time, up to five minutes, not all nodes at once. */
export function backOffMs(failures: number, retryAfterMs: number | null, random: () => number): number {
  const own = Math.min(longestMs, shortestMs * 2 ** Math.min(failures - 1, 20)) * (0.5 + random() / 2);
  return Math.min(Math.max(own, retryAfterMs ?? 0), 3_600_000);
}

/** Tells a trouble when it begins, changes or ends, not each time. */
export class Trouble {
  readonly #ports: Pick<KubePorts, 'log'>;
  readonly #what: string;
  #last = '';

  constructor(ports: Pick<KubePorts, 'log'>, what: string) {
    this.#ports = ports;
    this.#what = what;
  }

  /** `why` "" when there is none. */
  tell(why: string): void {
    if (why === this.#last) return;
    if (why === '') this.#ports.log('info', {}, `${this.#what} again`);
    else this.#ports.log('warn', { why }, `could not ${this.#what}`);
    this.#last = why;
  }
}
