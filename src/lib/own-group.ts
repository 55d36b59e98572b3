// Programs of the operator (verifiers, credential helpers), each in a process group of its own.
// Must not know what they are asked.
import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';

/** What is started. */
export interface GroupProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly stdio: StdioOptions;
  /** Its whole environment; the daemon's own where none is given. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Starts a program so that whatever it starts can be ended with it; null where it cannot be begun. `onError` is told why,
 * also of an error that comes later: of a daemon without descriptors or processes the child has no streams.
 */
export function startInGroup(
  { command, args, stdio, env }: GroupProgram,
  onError: (error: unknown) => void,
): ChildProcess | null {
  let child: ChildProcess;
  try {
    child = spawn(command, args, { stdio, cwd: '/', detached: true, ...(env && { env: { ...env } }) });
  } catch (error) {
    onError(error);
    return null;
  }
  child.on('error', onError); // before anything else can fail: nobody else would hear it
  return child;
}

/** SIGKILL to a program and all that it started; nothing to do for one that never began, or when all have ended. */
export function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
