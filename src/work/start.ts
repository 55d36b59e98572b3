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

/** The programs that make it. */
export interface WorkPrograms {
  /** podwright-work. */
  readonly program: string;
  readonly addon: string;
  /** podwright-monitor, which takes the rights away: a program cannot do that to all of its threads. */
  readonly monitor: string;
}

/**
 * What is left to it of root's rights. It reads what registries and others wrote, and a fault in that shall not be worth
 * all of root: it makes files of other owners (CHOWN, FOWNER, FSETID) with devices, whiteouts and capabilities among them
 * (MKNOD, SETFCAP), marks and reads what is overlayfs's (`trusted.*`: SYS_ADMIN), and frees all (DAC_OVERRIDE), also what
 * was made immutable.
 */
const capabilities = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'LINUX_IMMUTABLE',
  'MKNOD',
  'SETFCAP',
  'SYS_ADMIN',
] as const;

/** Of the environment: all else may hold secrets, and proxies and credentials come with each request. */
const kept = /^(PATH|TZ|LANG|LC_.*|LD_LIBRARY_PATH|NODE_OPTIONS|NODE_V8_COVERAGE|RUST_BACKTRACE)$/;

/**
 * Starts it with the options of this process. It works when it is first asked: until then it can be put anywhere.
 *
 * @throws what fork(3) says when there is no room for a process.
 */
export function startWork({ program, addon, monitor }: WorkPrograms, { onReply, onEnd }: WorkEvents): WorkProcess {
  const child: ChildProcess = fork(program, [addon], {
    execPath: monitor,
    execArgv: ['confined', capabilities.join(','), process.execPath, ...process.execArgv],
    env: Object.fromEntries(Object.entries(process.env).filter(([name]) => kept.test(name))),
    cwd: '/',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
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
