// Goes on outside of whoever called: a pod that starts a change of its node dies in the middle of it.
// Must not know what goes on.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { failedPrecondition } from '../lib/failure.ts';
import { type RunProgram, startLasting } from './programs.ts';

/** How this program was started, without what asked for the detachment. */
const ownCommand = (argv: readonly string[]): readonly string[] => {
  const [, script = ''] = process.argv;
  return [process.execPath, ...process.execArgv, script, ...argv.filter((word) => word !== '--detach')];
};

/** How a program goes on by itself. */
export interface Detachment {
  /** What it writes is added here; the directory is made. */
  readonly log: string;
  /** Its working directory: that of the caller, which relative paths among its words mean. */
  readonly directory: string;
  readonly run: RunProgram;
  /** Whether systemd is process 1 and starts it. */
  readonly systemd: boolean;
}

/** Starts this program again with the same words, in a session and cgroups of its own; its log is added to `log`. */
export async function startDetached(argv: readonly string[], detachment: Detachment): Promise<void> {
  const { log, directory, run, systemd } = detachment;
  const command = ownCommand(argv);
  mkdirSync(dirname(log), { recursive: true, mode: 0o700 }); // systemd opens the log, and makes no directory for it
  if (systemd) {
    await run(transientUnit(command, detachment), { signal: AbortSignal.timeout(60_000) });
    return;
  }
  leaveCgroups();
  startLasting(command, log, directory);
}

/** The words that have systemd run a command; they end with an error when it cannot be started (Type=exec). */
export function transientUnit(
  command: readonly string[],
  { log, directory }: Pick<Detachment, 'log' | 'directory'>,
): readonly string[] {
  const [program = '', ...words] = command;
  const properties = [
    'Type=exec',
    'KillMode=process',
    `WorkingDirectory=${directory}`,
    `StandardOutput=append:${log}`,
    `StandardError=append:${log}`,
  ].map((property) => `--property=${property}`);
  // systemd puts variables of its own into every word but the program's path (systemd.service(5))
  const literal = words.map((word) => word.replaceAll('$', '$$$$'));
  return ['systemd-run', '--collect', '--unit=podwright-node-change', ...properties, '--', program, ...literal];
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
