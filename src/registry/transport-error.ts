// PURE
// Why an exchange brought no answer, told apart by what an operator would look at.
// Must not know what was asked for.

/** Where an exchange failed. */
export type TransportStage = 'dns' | 'connect' | 'tls' | 'timeout' | 'protocol' | 'too-large' | 'address';

/** An exchange without an answer. The message never has headers or bodies. */
export class TransportError extends Error {
  readonly stage: TransportStage;
  readonly host: string;
  /** Node's or OpenSSL's code, "" for our own. */
  readonly code: string;

  constructor(where: { stage: TransportStage; host: string; code?: string }, message: string) {
    super(message);
    this.name = 'TransportError';
    this.stage = where.stage;
    this.host = where.host;
    this.code = where.code ?? '';
  }
}

const stages: readonly (readonly [RegExp, TransportStage])[] = [
  [/^(ENOTFOUND|EAI_|ENODATA|ESERVFAIL)/, 'dns'],
  [
    /^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|HOSTNAME_|EPROTO|ERR_OSSL|INVALID_CA|PATH_LENGTH)/,
    'tls',
  ],
  [/^(ETIMEDOUT|ESOCKETTIMEDOUT)/, 'timeout'],
  [/^(HPE_|ERR_HTTP|ERR_INVALID|ERR_STREAM)/, 'protocol'],
];

/** Any error of an exchange as a TransportError. */
export function transportError(error: unknown, host: string): TransportError {
  if (error instanceof TransportError) return error;
  const { code = '', message } = flatten(error);
  const stage = stages.find(([pattern]) => pattern.test(code))?.[1] ?? 'connect';
  const text = message === 'aborted' ? 'the connection ended before the answer did' : message;
  return new TransportError({ stage, host, code }, text);
}

/** A connection tried at several addresses fails with all their errors: the first stands for them. */
function flatten(error: unknown): { code?: string; message: string } {
  if (error instanceof AggregateError && error.errors.length > 0) return flatten(error.errors[0]);
  if (error instanceof Error) return error as Error & { code?: string };
  return { message: String(error) };
}
