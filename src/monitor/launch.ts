// Starts a monitor process. Must not talk to it: client.ts does.
import { statSync } from 'node:fs';
import { type FailureDetails, internal } from '../lib/failure.ts';

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

/** How often a place is asked for before a start fails. */
const places = 5;

/**
 * Starts something in a place. When that fails and the place has gone meanwhile, in another: systemd takes an empty scope
 * away, and the last monitor may have left it just now.
 */
export async function inPlace(
  place: () => Promise<MonitorPlace>,
  start: (at: MonitorPlace) => Promise<void>,
): Promise<void> {
  for (let left = places; ; left -= 1) {
    const at = await place();
    const before = cgroupId(at);
    try {
      return await start(at);
    } catch (error) {
      if (left === 1 || cgroupId(at) === before) throw error;
    }
  }
}

/** Tells a cgroup from a later one at the same path; null when there is none. */
function cgroupId({ unifiedDir, v1Tasks }: MonitorPlace): bigint | null {
  const path = unifiedDir === '' ? v1Tasks[0] : unifiedDir;
  return path === undefined ? null : (statSync(path, { bigint: true, throwIfNoEntry: false })?.ino ?? null);
}

/** Starts the monitor of a sandbox; it listens on its socket when this resolves. */
export async function launchMonitor(native: LaunchNative, argv: readonly string[]): Promise<void> {
  const ended = await native.spawnMonitor({ argv });
  if (ended.code === 0) return;
  const { code, stderr } = ended;
  throw internal(
    `start the monitor: it ended with code ${code}${stderr === '' ? '' : `: ${stderr}`}`,
    undefined,
    failedCall(stderr),
  );
}

/**
 * The call that a monitor's last words end with, in the form that all our programs give them
 * (native/crates/sys/src/errno.rs): before it listens it has no other way to tell.
 */
export function failedCall(words: string): FailureDetails {
  const [, syscall, errno] = /: (\w+): [^:]+ \(errno (\d+)\)$/.exec(words) ?? [];
  return syscall === undefined ? {} : { syscall, errno: Number(errno) };
}
