// Asks a docker-credential-* program for a server's credentials (docker/docker-credential-helpers, `get`).
// Must not keep an answer, nor show any of it: not in messages, not in arguments, not in the environment.
import { type Failure, failedPrecondition } from '../lib/failure.ts';
import { endGroup, startInGroup } from '../lib/own-group.ts';
import { SingleFlight } from '../lib/single-flight.ts';
import type { Helper } from './auth-file.ts';
import { type Credentials, headerSafe } from './credentials.ts';

/** Asks a helper: null if it has nothing for the server. Throws failed-precondition if it fails. */
export type AskHelper = (helper: Helper, signal: AbortSignal) => Promise<Credentials | null>;

export interface HelperOptions {
  /** The whole environment of a helper: its PATH is where programs are looked for. */
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

const longestAnswer = 256 * 1024;
/** What every helper says, with exit status 1, when it has nothing. */
const nothing = /credentials not found in native keychain/;

/** Calls for the same server at the same time share one run. */
export function createHelperRunner(options: HelperOptions): AskHelper {
  const flights = new SingleFlight<Credentials | null>();
  return (helper, signal) =>
    flights.run(JSON.stringify([helper.program, helper.server]), signal, async (own) => {
      const { status, output } = await runHelper(helper, options, own);
      if (status === 0) return readAnswer(output, helper);
      if (nothing.test(output.toString('utf8'))) return null;
      throw helperFailure(helper, `it ended with status ${status ?? 'of a signal'}`);
    });
}

const helperFailure = ({ program, server }: Helper, why: string): Failure =>
  failedPrecondition(`credential helper docker-credential-${program} gave nothing for ${server}: ${why}`);

interface Ended {
  /** Null if it was killed. */
  readonly status: number | null;
  readonly output: Buffer;
}

function cannotRun(helper: Helper, error: unknown): Failure {
  const { code, message } = error as NodeJS.ErrnoException;
  return helperFailure(
    helper,
    code === 'ENOENT' ? 'there is no such program' : `it cannot be run (${code ?? message})`,
  );
}

/** Starts the program; null, and told by `onError`, where the daemon has no descriptor or process left for it. */
function start({ program }: Helper, { env }: HelperOptions, onError: (error: unknown) => void) {
  const command = `docker-credential-${program}`;
  const child = startInGroup({ command, args: ['get'], stdio: ['pipe', 'pipe', 'ignore'], env }, onError);
  if (child === null) return null;
  const { stdin, stdout } = child;
  return stdin && stdout ? { child, stdin, stdout } : null;
}

/** Runs `docker-credential-<program> get` with the server on stdin; its stderr goes nowhere. */
async function runHelper(helper: Helper, options: HelperOptions, signal: AbortSignal): Promise<Ended> {
  const { promise, resolve, reject } = Promise.withResolvers<Ended>();
  const started = start(helper, options, (error) => reject(cannotRun(helper, error)));
  if (started === null) return promise;
  const { child, stdin, stdout } = started;
  const end = (why: Error): void => {
    reject(why);
    stdout.destroy();
    endGroup(child);
  };
  const timer = setTimeout(
    () => end(helperFailure(helper, `no answer within ${options.timeoutMs} ms`)),
    options.timeoutMs,
  );
  const cancel = (): void => end(signal.reason as Error);
  signal.addEventListener('abort', cancel, { once: true });
  const chunks: Buffer[] = [];
  let size = 0;
  stdout.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > longestAnswer) end(helperFailure(helper, `its answer is longer than ${longestAnswer} bytes`));
    else chunks.push(chunk);
  });
  child.on('close', (status) => resolve({ status, output: Buffer.concat(chunks) }));
  stdin.on('error', () => undefined); // it may end without reading
  stdin.end(`${helper.server}\n`);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', cancel);
  }
}

function readAnswer(output: Buffer, helper: Helper): Credentials | null {
  let answer: unknown;
  try {
    answer = JSON.parse(output.toString('utf8'));
  } catch {
    throw helperFailure(helper, 'its answer is not JSON');
  }
  const { Username: username, Secret: secret } = (answer ?? {}) as { Username?: unknown; Secret?: unknown };
  if (typeof username !== 'string' || typeof secret !== 'string') {
    throw helperFailure(helper, 'its answer has no Username and Secret');
  }
  if (username === '' && secret === '') return null;
  if (username !== '<token>') return { type: 'basic', username, password: secret };
  if (!headerSafe(secret)) throw helperFailure(helper, 'its token has characters that none has');
  return { type: 'identity', token: secret };
}
