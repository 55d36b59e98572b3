// What the service manager is told of the daemon (sd_notify(3)): ready, reloaded, stopping, and that it is well.
// Must not know what the daemon does; without a manager it does nothing and costs nothing.
import type { Log } from '../log.ts';
import type { Native } from '../native/load.ts';

/** Where the manager listens, and how often it wants to hear that the daemon is well. */
export interface ManagerAddress {
  /** A path, or "@" and an abstract name. */
  readonly socket: string;
  /** Milliseconds after which a daemon that said nothing is ended; null: it is not watched. */
  readonly watchdogMs: number | null;
}

type Env = Record<string, string | undefined>;

/**
 * The manager that started this process, null for none. Its variables are taken out of the environment:
 * no program that the daemon starts may speak for it.
 */
export function managerOf(env: Env, pid: number): ManagerAddress | null {
  const { NOTIFY_SOCKET: socket = '', WATCHDOG_USEC: micros = '', WATCHDOG_PID: watched = String(pid) } = env;
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name];
  if (!/^[@/]./.test(socket)) return null;
  const isWatched = /^[1-9]\d*$/.test(micros) && watched === String(pid);
  return { socket, watchdogMs: isWatched ? Number(micros) / 1000 : null };
}

/** What it works with. */
export interface ManagerPorts {
  readonly notify: Native['serviceNotify'];
  /** Fails when the daemon does not answer a call through its own socket within so many milliseconds. */
  readonly check: (withinMs: number) => Promise<void>;
  /** One line for `systemctl status`. */
  readonly status: () => string;
  readonly log: Pick<Log, 'warn' | 'error'>;
  /** Microseconds of CLOCK_MONOTONIC. */
  readonly monotonicUs: () => bigint;
}

/** The daemon's words to its manager; none of them fails. */
export interface ServiceManager {
  /** It serves from now on; it is watched from now on. */
  ready(): Promise<void>;
  /** Its status has changed. */
  changed(): Promise<void>;
  /** A new configuration was taken. */
  reloaded(): Promise<void>;
  /** It ends; it is not watched any more. */
  stopping(): Promise<void>;
}

const nobody: ServiceManager = {
  ready: async () => undefined,
  changed: async () => undefined,
  reloaded: async () => undefined,
  stopping: async () => undefined,
};

/** A line break would begin another assignment: what a status quotes must not be one. */
const oneLine = (status: string): string => status.replace(/\p{Cc}+/gu, ' ');

/** The manager at an address; without one every word is dropped. */
export function serviceManager(address: ManagerAddress | null, ports: ManagerPorts): ServiceManager {
  if (address === null) return nobody;
  const { socket, watchdogMs } = address;
  let timer: NodeJS.Timeout | null = null;
  const say = async (...lines: readonly string[]): Promise<void> => {
    try {
      await ports.notify({ socket, message: [...lines, `STATUS=${oneLine(ports.status())}`].join('\n') });
    } catch (error) {
      ports.log.warn({ error }, 'the service manager could not be told');
    }
  };
  // An event loop that hangs runs no timer, and a server that hangs answers no call: either way nothing is said.
  const sayWell = async (withinMs: number): Promise<void> => {
    try {
      await ports.check(withinMs);
    } catch (error) {
      ports.log.error({ error }, 'the daemon does not answer itself: the service manager is not told that it is well');
      return;
    }
    await say('WATCHDOG=1');
  };
  const watch = (limitMs: number): void => {
    const periodMs = limitMs / 2;
    timer = setInterval(() => void sayWell(periodMs * 0.9), periodMs).unref();
  };
  return {
    async ready() {
      await say('READY=1');
      if (watchdogMs !== null && timer === null) watch(watchdogMs);
    },
    changed: () => say(),
    async reloaded() {
      await say('RELOADING=1', `MONOTONIC_USEC=${ports.monotonicUs()}`);
      await say('READY=1');
    },
    async stopping() {
      if (timer !== null) clearInterval(timer);
      await say('STOPPING=1');
    },
  };
}
