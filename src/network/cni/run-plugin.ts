// Executes one plugin. The only user of child_process in the house: foreign programs, off the fast path.
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure, cancelled, deadlineExceeded, internal, unavailable } from '../../lib/failure.ts';
import { parsePluginError, tryAgainLater } from './result.ts';

/** One execution. */
export interface PluginCall {
  readonly type: string;
  readonly command: string;
  readonly binDirs: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly input: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | null;
}

// more characters than any plugin prints; beyond it is a runaway
const mostOutput = 8 * 1024 * 1024;
// what a plugin left behind may hold its output open for ever: so long is waited for the rest of it
const outputGraceMs = 1_000;

/** The plugin's program; a failure when no directory has it. */
export async function findPlugin(type: string, binDirs: readonly string[]): Promise<string> {
  for (const dir of binDirs) {
    const file = join(dir, type);
    try {
      await access(file, constants.X_OK);
      return file;
    } catch {
      continue; // not in this one
    }
  }
  throw unavailable(`the CNI plugin ${type} was not found in ${binDirs.join(', ')}`);
}

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  /** It printed more than anybody wants to read, and was ended. */
  readonly tooMuch: boolean;
}

/** Runs a plugin to its end and returns what it printed. */
export async function runPlugin(call: PluginCall): Promise<string> {
  const program = await findPlugin(call.type, call.binDirs);
  const what = `CNI plugin ${call.type} ${call.command}`;
  const timeout = AbortSignal.timeout(call.timeoutMs);
  const stop = call.signal ? AbortSignal.any([call.signal, timeout]) : timeout;
  const ended = await execute(program, call, stop);
  if (timeout.aborted) throw deadlineExceeded(`${what} did not end within ${call.timeoutMs} ms`);
  if (call.signal?.aborted) throw cancelReason(call.signal, what);
  if (ended.tooMuch) throw internal(`${what} printed more than ${mostOutput} characters and was ended`);
  if (ended.code === 0) return ended.stdout;
  throw refusal(what, ended);
}

function cancelReason(signal: AbortSignal, what: string): Failure {
  return signal.reason instanceof Failure ? signal.reason : cancelled(`${what} was cancelled`, signal.reason);
}

function refusal(what: string, ended: Ended): Failure {
  const error = parsePluginError(ended.stdout);
  if (error) {
    const make = error.code === tryAgainLater ? unavailable : internal;
    const text = [error.msg, error.details].filter((part) => part !== '').join('; ');
    return make(`${what} failed: ${text} (code ${error.code})`, undefined, { pluginCode: error.code });
  }
  const how = ended.signal === null ? `exit code ${ended.code}` : `signal ${ended.signal}`;
  const said = [ended.stderr, ended.stdout].map((text) => text.trim().slice(-500)).filter((text) => text !== '');
  const details = ended.code === null ? undefined : { exitCode: ended.code };
  return internal(`${what} failed: ${[how, ...said].join('; ')}`, undefined, details);
}

/** PATH without what npm puts in front: a plugin that looks for `nft` must not find a tool of our build. */
const systemPath = (): string =>
  (process.env['PATH'] ?? '')
    .split(':')
    .filter((dir) => !dir.includes('node_modules'))
    .join(':') || '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

async function execute(program: string, call: PluginCall, stop: AbortSignal): Promise<Ended> {
  const { promise, resolve, reject } = Promise.withResolvers<Ended>();
  const texts = { stdout: '', stderr: '', tooMuch: false };
  if (stop.aborted) return { code: null, signal: 'SIGKILL', ...texts };
  const child = started(program, call);
  const kill = (): void => killGroup(child.pid);
  let grace: NodeJS.Timeout | null = null;
  const over = (): void => {
    stop.removeEventListener('abort', kill);
    if (grace !== null) clearTimeout(grace);
  };
  child.on('error', (error) => {
    over();
    reject(internal(`start CNI plugin ${call.type}`, error));
  });
  child.on('close', (code, signal) => {
    over();
    resolve({ code, signal, ...texts });
  });
  child.on('exit', () => {
    // "close" comes with the end of the output, which a process that left the group may keep from us
    grace = setTimeout(() => {
      child.stdout?.destroy();
      child.stderr?.destroy();
    }, outputGraceMs);
  });
  stop.addEventListener('abort', kill, { once: true });
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (chunk: string) => {
      if (texts[name].length + chunk.length > mostOutput) {
        texts.tooMuch = true;
        kill();
      } else texts[name] += chunk;
    });
  }
  child.stdin?.on('error', () => undefined); // a plugin may end without reading; its answer counts
  child.stdin?.end(call.input);
  return promise;
}

/**
 * The plugin's process, in a group of its own, so that what it started (its IPAM plugin) dies with it. Of a daemon without
 * descriptors it has no streams, whatever Node's types say, and an "error" follows; without memory there is none at all.
 */
function started(program: string, { type, environment }: PluginCall): ChildProcess {
  try {
    return spawn(program, [], {
      detached: true,
      env: { ...process.env, PATH: systemPath(), ...environment },
      cwd: '/',
    });
  } catch (error) {
    throw internal(`start CNI plugin ${type}`, error);
  }
}

/** Ends a process and all that it started and that did not leave its group. */
function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // it ended at this moment
  }
}
