// The log of the daemon: pino to one stream, written synchronously so that nothing is lost at a crash.
// Must not decide what is worth logging, and must not let a secret or an environment value through.
import { pino, type DestinationStream, type Logger } from 'pino';
import { Failure, failureChain } from './lib/failure.ts';

/** Facts of one log line. `error` may be any thrown value: it is written as kind, chain of messages and stack. */
export type LogFields = Readonly<Record<string, unknown>>;

/** The log as rooms are handed it. Messages are lower case, without a full stop. */
export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** A log whose lines all carry these facts too, such as the id of a request. */
  child(bindings: LogFields): Log;
}

/** The log as the composition root has it. */
export interface RootLog extends Log {
  /** Changes the least level that is written, also for the children. */
  setLevel(level: LogLevel): void;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** How the log is written. */
export interface LogOptions {
  readonly level: LogLevel;
  /** `auto` is pretty when `terminal` is true, else JSON. */
  readonly format: 'auto' | 'json' | 'pretty';
  /** Whether the file descriptor is a terminal. */
  readonly terminal: boolean;
  /** File descriptor to write to; 2 is standard error. */
  readonly fd: number;
  /** Facts on every line: program, version. */
  readonly base: LogFields;
}

/** Opens the log. The pretty printer is loaded only when it is wanted. */
export async function openLog(options: LogOptions): Promise<RootLog> {
  const pretty = options.format === 'pretty' || (options.format === 'auto' && options.terminal);
  return logTo(pretty ? await prettyStream(options) : plainStream(options.fd), options);
}

/** A log into any stream: what `openLog` makes, without choosing the stream. */
export function logTo(stream: DestinationStream, options: Pick<LogOptions, 'level' | 'base'>): RootLog {
  const logger = pino(
    {
      level: options.level,
      base: redact(options.base) as Record<string, unknown>,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: {
        level: (label) => ({ level: label }),
        log: (fields) => redact(fields) as Record<string, unknown>,
      },
    },
    stream,
  );
  const threshold = { level: options.level };
  return {
    ...wrap(logger, threshold),
    setLevel(level) {
      threshold.level = level;
      logger.level = level;
    },
  };
}

// A child made before a change of level must follow it; pino's children keep their own.
function wrap(logger: Logger, threshold: { level: LogLevel }): Log {
  const write = (level: LogLevel) => (fields: LogFields, message: string) => {
    if (logger.level !== threshold.level) logger.level = threshold.level;
    logger[level](fields, message);
  };
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (bindings) => wrap(logger.child(redact(bindings) as LogFields), threshold),
  };
}

/** Lines that wait for a log that cannot be written, at most, in bytes; what is more is dropped. */
const mostHeld = 1024 * 1024;

// A log on a full disk must not end the daemon, and there is nowhere else to say that it is full.
function plainStream(fd: number): DestinationStream {
  const stream = pino.destination({ fd, sync: true, maxLength: mostHeld });
  stream.on('error', () => undefined);
  return stream;
}

async function prettyStream(options: LogOptions): Promise<DestinationStream> {
  const { default: pretty } = await import('pino-pretty');
  const ignore = Object.keys(options.base).join(',');
  return pretty({
    destination: options.fd,
    sync: true,
    colorize: options.terminal,
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
    ignore,
  });
}

const hidden = '[hidden]';
// In any spelling: registry_token, registryToken, X-Registry-Auth, authorization, proxy-authorization.
const secretKey = /(^|[-_])(auth|authorization|cookie|password|passwd|secret|token)s?$/i;
const secretCamelKey = /[a-z](Auth|Authorization|Cookie|Password|Secret|Token)s?$/;
const environmentKey = /^(env|envs|environment)$/i;
const deepest = 6;

/**
 * The same facts without secrets: values under keys that name credentials are hidden, environments keep
 * their names only, errors become plain values. Answers the very object when there is nothing to change.
 */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return typeof value === 'bigint' ? String(value) : value;
  if (value instanceof Error) return describeError(value);
  if (value instanceof Date || ArrayBuffer.isView(value))
    return value instanceof Date ? value : `${value.byteLength} bytes`;
  if (depth >= deepest) return Array.isArray(value) ? `list of ${value.length}` : 'object';
  if (Array.isArray(value)) return value.map((one) => redact(one, depth + 1));
  const clean: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    if (secretKey.test(key) || secretCamelKey.test(key))
      clean[key] = inner === '' || inner === null || inner === undefined ? inner : hidden;
    else if (environmentKey.test(key)) clean[key] = environmentNames(inner);
    else clean[key] = redact(inner, depth + 1);
  }
  return clean;
}

// An environment as CRI has it ({key, value}), as OCI has it ("NAME=value"), or as a map.
function environmentNames(environment: unknown): unknown {
  if (!Array.isArray(environment)) {
    return typeof environment === 'object' && environment !== null ? Object.keys(environment) : hidden;
  }
  return environment.map((one: unknown) => {
    if (typeof one === 'string') return one.split('=', 1)[0];
    const key = (one as { key?: unknown } | null)?.key;
    return typeof key === 'string' ? key : hidden;
  });
}

// A Failure was thought of, so its stack says nothing; anything else is a bug, and the stack is what helps.
function describeError(error: Error): LogFields {
  if (error instanceof Failure) {
    return { kind: error.kind, message: failureChain(error), ...(redact(error.details) as LogFields) };
  }
  return { kind: 'bug', message: failureChain(error), stack: error.stack };
}
