// Who may read metrics: the API server says whose a token is (TokenReview) and what they may do (SubjectAccessReview).
// Without its yes the answer is never yes. Must not know HTTP's side of the asker, nor keep a token.
import { createHash } from 'node:crypto';
import type { ApiAnswer, ApiServer } from '../apiserver/apiserver.ts';
import { statusMessage } from '../apiserver/apiserver.ts';
import { failureChain } from '../lib/failure.ts';
import { SingleFlight } from '../lib/single-flight.ts';
import { type Queue, Slots } from '../lib/slots.ts';

/** What to answer whoever brought a token. */
export type Verdict =
  | { readonly type: 'allowed' }
  /** The token is nobody's: it is wrong, or has expired. */
  | { readonly type: 'unknown' }
  /** Somebody's, who may not. */
  | { readonly type: 'denied'; readonly user: string }
  /** The API server did not say. */
  | { readonly type: 'undecided'; readonly why: string };

export interface GatekeeperParts {
  readonly api: ApiServer;
  readonly nowMs: () => number;
  /** Tokens must be for one of these; none: for the API server itself. */
  readonly audiences: readonly string[];
  /** How long a yes holds, in milliseconds; a no holds a tenth of it. */
  readonly allowMs: number;
}

/** Status of authentication.k8s.io/v1 TokenReview, as far as it is read. */
interface TokenStatus {
  readonly authenticated?: unknown;
  readonly audiences?: readonly unknown[];
  readonly user?: {
    readonly username?: unknown;
    readonly uid?: unknown;
    readonly groups?: unknown;
    readonly extra?: unknown;
  };
}

/** Answers of the API server that are kept, at most: yes and no each so many. */
const mostKept = 1024;
/** Questions under way, at most: a flood of tokens must not become a flood at the API server. */
const mostQuestions = 16;
/** Questions that wait for their turn, at most. */
const queue: Queue = { mostWaiting: 256, whenFull: 'too many tokens are being looked at' };

interface Kept {
  readonly verdict: Verdict;
  readonly untilMs: number;
}

/** Asks the API server, and remembers for a short while what it said. */
export class Gatekeeper {
  readonly #parts: GatekeeperParts;
  readonly #flights = new SingleFlight<Verdict>();
  /** By hash of token and path: tokens are not kept. The oldest is first. No flood of bad tokens drives a good one out. */
  readonly #kept = { yes: new Map<string, Kept>(), no: new Map<string, Kept>() };
  /** Those that have been good wait for nobody who has not. */
  readonly #lines = { known: new Slots(mostQuestions, queue), unknown: new Slots(mostQuestions, queue) };

  constructor(parts: GatekeeperParts) {
    this.#parts = parts;
  }

  /** Whether the bearer of the token may get the path. Rejects only when the signal fires. */
  async judge(token: string, path: string, signal: AbortSignal): Promise<Verdict> {
    const key = createHash('sha256').update(token).update('\0').update(path).digest('base64');
    const kept = this.#kept.yes.get(key) ?? this.#kept.no.get(key);
    if (kept && this.#parts.nowMs() < kept.untilMs) return kept.verdict;
    return this.#flights.run(key, signal, async (own) => {
      const line = this.#kept.yes.has(key) ? this.#lines.known : this.#lines.unknown;
      try {
        const verdict = await line.run(() => this.#ask(token, path, own), own);
        this.#keep(key, verdict);
        return verdict;
      } catch (error) {
        return { type: 'undecided', why: failureChain(error) };
      }
    });
  }

  #keep(key: string, verdict: Exclude<Verdict, { readonly type: 'undecided' }>): void {
    const { allowMs, nowMs } = this.#parts;
    const { yes, no } = this.#kept;
    yes.delete(key);
    no.delete(key);
    const [map, forMs] = verdict.type === 'allowed' ? [yes, allowMs] : [no, allowMs / 10];
    const [oldest] = map.keys();
    if (map.size >= mostKept && oldest !== undefined) map.delete(oldest);
    map.set(key, { verdict, untilMs: nowMs() + forMs });
  }

  async #ask(
    token: string,
    path: string,
    signal: AbortSignal,
  ): Promise<Exclude<Verdict, { readonly type: 'undecided' }>> {
    const { audiences } = this.#parts;
    const review = await this.#post(
      '/apis/authentication.k8s.io/v1/tokenreviews',
      {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        spec: { token, ...(audiences.length > 0 && { audiences }) },
      },
      signal,
    );
    const { authenticated, user, audiences: meant = [] } = review as TokenStatus;
    if (authenticated !== true || typeof user?.username !== 'string' || user.username === '')
      return { type: 'unknown' };
    // an API server that knows no audiences leaves them out, and has then not looked at them
    if (audiences.length > 0 && !meant.some((one) => audiences.includes(String(one)))) return { type: 'unknown' };
    const { username, uid, groups, extra } = user;
    const access = await this.#post(
      '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: { user: username, uid, groups, extra, nonResourceAttributes: { path, verb: 'get' } },
      },
      signal,
    );
    const { allowed, denied } = access as { readonly allowed?: unknown; readonly denied?: unknown };
    return allowed === true && denied !== true ? { type: 'allowed' } : { type: 'denied', user: username };
  }

  /** The status of what was made; a 401 is tried once more, with credentials read anew. */
  async #post(path: string, body: object, signal: AbortSignal): Promise<object> {
    const { api } = this.#parts;
    const send = (): Promise<ApiAnswer> => api.exchange({ method: 'POST', path, body }, signal);
    let answer = await send();
    if (answer.status === 401) answer = await send();
    const { status } = (answer.body ?? {}) as { readonly status?: unknown };
    if (answer.status < 200 || answer.status > 299 || typeof status !== 'object' || status === null) {
      const said = statusMessage(answer.body);
      throw new Error(`${api.url} answered ${path} with ${answer.status}${said === '' ? '' : `: ${said}`}`);
    }
    return status;
  }
}
