// The table of mounts that a test sees.
import { readFileSync } from 'node:fs';

/** Whether the mount point at `path` hands on mounts and takes them (proc_pid_mountinfo(5), "shared"). */
export function isShared(path: string): boolean {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  // of several at one place the last one is seen
  const last = lines.findLast((line) => line.split(' ')[4] === path);
  return last !== undefined && / shared:\d+ .*- /.test(last);
}
