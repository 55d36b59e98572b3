// PURE
// What a registry's refusal or silence means for the caller: the kinds that the kubelet tells apart.
// Must not hide the host or the reference.
import {
  Failure,
  type FailureKind,
  failedPrecondition,
  failureChain,
  notFound,
  permissionDenied,
  registryUnavailable,
  resourceExhausted,
} from '../lib/failure.ts';
import { TransportError } from './transport-error.ts';

/** An answer that is not a success, from a registry or its token server. */
export class StatusError extends Error {
  readonly status: number;
  readonly host: string;
  /** Seconds or a date, "" if not given (RFC 9110 §10.2.3). */
  readonly retryAfter: string;

  constructor(answer: { status: number; host: string; detail: string; retryAfter: string }) {
    super(answer.detail === '' ? `status ${answer.status}` : `status ${answer.status}: ${answer.detail}`);
    this.name = 'StatusError';
    this.status = answer.status;
    this.host = answer.host;
    this.retryAfter = answer.retryAfter;
  }
}

/** The first error that a registry's body names (distribution spec, "Error Codes"), short and printable. */
export function errorDetail(body: Uint8Array): string {
  const text = new TextDecoder().decode(body.subarray(0, 4096));
  const printable = (value: unknown): string =>
    typeof value === 'string'
      ? value
          .slice(0, 200)
          .replace(/[^\x20-\x7e]+/g, ' ')
          .trim()
      : '';
  try {
    const json = JSON.parse(text) as { errors?: { code?: unknown; message?: unknown }[]; details?: unknown };
    const first = json.errors?.[0];
    return (
      [printable(first?.code), printable(first?.message)].filter((part) => part !== '').join(' ') ||
      printable(json.details)
    );
  } catch {
    return '';
  }
}

const words: Readonly<Record<number, readonly [FailureKind, string]>> = {
  400: ['failed-precondition', 'the request was not understood'],
  401: ['permission-denied', 'not authorized'],
  403: ['permission-denied', 'access denied'],
  404: ['not-found', 'not found'],
  405: ['failed-precondition', 'the registry does not allow it'],
  407: ['registry-unavailable', 'the proxy wants credentials'],
  429: ['resource-exhausted', 'too many requests'],
};

const stageWords: Readonly<Record<TransportError['stage'], string>> = {
  dns: 'its name cannot be resolved',
  connect: 'no connection',
  tls: 'no secure connection',
  timeout: 'no answer in time',
  protocol: 'it does not speak HTTP as expected',
  'too-large': 'its answer is too large',
};

const makers = {
  'permission-denied': permissionDenied,
  'not-found': notFound,
  'resource-exhausted': resourceExhausted,
  'failed-precondition': failedPrecondition,
  'registry-unavailable': registryUnavailable,
} as const;

/** The failure of an attempt at one host. `doing` is what was attempted, with the reference: "get manifest of …". */
export function exchangeFailure(error: unknown, doing: string, host: string): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof StatusError) {
    const [kind, word] = words[error.status] ?? ['registry-unavailable', 'the registry failed'];
    const make = makers[kind as keyof typeof makers];
    const at = error.host === host ? host : `${host} (token server ${error.host})`;
    return make(`${doing} from ${at}: ${word}`, error, { host, status: error.status });
  }
  if (error instanceof TransportError) {
    const at = error.host === host ? host : `${host} (by ${error.host})`;
    const details = { host, stage: error.stage };
    if (error.stage === 'too-large')
      return failedPrecondition(`${doing} from ${at}: ${stageWords[error.stage]}`, error, details);
    return registryUnavailable(`${doing} from ${at}: ${stageWords[error.stage]}`, error, details);
  }
  throw error;
}

/** One failure for several hosts that were tried in order: the last one's kind, everybody's words. */
export function allHostsFailure(failures: readonly Failure[], doing: string): Failure {
  const last = failures.at(-1);
  if (last === undefined) return registryUnavailable(`${doing}: no configured host serves it`);
  if (failures.length === 1) return last;
  const text = failures.map((f) => failureChain(f)).join('; ');
  return new Failure(last.kind, `${doing}: all ${failures.length} hosts failed: ${text}`, { details: last.details });
}
