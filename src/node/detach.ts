// Goes on outside of whoever called: a pod that starts a change of its node dies in the middle of it.
// Must not know what goes on.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { failedPrecondition } from '../lib/failure.ts';
import { hasSystemd } from './files.ts';
import { runProgram, startLasting } from './programs.ts';

/** How this program was started, without what asked for the detachment. */
const ownCommand = (argv: readonly string[]): readonly string[] => {
  const [, script = ''] = process.argv;
  return [process.execPath, ...process.execArgv, script, ...argv.filter((word) => word !== '--detach')];
};

/** Starts this program again with the same words, in a session and cgroups of its own; its log is added to `log`. */
export async function startDetached(argv: readonly string[], log: string): Promise<void> {
  const command = ownCommand(argv);
  if (hasSystemd()) {
    const output = ['StandardOutput', 'StandardError'].map((name) => `--property=${name}=append:${log}`);
    const unit = ['systemd-run', '--collect', '--unit=podwright-node-change', '--property=KillMode=process', ...output];
    await runProgram([...unit, '--', ...command], { signal: AbortSignal.timeout(60_000) });
    return;
  }
  leaveCgroups();
  startLasting(command, log);
}

/** Puts this process into the root of every cgroup hierarchy: what kills the cgroup of a container spares it then. */
function leaveCgroups(): void {
  const roots = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => ['cgroup', 'cgroup2'].includes(fields[fields.indexOf('-') + 1] ?? ''))
    .map((fields) => fields[4] ?? '');
  if (roots.length === 0) throw failedPrecondition('leave the cgroups: none is mounted here, where is the host?');
  for (const root of roots) {
    try {
      writeFileSync(join(root, 'cgroup.procs'), String(process.pid));
    } catch (error) {
      throw failedPrecondition(`leave the cgroup of ${root}`, error);
    }
  }
}
