// Monitors that are known by their sockets alone: nobody has a record of their processes. Must not end them.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Whether a command line is that of the monitor which listens there; its words end with NUL (proc_pid_cmdline(5)). */
export function isMonitorAt(commandLine: string, socket: string): boolean {
  const words = commandLine.split('\0');
  const at = words.indexOf('--socket');
  return (
    words[1] === 'serve' && /(?:^|\/)podwright-monitor$/.test(words[0] ?? '') && at > 0 && words[at + 1] === socket
  );
}

/** A monitor's own name (prctl(2), PR_SET_NAME). */
const named = 'podwright-mon\n';

/** The processes of the monitor which listens there, with the time when each started: that tells it from a later one. */
export function monitorsAt(
  socket: string,
  processStartTime: (pid: number) => number | null,
  proc = '/proc',
): { readonly pid: number; readonly startTime: number }[] {
  const pidsOf = (pid: string): string => readlinkSync(`${proc}/${pid}/ns/pid`);
  const own = pidsOf('self');
  const matches = (pid: number): boolean => {
    try {
      // a command line is read out of the process's memory, which one that hangs, or wants to, keeps whoever reads waiting for
      if (readFileSync(`${proc}/${pid}/comm`, 'utf8') !== named || pidsOf(String(pid)) !== own) return false;
      return isMonitorAt(readFileSync(`${proc}/${pid}/cmdline`, 'utf8'), socket);
    } catch {
      return false; // it has ended meanwhile
    }
  };
  return readdirSync(proc)
    .filter((name) => /^\d+$/.test(name) && matches(Number(name)))
    .flatMap((name) => {
      const pid = Number(name);
      const startTime = processStartTime(pid);
      // between two looks that agree the number cannot have gone to another
      return startTime !== null && matches(pid) ? [{ pid, startTime }] : [];
    });
}
