// Starts the worker's process. Must not know what it is asked.
import { type ChildProcess, fork } from 'node:child_process';
import type { WorkReply, WorkRequest } from './calls.ts';

/** A worker's process, as the daemon sees it. */
export interface WorkProcess {
  readonly pid: number;
  readonly send: (request: WorkRequest) => void;
  /** Ends it at once. */
  readonly kill: () => void;
}

/** What it tells. */
export interface WorkEvents {
  readonly onReply: (reply: WorkReply) => void;
  /** Once, with how it ended, and with the error if it could not be begun: then a turn after the start threw. */
  readonly onEnd: (how: string, error?: Error) => void;
}

/**
 * Starts it with the options of this process. It works when it is first asked: until then it can be put anywhere.
 *
 * @throws what fork(3) says when there is no room for a process.
 */
export function startWork(program: string, addon: string, { onReply, onEnd }: WorkEvents): WorkProcess {
  // NOTIFY_SOCKET and WATCHDOG_PID are between the daemon and its service manager
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(NOTIFY|WATCHDOG)_/.test(name)));
  const child: ChildProcess = fork(program, [addon], { env, cwd: '/', stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  let told = false;
  const end = (how: string, error?: Error): void => {
    if (told) return;
    told = true;
    onEnd(how, error);
  };
  child.on('message', (reply) => onReply(reply as WorkReply));
  child.on('error', (error) => end(error.message, error));
  child.on('exit', (code, signal) => end(signal ?? `code ${code}`));
  if (child.pid === undefined) throw new Error('the worker was not started');
  return {
    pid: child.pid,
    send: (request) => void child.send(request, () => undefined), // one that ends is told of by its end
    kill: () => void child.kill('SIGKILL'),
  };
}
