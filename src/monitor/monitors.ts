// All monitors of this daemon by sandbox id: start, calls, reconnection, news of exits and deaths.
// Must not decide what an exit means.
import { unavailable } from '../lib/failure.ts';
import { type MonitorCall, MonitorConnection, type MonitorEvent, type MonitorReply } from './client.ts';
import { launchMonitor, type LaunchNative, type MonitorPlace, monitorArgv } from './launch.ts';

/** Newest protocol version that this daemon speaks (proto/monitor.proto Hello). */
export const protocolVersion = 1;

/** Which process a monitor is. */
export interface MonitorProcess {
  readonly pid: number;
  readonly startTime: number;
  readonly version: string;
}

export type MonitorHello = NonNullable<MonitorReply['hello']>;

export interface MonitorsOptions {
  readonly native: LaunchNative & { readonly processStartTime: (pid: number) => number | null };
  readonly socketOf: (sandboxId: string) => string;
  readonly place: () => Promise<MonitorPlace>;
  readonly daemonVersion: string;
  readonly onEvent: (sandboxId: string, event: MonitorEvent) => void;
  /** State told by a monitor after a reconnection: exits may have happened meanwhile. */
  readonly onState: (sandboxId: string, hello: MonitorHello) => void;
  /** The monitor's process is gone. */
  readonly onGone: (sandboxId: string) => void;
}

interface Link {
  connection: MonitorConnection;
  readonly process: MonitorProcess;
  reconnecting: Promise<void> | null;
}

const connectTimeoutMs = 2000;
const reconnectDelaysMs = [10, 100, 500, 2000] as const;

/** The monitors that this daemon knows. */
export class Monitors {
  readonly #options: MonitorsOptions;
  readonly #links = new Map<string, Link>();

  constructor(options: MonitorsOptions) {
    this.#options = options;
  }

  /** Starts a monitor for a sandbox and shakes hands. */
  async launch(sandboxId: string): Promise<MonitorProcess> {
    const { native, socketOf, place } = this.#options;
    await launchMonitor(native, monitorArgv(sandboxId, socketOf(sandboxId), await place()));
    const hello = await this.adopt(sandboxId);
    return { pid: hello.pid, startTime: Number(hello.startTime), version: hello.monitorVersion };
  }

  /** Connects to a monitor that runs already; its answer holds everything it knows. */
  async adopt(sandboxId: string): Promise<MonitorHello> {
    const { connection, hello } = await this.#open(sandboxId);
    const process = { pid: hello.pid, startTime: Number(hello.startTime), version: hello.monitorVersion };
    this.#links.get(sandboxId)?.connection.close();
    this.#links.set(sandboxId, { connection, process, reconnecting: null });
    return hello;
  }

  /** Calls a sandbox's monitor; `unavailable` when it does not answer. */
  async call(sandboxId: string, call: MonitorCall, signal: AbortSignal): Promise<MonitorReply> {
    const link = this.#links.get(sandboxId);
    if (!link) throw unavailable(`sandbox ${sandboxId} has no monitor`);
    if (link.reconnecting) await Promise.race([link.reconnecting, elapsed(connectTimeoutMs)]);
    if (link.connection.closed) throw unavailable(`the monitor of sandbox ${sandboxId} does not answer`);
    return link.connection.call(call, signal);
  }

  /** Ends a monitor and everything in its sandbox; no monitor is success. */
  async shutdown(sandboxId: string, signal: AbortSignal): Promise<void> {
    const link = this.#links.get(sandboxId);
    if (!link) return;
    this.#links.delete(sandboxId); // its death is no news from now on
    try {
      await link.connection.call({ shutdown: {} }, signal);
    } finally {
      link.connection.close();
    }
  }

  /** Drops the connection without ending the monitor. */
  forget(sandboxId: string): void {
    const link = this.#links.get(sandboxId);
    this.#links.delete(sandboxId);
    link?.connection.close();
  }

  /** Whether the monitor's process is alive: its death closes the connection, and then it is looked at. */
  isAlive(sandboxId: string): boolean {
    return this.#links.has(sandboxId);
  }

  /** Whether the monitor answers, as far as known. */
  isReachable(sandboxId: string): boolean {
    const link = this.#links.get(sandboxId);
    return link !== undefined && !link.connection.closed;
  }

  /** Closes every connection; the monitors run on. */
  close(): void {
    for (const id of [...this.#links.keys()]) this.forget(id);
  }

  #sameProcess(process: MonitorProcess): boolean {
    return this.#options.native.processStartTime(process.pid) === process.startTime;
  }

  async #open(sandboxId: string): Promise<{ connection: MonitorConnection; hello: MonitorHello }> {
    const { socketOf, onEvent, daemonVersion } = this.#options;
    const connection = await MonitorConnection.open(socketOf(sandboxId), connectTimeoutMs, {
      onEvent: (event) => onEvent(sandboxId, event),
      onClose: () => this.#lost(sandboxId, connection),
    });
    try {
      const signal = AbortSignal.timeout(connectTimeoutMs);
      const reply = await connection.call({ hello: { version: protocolVersion, daemonVersion } }, signal);
      if (!reply.hello) throw unavailable(`the monitor of sandbox ${sandboxId} did not greet`);
      return { connection, hello: reply.hello };
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  #lost(sandboxId: string, connection: MonitorConnection): void {
    const link = this.#links.get(sandboxId);
    if (!link || link.connection !== connection) return;
    link.reconnecting = this.#reconnect(sandboxId, link).finally(() => {
      link.reconnecting = null;
    });
  }

  async #reconnect(sandboxId: string, link: Link): Promise<void> {
    for (let attempt = 0; this.#links.get(sandboxId) === link; attempt += 1) {
      if (!this.#sameProcess(link.process)) {
        this.#links.delete(sandboxId);
        this.#options.onGone(sandboxId);
        return;
      }
      try {
        const { connection, hello } = await this.#open(sandboxId);
        link.connection = connection;
        this.#options.onState(sandboxId, hello);
        return;
      } catch {
        // alive but silent: stays READY and is tried again (RULINGS 12)
        const delay = reconnectDelaysMs[Math.min(attempt, reconnectDelaysMs.length - 1)] as number;
        await elapsed(delay);
      }
    }
  }
}

const elapsed = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref());
