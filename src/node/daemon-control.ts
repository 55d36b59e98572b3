// Starts and ends podwrightd of a node: by systemd, by commands, or by itself.
// Must not know why. A daemon's end is never its pods' end.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { deadlineExceeded, failedPrecondition } from '../lib/failure.ts';
import { pause } from '../lib/waiting.ts';
import { commandLine, readText } from './files.ts';
import type { Settings } from './journal.ts';
import { type RunProgram, shellCommand, startLasting } from './programs.ts';

/** The daemon of one node. */
export interface DaemonHand {
  /** Starts it, or ends it and starts it again; does not wait until it serves. */
  restart(signal: AbortSignal): Promise<void>;
  /** Sees to it that nobody starts it again: what ends it next ends it for good. */
  disable(signal: AbortSignal): Promise<void>;
  /** Ends it; its pods stay. */
  stop(signal: AbortSignal): Promise<void>;
}

export interface DaemonParts {
  readonly run: RunProgram;
  readonly settings: Pick<Settings, 'prefix' | 'configDir' | 'daemon'>;
  /** The daemon's run-time directory, where its pid file is. */
  readonly state: string;
}

/** By what the settings say. */
export function daemonHand(parts: DaemonParts): DaemonHand {
  const { daemon } = parts.settings;
  if (daemon.by === 'systemd') return bySystemd(parts.run, daemon);
  if (daemon.by === 'command') return byCommand(parts.run, daemon);
  return bySelf(parts, daemon.log);
}

function bySystemd(
  run: RunProgram,
  { unit, unitDir }: { readonly unit: string; readonly unitDir: string },
): DaemonHand {
  const systemctl = async (signal: AbortSignal, ...words: string[]): Promise<void> => {
    await run(['systemctl', ...words], { signal });
  };
  return {
    restart: async (signal) => {
      await systemctl(signal, 'daemon-reload');
      await systemctl(signal, 'enable', unit);
      await systemctl(signal, 'restart', unit);
    },
    disable: async (signal) => {
      // one that was not placed yet, or is gone again, is nothing to disable, and systemctl fails for it
      if (existsSync(join(unitDir, unit))) await systemctl(signal, 'disable', unit);
    },
    stop: (signal) => systemctl(signal, 'stop', unit),
  };
}

const byCommand = (
  run: RunProgram,
  { stop, start }: { readonly stop: string; readonly start: string },
): DaemonHand => ({
  restart: async (signal) => {
    await run(shellCommand(stop), { signal });
    await run(shellCommand(start), { signal });
  },
  disable: async () => undefined,
  stop: async (signal) => {
    await run(shellCommand(stop), { signal });
  },
});

function bySelf({ settings: { prefix, configDir }, state }: DaemonParts, log: string): DaemonHand {
  const stop = (signal: AbortSignal): Promise<void> => endDaemon(state, signal);
  return {
    restart: async (signal) => {
      await stop(signal);
      startLasting([join(prefix, 'current/bin/podwrightd'), '--config', join(configDir, 'config.toml')], log);
    },
    disable: async () => undefined,
    stop,
  };
}

/** The pid of the daemon that serves from a state directory; null when none runs: a pid alone may be another's by now. */
export function daemonPid(state: string): number | null {
  const text = readText(join(state, 'podwrightd.pid'));
  return text !== null && isDaemon(Number(text)) ? Number(text) : null;
}

const isDaemon = (pid: number): boolean => commandLine(pid).some((word) => /podwrightd(\.js)?$/.test(word));

/** How long a daemon may take to end before it is killed: it drains its calls. */
const endMs = 45_000;

async function endDaemon(state: string, signal: AbortSignal): Promise<void> {
  const pid = daemonPid(state);
  if (pid === null) return;
  const send = (name: 'SIGTERM' | 'SIGKILL'): void => {
    try {
      process.kill(pid, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw failedPrecondition(`end podwrightd (${pid})`, error);
    }
  };
  send('SIGTERM');
  const deadline = performance.now() + endMs;
  // its pid file goes a moment before it does, and with it what it holds
  while (isDaemon(pid)) {
    if (performance.now() > deadline + 10_000) throw deadlineExceeded(`podwrightd (${pid}) does not end`);
    if (performance.now() > deadline) send('SIGKILL');
    await pause(50, signal);
  }
}
