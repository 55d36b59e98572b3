// Starts a monitor process. Must not talk to it: client.ts does.
import { internal } from '../lib/failure.ts';

/** Where a monitor is put: see proto CgroupPlace. */
export interface MonitorPlace {
  readonly unifiedDir: string;
  readonly v1Tasks: readonly string[];
}

/** The addon's part in starting monitors. */
export interface LaunchNative {
  readonly spawnMonitor: (request: {
    readonly argv: readonly string[];
  }) => Promise<{ readonly code: number; readonly stderr: string }>;
}

/** The command line of a monitor. `place.v1Tasks` and `place.unifiedDir` are where it puts itself. */
export function monitorArgv(sandboxId: string, socket: string, place: MonitorPlace): string[] {
  const argv = ['podwright-monitor', 'serve', '--id', sandboxId, '--socket', socket];
  for (const file of place.v1Tasks) argv.push('--tasks', file);
  if (place.unifiedDir !== '') argv.push('--cgroup', place.unifiedDir);
  return argv;
}

/** Starts the monitor of a sandbox; it listens on its socket when this resolves. */
export async function launchMonitor(native: LaunchNative, argv: readonly string[]): Promise<void> {
  const ended = await native.spawnMonitor({ argv });
  if (ended.code === 0) return;
  throw internal(
    `start the monitor: it ended with code ${ended.code}${ended.stderr === '' ? '' : `: ${ended.stderr}`}`,
  );
}
