// Swap for a test, in a machine of hack/testbed alone: the host's is not ours to change.
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { mebi } from './limits.ts';

/** Why this machine is not given swap; null where it is. */
export const noSwap = ((): string | null => {
  if (process.env['TESTBED'] === undefined) return 'swap is only switched on in a machine of hack/testbed';
  return readFileSync('/proc/filesystems', 'utf8').includes('ext4') ? null : 'no disk for swap';
})();

/** Switches 96 MiB of swap on, until the test ends. */
export function swapOn(t: ExecutionContext): void {
  const file = `/.scratch/swap-${process.pid}`;
  const fd = openSync(file, 'w', 0o600);
  for (let at = 0; at < 96; at += 1) writeSync(fd, Buffer.alloc(mebi));
  closeSync(fd);
  execFileSync('mkswap', [file], { stdio: 'ignore' });
  execFileSync('swapon', [file]);
  t.teardown(() => {
    execFileSync('swapoff', [file]);
    rmSync(file);
  });
}
