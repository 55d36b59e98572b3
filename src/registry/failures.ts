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

/**
 * The first error that a registry's body names (distribution spec, "Error Codes"), short and printable.
 * `redact` takes out of it what must not be shown, before it is cut short.
 */
export function errorDetail(body: Uint8Array, redact: (text: string) => string): string {
  const text = new TextDecoder().decode(body.subarray(0, 4096));
  const printable = (value: unknown): string =>
    typeof value === 'string'
      ? redact(value)
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
  address: 'it leads where no registry may lead',
};

/** What an operator does about it depends on what is wrong with the certificate. Codes of OpenSSL and Node. */
const certificateWords: readonly (readonly [RegExp, string])[] = [
  [/^CERT_HAS_EXPIRED$/, 'its certificate has expired'],
  [/^CERT_NOT_YET_VALID$/, 'its certificate is not valid yet'],
  [/^(ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH)$/, 'its certificate is for another name'],
  [
    /^(UNABLE_TO_|SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|CERT_UNTRUSTED)/,
    'its certificate is of an unknown authority',
  ],
];

function transportWords({ stage, code }: TransportError): string {
  const why = stage === 'tls' ? certificateWords.find(([pattern]) => pattern.test(code))?.[1] : undefined;
  return why === undefined ? stageWords[stage] : `${stageWords[stage]}, ${why}`;
}

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
    const make = error.stage === 'too-large' || error.stage === 'address' ? failedPrecondition : registryUnavailable;
    return make(`${doing} from ${at}: ${transportWords(error)}`, error, details);
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
