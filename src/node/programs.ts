// Programs that a transaction runs: systemctl, the commands that the operator gave, podwrightd itself.
// Must not know why they are run.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { failedPrecondition } from '../lib/failure.ts';

/** Runs a program to its end and answers what it wrote to standard output; fails with what it wrote to standard error. */
export type RunProgram = (argv: readonly string[], options: { readonly signal: AbortSignal }) => Promise<string>;

const longestOutput = 1 << 20;
/** How long the streams of a program that has ended are read, in milliseconds. */
const drainMs = 500;

/** As RunProgram. What the program leaves running, such as a daemon, is not waited for, and is not ended with it. */
export const runProgram: RunProgram = (argv, { signal }) => {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const [file = '', ...args] = argv;
  const name = file === '/bin/sh' ? (args[1] ?? file) : argv.join(' ');
  // without descriptors it has no streams, whatever Node's types say, and an "error" follows
  const child: ChildProcess = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/', detached: true });
  const said = { out: '', err: '' };
  child.stdout?.on('data', (chunk: Buffer) => (said.out = (said.out + chunk.toString()).slice(-longestOutput)));
  child.stderr?.on('data', (chunk: Buffer) => (said.err = (said.err + chunk.toString()).slice(-2000)));
  const abort = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // it has ended meanwhile
    }
  };
  signal.addEventListener('abort', abort, { once: true });
  child.once('error', (error) => {
    signal.removeEventListener('abort', abort);
    reject(failedPrecondition(`run ${name}`, error));
  });
  child.once('exit', (code, killedBy) => {
    signal.removeEventListener('abort', abort);
    const end = (): void => {
      clearTimeout(timer);
      child.stdout?.destroy();
      child.stderr?.destroy();
      if (code === 0) return resolve(said.out);
      const why = said.err.trim().split('\n').slice(-5).join('; ');
      reject(failedPrecondition(`${name} ended with ${code ?? killedBy}${why === '' ? '' : `: ${why}`}`));
    };
    // a daemon that it started may hold its streams: then they never close
    const timer = setTimeout(end, drainMs);
    child.once('close', end);
  });
  if (signal.aborted) abort();
  return promise;
};

/** A command line of the operator's, by the shell. */
export const shellCommand = (line: string): readonly string[] => ['/bin/sh', '-c', line];

/** Starts a program that outlives us, in a session of its own, its output added to a log file. Answers its pid. */
export function startLasting(argv: readonly string[], log: string, cwd = '/'): number {
  const [file = '', ...args] = argv;
  mkdirSync(dirname(log), { recursive: true });
  const fd = openSync(log, 'a', 0o600);
  try {
    const child = spawn(file, args, { stdio: ['ignore', fd, fd], cwd, detached: true });
    child.on('error', () => undefined); // it has no pid then
    child.unref();
    if (child.pid === undefined) throw failedPrecondition(`start ${file}`);
    return child.pid;
  } finally {
    closeSync(fd);
  }
}
